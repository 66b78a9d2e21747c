"""Where pictures come from: a folder, an archive, Kaggle, or the synthetic sample.

A zip archive is read member by member and never unpacked; on a network drive, such as Colab's Google Drive, it is first
copied as a whole, since thousands of small reads there take minutes. A tar archive, which cannot be read member by
member, is unpacked into the cache by code that writes pictures and tables under that one folder and nothing else.
"""

import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import psutil
from filelock import FileLock

from . import caching, pictures, runs, sample
from .errors import InputError, listing

KAGGLE_DATASET = "andrewmvd/leukemia-classification"
KAGGLE_ATTEMPTS = 3
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
UNPACKED_SUFFIXES = (*pictures.SUFFIXES, ".csv")

# C-NMC 2019 has 15,114 pictures, 9.2 GB, which zip packs about 15 times.
MOST_MEMBERS = 1_000_000
MOST_UNPACKED = 200 * 10**9  # bytes
MOST_RATIO = 200  # of all unpacked bytes to the archive's own, ...
SMALL = 10**6  # ... which counts as so many bytes at least
COPY = 1024**2  # bytes that are copied at a time
# File systems that live on another machine, as the operating system calls them; Colab's Google Drive is "fuse.drive".
NETWORK = ("fuse", "nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre")


def find_pictures(paths):
    """List picture files.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, and folders that are searched for pictures.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If a path does not exist, or there is no picture.

    Examples
    --------
    >>> files = find_pictures([sample.draw("new", cells=16)])
    >>> len(files), files[0].name
    (16, 'UID_1_1_1_all.bmp')
    """
    files = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: give picture files or a folder that holds some.")
        files += Folder(path).members if path.is_dir() else [path]
    if not files:
        raise InputError(f"There is no picture ({', '.join(pictures.SUFFIXES)}) in {listing(paths)}: check the path.")
    return files


class Folder:
    """Picture files under a folder."""

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(f"The folder of images {path} does not exist: give a folder, an archive or 'sample'.")
        found = (p for p in sorted(self.path.rglob("*")) if p.suffix.lower() in pictures.SUFFIXES)
        self.members = [p for p in found if p.is_file() and not is_hidden(self.name(p))]

    def read(self, member):
        """Bytes of one file."""
        return pictures.read(member)

    def name(self, member):
        """Path of a file inside the folder, with slashes."""
        return member.relative_to(self.path).as_posix()

    def stamp(self, member):
        """What changes when the file's content does: its size and time."""
        status = member.stat()
        return f"{status.st_size} {status.st_mtime_ns}"


class ZipArchive:
    """Picture files in a zip archive, read in place."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
            raise InputError(f"The archive {path} cannot be read as zip: copy or download it again.") from error
        limits = _Limits(self.path)
        for info in self.archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            limits.check(info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR), info.file_size)
        names = sorted(self.archive.namelist())
        names = [name for name in names if name.lower().endswith(pictures.SUFFIXES) and not is_hidden(name)]
        self.members = [PurePosixPath(name) for name in names]

    def read(self, member):
        """Bytes of one member, whose stated size is checked before it is unpacked."""
        if self.archive.getinfo(str(member)).file_size > pictures.MOST_BYTES:
            raise pictures.UnusableError(
                f"{member} in {self.path} unpacks to more than {pictures.MOST_BYTES >> 20} MiB: check the archive."
            )
        try:
            return self.archive.read(str(member))
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
            # RuntimeError: the member is encrypted
            raise pictures.UnusableError(
                f"{member} in {self.path} cannot be read ({error}): copy or download the archive again."
            ) from error

    def name(self, member):
        """Path of a member inside the archive, with slashes."""
        return str(member)

    def stamp(self, member):
        """What changes when the member's content does: its size and CRC-32."""
        info = self.archive.getinfo(str(member))
        return f"{info.file_size} {info.CRC}"


def is_hidden(name):
    """Whether a path is one that an operating system keeps for itself: ``__MACOSX/``, or a part that begins with a dot.

    macOS puts a file ``._cell.png``, which is no picture, beside each ``cell.png`` that it packs.

    Parameters
    ----------
    name : str
        With slashes.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_hidden("__MACOSX/cells/._1.png"), is_hidden("cells/1.png")
    (True, False)
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


class _Limits:
    """What the members of an archive may be; the archive is refused as a whole."""

    def __init__(self, path):
        self.path, self.members, self.bytes, self.packed = path, 0, 0, path.stat().st_size

    def check(self, name, plain, size):
        """Check one member, before anything of it is unpacked.

        Parameters
        ----------
        name : str
        plain : bool
            Whether it is a file or a folder, and not a link or a device.
        size : int
            Stated size, in bytes.
        """
        self.members, self.bytes = self.members + 1, self.bytes + size
        most = min(MOST_UNPACKED, MOST_RATIO * max(self.packed, SMALL))
        problem = None
        if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
            problem = f"its member {name!r} points outside of it"
        elif not plain:
            problem = f"its member {name!r} is a link or a device"
        elif self.members > MOST_MEMBERS:
            problem = f"it has more than {MOST_MEMBERS:,} members"
        elif self.bytes > most:
            problem = f"it unpacks to more than {most / 1e9:,.1f} GB, which its {self.packed / 1e6:,.1f} MB cannot hold"
        if problem:
            raise InputError(f"The archive {self.path} is refused ({problem}): use one from a source that you trust.")


def unpack_tar(path, folder):
    """Unpack the pictures and tables of a tar archive, all or nothing.

    Parameters
    ----------
    path : str or Path
    folder : str or Path
        Appears once everything is unpacked. If it is there already it is left alone.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    InputError
        If the archive is damaged, holds absolute paths, ``..``, links or devices, or unpacks to too much.

    Examples
    --------
    >>> Path("1.png").touch()
    >>> with tarfile.open("cells.tar", "w") as archive:
    ...     archive.add("1.png")
    >>> [path.name for path in unpack_tar("cells.tar", "cells").iterdir()]
    ['1.png']
    """
    path, folder = Path(path), Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return folder
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            try:
                with tarfile.open(path) as archive:
                    _unpack_members(archive, path, Path(scratch) / "all")
            except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
                reason = str(error).partition("\n")[0].rstrip(":")
                problem = f"The archive {path} cannot be unpacked ({reason}): copy or download it again."
                raise InputError(problem) from error
            os.replace(Path(scratch) / "all", folder)
    return folder


def _unpack_members(archive, path, folder):
    limits = _Limits(path)
    folder.mkdir()
    for member in archive:
        limits.check(member.name, member.isfile() or member.isdir(), member.size)
        if member.isfile() and member.name.lower().endswith(UNPACKED_SUFFIXES):
            target = folder / PurePosixPath(member.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.extractfile(member) as stream, open(target, "xb") as file:
                shutil.copyfileobj(stream, file, COPY)


def open_images(settings):
    """Open the place where the pictures are.

    Parameters
    ----------
    settings : DataSettings

    Returns
    -------
    Folder or ZipArchive

    Raises
    ------
    InputError
        If there is no picture.

    Examples
    --------
    >>> source = open_images(training_settings)
    >>> len(source.members), source.name(source.members[0])
    (160, 'C-NMC_training_data/fold_0/all/UID_1_1_1_all.bmp')
    """
    images, cache = settings.images, Path(settings.cache_folder)
    if settings.synthetic:
        # The same cells whatever the run's seed, as with real ones: seeds tell how much is chance on the same data.
        source = Folder(sample.draw(cache / f"sample-{settings.sample_cells}", settings.sample_cells))
    elif images == "kaggle" or images.startswith("kaggle:"):
        source = Folder(download_kaggle(images.partition(":")[2] or KAGGLE_DATASET))
    elif images.lower().endswith(".zip"):
        source = ZipArchive(near(images, cache))
    elif images.lower().endswith(TAR_SUFFIXES):
        source = Folder(unpack_tar(images, cache / "unpacked" / _identity(Path(images))))
    else:
        source = Folder(images)
    if not source.members:
        raise InputError(f"There is no picture ({', '.join(pictures.SUFFIXES)}) in {source.path}: check the path.")
    if isinstance(source, Folder) and is_far(source.path) and not is_far(cache):
        print(f"{source.path} is on a network drive, where single files are slow: a zip of it would be copied at once.")
    return source


def is_far(path):
    """Whether a file lies on another machine.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    bool

    Examples
    --------
    In Colab, where Google Drive is connected::

        is_far("/content/drive/MyDrive/cells.zip")  # True
    """
    path, mounts = Path(path).resolve(), psutil.disk_partitions(all=True)
    holding = [mount for mount in mounts if path.is_relative_to(mount.mountpoint)]
    nearest = max(holding, key=lambda mount: len(mount.mountpoint), default=None)
    return nearest is not None and nearest.fstype.lower().startswith(NETWORK)


def near(path, cache):
    """Copy an archive from a network drive into the cache, once; one that is no farther than the cache stays there.

    Parameters
    ----------
    path : str or Path
    cache : Path

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If it does not exist, or the disk has no room for it.

    Examples
    --------
    An archive that is no farther than the cache is used where it is:

    >>> Path("cells.zip").touch()
    >>> near("cells.zip", "cache").name
    'cells.zip'
    """
    path, identity = Path(path), _identity(Path(path))
    if not is_far(path) or is_far(cache):
        return path
    copy = Path(cache) / "archives" / f"{identity}{path.suffix}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{copy}.lock"):
        if not copy.is_file():
            caching.require_space(copy.parent, path.stat().st_size)
            print(f"copying {path.name} from the network drive ({path.stat().st_size / 1e9:.1f} GB)", flush=True)
            with runs.atomic(copy) as partial:
                shutil.copyfile(path, partial)
    return copy


def _identity(path):
    """A name for what an archive holds, that changes when the file does."""
    if not path.is_file():
        raise InputError(f"The archive {path} does not exist: give a folder, an archive or 'sample'.")
    facts = f"{path.absolute()} {path.stat().st_size} {path.stat().st_mtime_ns}"
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def download_kaggle(dataset):
    """Download a Kaggle data set into kagglehub's cache, or find it there.

    A download that breaks is taken up again where it broke, which kagglehub sees to.

    Parameters
    ----------
    dataset : str
        ``"owner/name"``.

    Returns
    -------
    str
        The folder.

    Raises
    ------
    InputError
        If it fails several times.

    Examples
    --------
    It needs a network::

        download_kaggle("andrewmvd/leukemia-classification")  # a folder in kagglehub's cache
    """
    import kagglehub

    for attempt in range(KAGGLE_ATTEMPTS):
        time.sleep(attempt)  # seconds: a little longer each time
        try:
            return kagglehub.dataset_download(dataset)
        except Exception as error:  # kagglehub passes on errors of several libraries
            failure = error
    raise InputError(
        f"The Kaggle data set {dataset} could not be downloaded in {KAGGLE_ATTEMPTS} attempts "
        f"({type(failure).__name__}): check the network and the name, or give the path of a folder or zip archive."
    ) from failure
