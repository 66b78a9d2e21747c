"""Where images come from: a folder, an archive, Kaggle, or the synthetic sample.

A zip archive is read member by member; from a network drive, such as Colab's, it is copied first,
since thousands of small reads there take minutes. A tar archive is unpacked into the cache.
"""

from __future__ import annotations

import hashlib
import logging
import lzma
import os
import shutil
import stat
import time
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock

from .._core.caching import require_space
from .._core.constants import USUAL_SAMPLE
from .._core.errors import InputError, listing
from .._core.files import atomic
from . import archives, images, walking
from .images import SUFFIXES, UnusableError

if TYPE_CHECKING:
    from ..settings import DataSettings

KAGGLE_DATASET = "andrewmvd/leukemia-classification"
KAGGLE_ATTEMPTS = 3
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVES = (".zip", *TAR_SUFFIXES)
# File systems on another machine, as the operating system calls them; Google Drive is "fuse.drive".
NETWORK = ("fuse", "nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre")
MOST_HELD = 2**30  # bytes of files that were hashed and wait to be decoded

log = logging.getLogger(__name__)


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """List image files.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, and folders that are searched for images.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If a path does not exist, or there is no image.

    Examples
    --------
    >>> from allhelpers.data import synthetic
    >>> files = find_images([synthetic.draw_sample("new", cells=16)])
    >>> len(files), files[0].name
    (16, 'UID_1_1_1_all.bmp')
    """
    files: list[Path] = []
    passed_over: dict[str, str] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(
                f"{path} does not exist: give image files or a folder that holds some."
            )
        if path.is_dir():
            folder = Folder(path)
            passed_over |= folder.passed_over
            files += map(Path, cells_of(folder))
        else:
            files.append(path)
    if not files:
        raise InputError(_no_image(listing(paths), passed_over))
    return files


def cells_of(source: Source, *, said: bool = False) -> list[PurePath]:
    """Images of a source but for masks; what else is passed over is said, or ``said`` already."""
    masks = dict.fromkeys(walking.masks(map(source.name, source.members)), walking.MASK)
    _say(masks if said else source.passed_over | masks, source.given)
    return [member for member in source.members if source.name(member) not in masks]


def _no_image(where: object, passed_over: Mapping[str, str]) -> str:
    """What there is instead."""
    there = walking.kinds(name for name in passed_over if not name.endswith("/"))
    holds = f"it holds {there}" if there else "check the path"
    return f"There is no image ({', '.join(SUFFIXES)}) in {where}: {holds}."


def _say(passed_over: Mapping[str, str], where: object) -> None:
    """Account for what is no image; what may be missed is a warning."""
    for line in walking.left_out(passed_over, harmless=True):
        log.info("%s: %s", where, line)
    for line in walking.left_out(passed_over):
        log.warning("%s: %s", where, line)


class Source(ABC):
    """Image files in one place."""

    members: Sequence[PurePath]  # its images, sorted
    passed_over: dict[str, str]  # every other file or folder in it: the rule

    def __init__(self, path: str | Path) -> None:
        self.path = self.given = Path(path)  # given: the archive, where a copy of it is read
        self._held: dict[PurePath, bytes] = {}
        self._room = MOST_HELD

    @abstractmethod
    def _load(self, member: PurePath) -> bytes:
        """Bytes of one file as it lies there."""

    @abstractmethod
    def name(self, member: PurePath) -> str:
        """Path of a file inside of the source, with slashes."""

    @abstractmethod
    def stamp(self, member: PurePath) -> str:
        """What changes when the file's content does: see `file_stamp`; in archives its CRC-32."""

    def real(self, member: PurePath) -> str:
        """What is the same for two names of one file."""
        return str(member)

    @property
    def called(self) -> str:
        """Name of what is given, an archive's suffix taken off."""
        name = walking.spelled(self.given.absolute()).rpartition("/")[2]
        suffix = next((end for end in ARCHIVES if name.lower().endswith(end)), "")
        return name[: len(name) - len(suffix)]

    def read(self, member: PurePath) -> bytes:
        """Bytes of one file: those that `sha256` has read, else it is read now."""
        content = self._release(member)
        return self._load(member) if content is None else content

    def sha256(self, member: PurePath) -> str:
        """SHA-256 of one file, whose bytes are kept for `read` while there is room."""
        content = self._load(member)
        self._release(member)
        if len(content) <= self._room:
            self._room -= len(content)
            self._held[member] = content
        return hashlib.sha256(content).hexdigest()

    def _release(self, member: PurePath) -> bytes | None:
        content = self._held.pop(member, None)
        self._room += len(content or b"")
        return content


class Folder(Source):
    """Image files under a folder."""

    members: list[Path]

    def __init__(self, path: str | Path, own: Iterable[str | Path] = ()) -> None:
        super().__init__(path)
        if not self.path.is_dir():
            raise InputError(what_is(self.path))
        self._cut = len(str(self.path / "x")) - 1  # as `relative_to` would, but ten times as fast
        self.members, self.passed_over, self.linked = walking.walk(self.path, own)

    def real(self, member: PurePath) -> str:
        return os.path.realpath(member) if self.linked else str(member)

    def _load(self, member: PurePath) -> bytes:
        return images.read(Path(member))

    def name(self, member: PurePath) -> str:
        return walking.spelled(str(member)[self._cut :])

    def stamp(self, member: PurePath) -> str:
        return file_stamp(Path(member))


class ZipArchive(Source):
    """Image files in a zip archive, read in place."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        if not self.path.is_file():
            raise InputError(what_is(self.path))
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
            raise InputError(
                f"The archive {path} cannot be read as zip: copy or download it again."
            ) from error
        limits = archives.Limits(self.path)
        self.infos: dict[PurePath, zipfile.ZipInfo] = {}
        for info in self.archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            limits.check(info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR), info.file_size)
            member = PurePosixPath(walking.spelled(info.filename))
            if member in self.infos and not walking.rule_of(str(member)):
                raise InputError(
                    f"The archive {path} holds {member} twice: make it again with one of each."
                )
            self.infos[member] = info
        folders = {parent for member in self.infos for parent in member.parents}
        folders |= {m for m, i in self.infos.items() if walking.spelled(i.filename).endswith("/")}
        files = sorted(self.infos.keys() - folders, key=str)
        rules = {member: walking.rule_of(str(member)) for member in files}
        self.passed_over = {str(member): rule for member, rule in rules.items() if rule}
        self.members = [member for member in files if not rules[member]]

    def _load(self, member: PurePath) -> bytes:
        if self.infos[member].file_size > images.MOST_BYTES:
            raise UnusableError(
                f"{member} in {self.path} unpacks to more than {images.MOST_BYTES >> 20} MiB: "
                "check the archive."
            )
        damage = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
        try:
            return self.archive.read(self.infos[member])
        except (*damage, RuntimeError) as error:  # RuntimeError: the member is encrypted
            raise UnusableError(
                f"{member} in {self.path} cannot be read ({error}): "
                "copy or download the archive again."
            ) from error

    def name(self, member: PurePath) -> str:
        return str(member)

    def stamp(self, member: PurePath) -> str:
        info = self.infos[member]
        return f"{info.file_size} {info.CRC}"


def what_is(path: Path) -> str:
    """Why a path is neither a folder of images nor an archive that can be read."""
    suffix = path.suffix.lower()
    if not path.exists():
        return f"{path} does not exist: give a folder of images, an archive or 'sample'."
    if not (path.is_file() or path.is_dir()):
        return f"{path} is a pipe, a socket or a device: give a folder of images or an archive."
    if path.is_dir():
        kind, remedy = "a folder", "take the suffix of an archive off its name"
    elif suffix in SUFFIXES or suffix in walking.IMAGES - {".npy", ".npz"}:
        kind, remedy = "one file", "give the folder that holds the images"
    elif suffix in walking.ARCHIVES:
        kind, remedy = "an archive of a kind that is not read", "unpack it, or make it a zip or tar"
    elif suffix in (".csv", ".tsv", ".txt", ".xlsx"):
        kind, remedy = "a table", "name it as manifest, and as images what holds the images"
    elif suffix in (".npy", ".npz", ".h5", ".hdf5", ".mat", ".pkl", ".tfrecord", ".parquet"):
        kind, remedy = "a file of arrays", "write its images into a folder, one file each"
    else:
        kind, remedy = "a file", "give a folder of images, or an archive (.zip, .tar, .tar.gz)"
    return f"{path} is {kind}, no folder of images or archive of them: {remedy}."


def file_stamp(path: Path) -> str:
    """What a file system changes whenever a file's content is another."""
    # Who writes can keep size and time of writing, but not the time of any change nor the number.
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def unpacked(path: Path, folder: Path) -> Folder:
    """What a tar archive holds, once it lies in a folder; what does not come out of it is known."""
    source = Folder(archives.unpack_tar(path, folder))
    source.passed_over |= archives.not_unpacked(source.path)
    source.given = path
    return source


def open_images(settings: DataSettings) -> Source:
    """Open the place where the images are, downloaded, copied, unpacked or drawn if need be.

    Parameters
    ----------
    settings : DataSettings

    Returns
    -------
    Source
        A folder or a zip archive.

    Raises
    ------
    InputError
        If there is no image.

    Examples
    --------
    >>> source = open_images(training_settings)
    >>> len(source.members), source.name(source.members[0])
    (160, 'C-NMC_training_data/fold_0/all/UID_1_1_1_all.bmp')
    """
    where, cache = settings.images, Path(settings.cache_folder)
    source: Source
    if settings.synthetic:
        from . import synthetic  # pandas takes a second: not for a list of files

        # The same cells whatever the run's seed, as with real ones: seeds tell how much is chance.
        number = settings.sample_cells
        differs = settings.sample_differs
        name = f"sample-{number}" + (f"-{differs}" if differs != USUAL_SAMPLE else "")
        source = Folder(synthetic.draw_sample(cache / name, number, differs=differs))
    elif is_kaggle(where):
        source = Folder(download_kaggle(where.partition(":")[2] or KAGGLE_DATASET))
    elif where.lower().endswith(".zip"):
        source = ZipArchive(near(where, cache))
    elif where.lower().endswith(TAR_SUFFIXES):
        source = unpacked(Path(where), cache / "unpacked" / _identity(Path(where)))
    else:
        source = Folder(where, (cache, settings.run_folder))
    if where.lower().endswith(ARCHIVES):
        source.given = Path(where)
    if not source.members:
        raise InputError(_no_image(source.given, source.passed_over))
    if not settings.synthetic:
        _say(source.passed_over, source.given)
    if isinstance(source, Folder) and is_far(source.path) and not is_far(cache):
        log.warning(
            "%s is on a network drive, where single files are slow: a zip of it would be copied at "
            "once.",
            source.path,
        )
    return source


def is_kaggle(images: str) -> bool:
    """Whether images are a data set of Kaggle's, and no folder: ``kaggle`` or ``kaggle:...``."""
    return images == "kaggle" or images.startswith("kaggle:")


def is_far(path: str | Path) -> bool:
    """Whether a file lies on another machine."""
    path, mounts = Path(path).resolve(), psutil.disk_partitions(all=True)
    holding = [mount for mount in mounts if path.is_relative_to(mount.mountpoint)]
    nearest = max(holding, key=lambda mount: len(mount.mountpoint), default=None)
    return nearest is not None and nearest.fstype.lower().startswith(NETWORK)


def near(path: str | Path, cache: str | Path) -> Path:
    """Copy an archive from a network drive into the cache, once; a nearer one stays where it is."""
    path, identity = Path(path), _identity(Path(path))
    if not is_far(path) or is_far(cache):
        return path
    copy = Path(cache) / "archives" / f"{identity}{path.suffix}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{copy}.lock"):
        if not copy.is_file():
            size = path.stat().st_size
            require_space(copy.parent, size)
            log.info("copying %s from the network drive (%.1f GB)", path.name, size / 1e9)
            with atomic(copy) as partial:
                shutil.copyfile(path, partial)
    return copy


def _identity(path: Path) -> str:
    """A name for what an archive holds, that changes when the file does."""
    if not path.is_file():
        raise InputError(what_is(path))
    facts = f"{path.absolute()} {file_stamp(path)}"
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def download_kaggle(dataset: str) -> str:
    """Download a Kaggle data set into kagglehub's cache, or find it there."""
    import kagglehub

    failure: Exception | None = None
    for attempt in range(KAGGLE_ATTEMPTS):
        time.sleep(attempt)  # seconds: a little longer each time
        try:
            return kagglehub.dataset_download(dataset)
        except Exception as error:  # kagglehub passes on errors of several libraries
            failure = error
    raise InputError(
        f"The Kaggle data set {dataset} could not be downloaded in {KAGGLE_ATTEMPTS} attempts "
        f"({type(failure).__name__}): check the network and the name, or give the path of a folder "
        "or zip archive."
    ) from failure
