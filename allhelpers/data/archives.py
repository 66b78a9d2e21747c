"""Archives are unpacked within limits, so that a bomb or an escaping path does no harm."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from filelock import FileLock

from .._core.errors import InputError
from . import walking
from .images import SUFFIXES

UNPACKED_SUFFIXES = (*SUFFIXES, ".csv")
NOT_UNPACKED = ".not_unpacked"  # a list of the other files, one a line
# C-NMC 2019 has 15,114 images, 9.2 GB, which zip packs about 15 times.
MOST_MEMBERS = 1_000_000
MOST_UNPACKED = 200 * 10**9  # bytes
MOST_RATIO = 200  # of all unpacked bytes to the archive's own, ...
SMALL = 10**6  # ... which counts as so many bytes at least
COPY = 1024**2  # bytes that are copied at a time


class Limits:
    """What the members of an archive may be; the archive is refused as a whole."""

    def __init__(self, path: Path) -> None:
        self.path, self.members, self.bytes, self.packed = path, 0, 0, path.stat().st_size

    def check(self, name: str, plain: bool, size: int) -> None:
        """Check one member, before anything of it is unpacked."""
        self.members, self.bytes = self.members + 1, self.bytes + size
        most = min(MOST_UNPACKED, MOST_RATIO * max(self.packed, SMALL))
        problem = None
        if re.match(r"[/\\]|[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
            problem = f"its member {name!r} points outside of it"
        elif not plain:
            problem = f"its member {name!r} is a link or a device"
        elif self.members > MOST_MEMBERS:
            problem = f"it has more than {MOST_MEMBERS:,} members"
        elif self.bytes > most:
            problem = (
                f"it unpacks to more than {most / 1e9:,.1f} GB, which its "
                f"{self.packed / 1e6:,.1f} MB cannot hold"
            )
        if problem:
            raise InputError(
                f"The archive {self.path} is refused ({problem}): "
                "use one from a source that you trust."
            )


def unpack_tar(path: str | Path, folder: str | Path) -> Path:
    """Unpack the images and tables of a tar archive, all or nothing."""
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
                raise InputError(
                    f"The archive {path} cannot be unpacked ({reason}): copy or download it again."
                ) from error
            os.replace(Path(scratch) / "all", folder)
    return folder


def _unpack_members(archive: tarfile.TarFile, path: Path, folder: Path) -> None:
    limits, others = Limits(path), []
    folder.mkdir()
    for member in archive:
        limits.check(member.name, member.isfile() or member.isdir(), member.size)
        name = walking.spelled(member.name)
        if member.isfile() and name.lower().endswith(UNPACKED_SUFFIXES):
            target = folder / PurePosixPath(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None  # as it is a file
            with content as stream, open(target, "xb") as file:
                shutil.copyfileobj(stream, file, COPY)
        elif member.isfile():
            others.append(str(PurePosixPath(name)).replace("\n", " "))
    (folder / NOT_UNPACKED).write_text("\n".join(others), encoding="utf-8")


def not_unpacked(folder: Path) -> dict[str, str]:
    """The files that were left in the archive, with the rule by which they are passed over."""
    path = folder / NOT_UNPACKED  # which older versions have not left
    names = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name: walking.rule_of(name) for name in names}
