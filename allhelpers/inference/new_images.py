"""New images where they lie: files, folders, zip and tar archives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from .._core.errors import InputError, listing
from ..data import images, sources
from ..data.images import SUFFIXES, UnusableError

if TYPE_CHECKING:
    from ..settings import DataSettings

AT_ONCE = 64  # images that are decoded while as many are classified


@dataclass(frozen=True)
class ImageFile:
    """An image that has not been read yet."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Decoded:
    """An image as a network takes it, and what was measured on it; or why it is of no use."""

    name: str
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(0))
    measured: np.ndarray = field(default_factory=lambda: np.zeros(0))
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether it has pixels."""
        return not self.reason


def find(paths: Iterable[str | Path], scratch: Path) -> list[ImageFile]:
    """Images of files, folders and archives; tar archives are unpacked into a folder of ours."""
    paths = [*paths]
    found = [image for path in paths for image in _in(Path(path), scratch)]
    if not found:
        raise InputError(
            f"There is no image ({', '.join(SUFFIXES)}) in {listing(paths)}: check the path."
        )
    return found


def _single(file: str | PurePath | ImageFile) -> ImageFile:
    if isinstance(file, ImageFile):
        return file
    return ImageFile(str(file), partial(images.read, Path(file)))


def _in(path: Path, scratch: Path) -> list[ImageFile]:
    name = path.name.lower()
    if path.is_dir():
        return [_single(each) for each in sources.cells_of(sources.Folder(path))]
    if not path.is_file():
        problem = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise InputError(
            f"{path} {problem}: give image files, a folder or an archive that holds some."
        )
    if name.endswith(".zip"):
        archive = sources.ZipArchive(path)
        members = sources.cells_of(archive)
        return [ImageFile(f"{path}/{each}", partial(archive.read, each)) for each in members]
    if name.endswith(sources.TAR_SUFFIXES):
        unpacked = sources.unpacked(path, scratch / f"{len(list(scratch.iterdir()))}")
        members = sources.cells_of(unpacked)
        names = [(f"{path}/{unpacked.name(each)}", each) for each in members]
        return [ImageFile(name, partial(images.read, Path(each))) for name, each in names]
    return [_single(path)]


def _decode(image: ImageFile, settings: DataSettings) -> Decoded:
    """One image, prepared as the settings say."""
    from ..data import decoding  # pandas takes a second: not for a misspelt name

    try:
        pixels, measured = decoding.decode_content(image.read(), image.name, settings)
    except UnusableError as error:
        return Decoded(image.name, reason=str(error))
    return Decoded(image.name, pixels, measured)


def decoded(
    files: Sequence[str | Path | ImageFile], settings: DataSettings, image_size: int | None = None
) -> Iterator[list[Decoded]]:
    """Images, some at a time; the next ones are decoded while the last ones are used."""
    if image_size is not None:
        settings = settings.model_copy(update={"image_size": image_size})
    parts = [files[start : start + AT_ONCE] for start in range(0, len(files), AT_ONCE)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def begin(part: Sequence[str | Path | ImageFile]) -> list[Future[Decoded]]:
            return [pool.submit(_decode, _single(file), settings) for file in part]

        waiting = begin(parts[0]) if parts else []
        for following in [*parts[1:], []]:
            current, waiting = waiting, begin(following)
            yield [future.result() for future in current]
