"""Photographs of smears: finding, reading and dividing them."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ._seam import TIFF, InputError, image_size, listing

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
# First bytes of the formats that are decoded; nothing else reaches a decoder.
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", *TIFF, b"BM", b"RIFF")
MOST_BYTES = 2 * 1024**3
MOST_PIXELS = 250 * 10**6  # 0.75 GB in memory; whole-slide formats are another thing
LEAST_SIDE = 32  # pixels; smaller than any cell
TILE = 1536  # pixels of a reduced tile; some 0.2 GB of densities and masks
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras use within 16

Part = tuple[slice, ...]

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our sentence says it


def find_fields(source: str | Path) -> list[Path]:
    """Photographs under a folder, or the one that is named.

    Parameters
    ----------
    source : str or Path
        A folder, with all folders in it, or one file.

    Returns
    -------
    list of Path
        Sorted by name. Names that begin with a dot are passed over.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> _ = cv2.imwrite("field.png", np.zeros((40, 40, 3), np.uint8))
    >>> [path.name for path in find_fields(".")]
    ['field.png']
    """
    source = Path(source)
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"{source} does not exist: give a photograph or a folder of them.")
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = [path for path in paths if not path.name.startswith(".") and path.is_file()]
    if not paths:
        raise InputError(
            f"There are no photographs in {source}: their names must end in {listing(SUFFIXES, 9)}."
        )
    return paths


def read_field(path: str | Path) -> np.ndarray:
    """Read a photograph.

    Parameters
    ----------
    path : str or Path
        JPEG, PNG, TIFF, BMP or WebP, in colour, with 8 or 16 bits.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        RGB. 16 bits are reduced to 8 by the camera's depth; transparency is dropped.

    Raises
    ------
    InputError
        If it cannot be read, is damaged, grey, tiny or far too large.

    Examples
    --------
    >>> _ = cv2.imwrite("field.tif", np.full((40, 50, 3), 60_000, np.uint16))
    >>> read_field("field.tif").shape, read_field("field.tif").max()
    ((40, 50, 3), np.uint8(234))
    """
    image = _decoded(_content(Path(path)), path)
    if image.ndim != 3 or image.shape[2] < 3:
        raise InputError(f"{path} is grey: white cells are found by their colour; scan in colour.")
    return cv2.cvtColor(_eight_bits(image[..., :3], path), cv2.COLOR_BGR2RGB)


def _decoded(content: np.ndarray, path: str | Path) -> np.ndarray:
    """Pixels of a file, once its header says that they can be held."""
    try:
        width, height = image_size(content)
        image = None
        if width * height <= MOST_PIXELS and min(width, height) >= LEAST_SIDE:
            image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except Exception as error:  # decoders raise errors of many kinds for headers without sense
        raise InputError(f"{path} is damaged and cannot be decoded: copy it again.") from error
    if width * height > MOST_PIXELS:
        raise InputError(f"{path} has {width:,} x {height:,} pixels: divide the scan into parts.")
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"{path} has {width} x {height} pixels, too few for a cell: remove it.")
    if image is None:
        raise InputError(f"{path} is damaged and cannot be decoded: copy it again or remove it.")
    return image


def _content(path: Path) -> np.ndarray:
    """Bytes of a file that can be an image."""
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MOST_BYTES:
                raise InputError(f"{path} is larger than 2 GiB: divide the scan into parts.")
            content = np.fromfile(stream, np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the file.") from error
    if not len(content):
        raise InputError(f"{path} is an empty file: copy it again or remove it.")
    if not content[:8].tobytes().startswith(SIGNATURES):
        raise InputError(f"{path} is no JPEG, PNG, TIFF, BMP or WebP image: convert or remove it.")
    return content


def _eight_bits(image: np.ndarray, path: str | Path) -> np.ndarray:
    """Reduce 16 bits to 8: cameras of 10, 12 or 14 bits leave the upper ones empty."""
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype != np.uint16:
        raise InputError(
            f"{path} holds {image.dtype} values: save it with 8 or 16 bits per colour."
        )
    depth = next(bits for bits in DEPTHS if int(image.max()) < 2**bits)
    return (image >> (depth - 8)).astype(np.uint8)


def tiles(shape: tuple[int, ...], *, margin: int, scale: float) -> Iterator[tuple[Part, Part]]:
    """What is looked at at once, so that memory is bounded, and what of it belongs to it alone."""
    side = max(int(TILE / scale), 2 * margin)  # they will be reduced by the scale
    for inner in itertools.product(_parts(shape[0], side), _parts(shape[1], side)):
        yield around(inner, margin), inner


def around(place: tuple[slice, ...], margin: int) -> tuple[slice, ...]:
    """A window with a margin; beyond the field it ends by itself."""
    return tuple(slice(max(0, part.start - margin), part.stop + margin) for part in place)


def _parts(length: int, side: int) -> list[slice]:
    """Equal parts of about that side."""
    edges = np.linspace(0, length, max(1, round(length / side)) + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]
