"""Where images come from: a folder, an archive, Kaggle, or the synthetic sample.

A zip archive is read member by member and never unpacked; on a network drive, such as Colab's
Google Drive, it is first copied as a whole, since thousands of small reads there take minutes. A
tar archive, which cannot be read member by member, is unpacked into the cache by code that writes
images and tables under that one folder and nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import lzma
import shutil
import stat
import time
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock

from .._core.caching import require_space
from .._core.errors import InputError, listing
from .._core.files import atomic
from . import archives, images
from .images import SUFFIXES, UnusableError

if TYPE_CHECKING:
    from ..settings import DataSettings

KAGGLE_DATASET = "andrewmvd/leukemia-classification"
KAGGLE_ATTEMPTS = 3
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
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
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(
                f"{path} does not exist: give picture files or a folder that holds some."
            )
        files += Folder(path).members if path.is_dir() else [path]
    if not files:
        raise InputError(
            f"There is no picture ({', '.join(SUFFIXES)}) in {listing(paths)}: check the path."
        )
    return files


class Source(ABC):
    """Image files in one place.

    Attributes
    ----------
    path : Path
        The folder or archive.
    members : sequence of PurePath
        Its images, sorted.
    """

    path: Path
    members: Sequence[PurePath]

    def __init__(self) -> None:
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
        """What changes when the file's content does: its size, and its time or CRC-32."""

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

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(
                f"The folder of images {path} does not exist: "
                "give a folder, an archive or 'sample'."
            )
        files = (p for p in sorted(self.path.rglob("*")) if p.suffix.lower() in SUFFIXES)
        self.members = [p for p in files if p.is_file() and not is_hidden(self.name(p))]

    def _load(self, member: PurePath) -> bytes:
        return images.read(Path(member))

    def name(self, member: PurePath) -> str:
        return member.relative_to(self.path).as_posix()

    def stamp(self, member: PurePath) -> str:
        status = Path(member).stat()
        return f"{status.st_size} {status.st_mtime_ns}"


class ZipArchive(Source):
    """Image files in a zip archive, read in place."""

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
            raise InputError(
                f"The archive {path} cannot be read as zip: copy or download it again."
            ) from error
        limits = archives.Limits(self.path)
        for info in self.archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            limits.check(info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR), info.file_size)
        names = sorted(self.archive.namelist())
        names = [name for name in names if name.lower().endswith(SUFFIXES) and not is_hidden(name)]
        self.members = [PurePosixPath(name) for name in names]

    def _load(self, member: PurePath) -> bytes:
        if self.archive.getinfo(str(member)).file_size > images.MOST_BYTES:
            raise UnusableError(
                f"{member} in {self.path} unpacks to more than {images.MOST_BYTES >> 20} MiB: "
                "check the archive."
            )
        damage = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
        try:
            return self.archive.read(str(member))
        except (*damage, RuntimeError) as error:  # RuntimeError: the member is encrypted
            raise UnusableError(
                f"{member} in {self.path} cannot be read ({error}): "
                "copy or download the archive again."
            ) from error

    def name(self, member: PurePath) -> str:
        return str(member)

    def stamp(self, member: PurePath) -> str:
        info = self.archive.getinfo(str(member))
        return f"{info.file_size} {info.CRC}"


def is_hidden(name: str) -> bool:
    """Whether an operating system keeps a path for itself: ``__MACOSX/``, or names with a dot."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


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
        source = Folder(synthetic.draw_sample(cache / f"sample-{number}", number))
    elif where == "kaggle" or where.startswith("kaggle:"):
        source = Folder(download_kaggle(where.partition(":")[2] or KAGGLE_DATASET))
    elif where.lower().endswith(".zip"):
        source = ZipArchive(near(where, cache))
    elif where.lower().endswith(TAR_SUFFIXES):
        source = Folder(archives.unpack_tar(where, cache / "unpacked" / _identity(Path(where))))
    else:
        source = Folder(where)
    if not source.members:
        raise InputError(
            f"There is no picture ({', '.join(SUFFIXES)}) in {source.path}: check the path."
        )
    if isinstance(source, Folder) and is_far(source.path) and not is_far(cache):
        log.warning(
            "%s is on a network drive, where single files are slow: a zip of it would be copied at "
            "once.",
            source.path,
        )
    return source


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
        raise InputError(
            f"The archive {path} does not exist: give a folder, an archive or 'sample'."
        )
    facts = f"{path.absolute()} {path.stat().st_size} {path.stat().st_mtime_ns}"
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
