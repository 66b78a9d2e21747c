"""One picture file: the gate that it must pass, and its pixels."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy import sparse

from .._core.errors import InputError

INPUT_SIZE = 224  # pixels; the paper's

PICTURE_SIZE = 450  # pixels; the official files'

SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg")

FORMATS = ("BMP", "PNG", "JPEG")

# First bytes of the formats that are decoded; nothing else reaches a decoder.
SIGNATURES = (b"BM", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

MOST_BYTES = 64 * 1024**2  # a cell's picture has 0.6 MB; a larger file is a mistake or an attack

MOST_PIXELS = 4096**2  # likewise: a small file can claim a huge picture

WINDOW = 16  # pixels of the result

LEAST_OVERLAP = 1e-3  # of a pixel; OpenCV leaves less out (computeResizeAreaTab in its resize.cpp)


cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # our own sentence says what is wrong

cv2.setNumThreads(1)  # cells are decoded side by side, and one is too small to be divided


class UnusableError(InputError):
    """One picture does not pass the gate."""


def read(path: Path) -> bytes:
    """Bytes of a picture file."""
    try:
        with open(path, "rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size > MOST_BYTES:
                raise UnusableError(
                    f"{path} is larger than {MOST_BYTES >> 20} MiB, too large for a cell: remove it."
                )
            return stream.read()
    except OSError as error:
        raise UnusableError(
            f"{path} cannot be read ({error.strerror}): check the file and its permissions."
        ) from error


def decode(
    content: bytes,
    name: str,
    size: int = INPUT_SIZE,
    crop: int = 0,
    picture_size: int = PICTURE_SIZE,
    sha256: str | None = None,
) -> np.ndarray:
    """Decode one picture and resize it.

    Resizing is by pixel area (``cv2.INTER_AREA``), which averages where it shrinks and so does not alias.

    Parameters
    ----------
    content : bytes
        A BMP, PNG or JPEG file.
    name : str
        For error messages.
    size : int
        Height and width of the result, in pixels.
    crop : int
        Side of the central square that is kept, in pixels of the picture; 0: the whole picture, and a smaller one is
        always kept whole.
    picture_size : int
        Height and width that the picture must have, in pixels; 0: any.
    sha256 : str, optional
        What the file's SHA-256 must be.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
        RGB, 0..255.

    Raises
    ------
    UnusableError
        If the content is not the listed file, empty, of another format, damaged, of another size, not in 8-bit
        colour, or all black.

    Examples
    --------
    >>> Image.new("RGB", (450, 450), (120, 40, 160)).save("cell.bmp")
    >>> pixels = decode(read("cell.bmp"), "cell.bmp")
    >>> pixels.shape, pixels[0, 0].tolist()
    ((224, 224, 3), [120, 40, 160])
    """
    if not content:
        raise UnusableError(f"{name} is an empty file: copy or download it again.")
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise UnusableError(
            f"{name} is not the file that the manifest lists (SHA-256 differs): download it again."
        )
    _check_header(content, name, picture_size)
    picture = _pixels(content, name)
    if crop:
        top, left = (max(0, (side - crop) // 2) for side in picture.shape[:2])
        picture = picture[top : top + crop, left : left + crop]
    return cv2.cvtColor(resize(picture, size), cv2.COLOR_BGR2RGB)


def resize(picture: np.ndarray, size: int) -> np.ndarray:
    """Resize by pixel area, exactly as ``cv2.resize`` with ``cv2.INTER_AREA``, passing over the black around a cell."""
    height, width = picture.shape[:2]
    if (
        min(height, width) <= size or height % size == width % size == 0
    ):  # OpenCV has other rules for these
        return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    result = np.zeros((size, size, 3), np.uint8)
    rows = np.flatnonzero(picture.reshape(height, 3 * width).max(axis=1))
    if not len(rows):
        return result
    columns = (
        np.flatnonzero(picture[rows[0] : rows[-1] + 1].reshape(-1, 3 * width).max(axis=0)) // 3
    )
    across, x, source_x = _area_weights(width, size, columns[0], columns[-1] + 1)
    down, y, source_y = _area_weights(height, size, rows[0], rows[-1] + 1)
    seen = cv2.transpose(picture[source_y, source_x]).astype(np.float32)
    narrow = across @ seen.reshape(len(seen), -1)
    narrow = cv2.transpose(narrow.reshape(-1, source_y.stop - source_y.start, 3))
    small = down @ narrow.reshape(len(narrow), -1)
    result[y, x] = np.rint(small).reshape(y.stop - y.start, x.stop - x.start, 3)
    return result


def _area_weights(before: Any, after: Any, start: int, stop: int) -> Any:
    """Weights for source pixels ``start`` to ``stop``, and the slices of result and of source that they join."""
    step = WINDOW * before / after  # windows of whole steps, so that few matrices serve all cells
    first, last = int(start / step) * WINDOW, min(after, (int(stop / step) + 1) * WINDOW)
    return _area_window(before, after, first, last)


@functools.cache
def _area_window(before: Any, after: Any, first: Any, last: Any) -> Any:
    """Rows ``first`` to ``last`` of the weights: how much of each source pixel lies in a result pixel."""
    scale = before / after
    left, source = np.arange(first, last)[:, np.newaxis] * scale, np.arange(before)
    right = np.minimum(left + scale, before)
    overlap = np.minimum(right, source + 1) - np.maximum(left, source)
    weights = np.where(overlap > LEAST_OVERLAP, overlap / (right - left), 0).astype(np.float32)
    used = np.flatnonzero(weights.any(axis=0))
    sources = slice(int(used[0]), int(used[-1]) + 1)
    return sparse.csr_array(weights[:, sources]), slice(first, last), sources


def _check_header(content: bytes, name: str, picture_size: int) -> None:
    """Format and size, before any pixel is decoded."""
    if not content.startswith(SIGNATURES):
        raise UnusableError(f"{name} is not a BMP, PNG or JPEG picture: convert or remove it.")
    try:
        width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
    except Image.DecompressionBombError as error:
        raise UnusableError(f"{name} claims far too many pixels for a cell: remove it.") from error
    except Exception as error:  # Pillow raises errors of many kinds for headers that make no sense
        raise UnusableError(
            f"{name} is damaged and cannot be decoded: download it again or remove it."
        ) from error
    if width * height > MOST_PIXELS:
        raise UnusableError(
            f"{name} claims {width:,} x {height:,} pixels, too many for a cell: remove it."
        )
    if picture_size and (width, height) != (picture_size, picture_size):
        raise UnusableError(
            f"{name} is {width} x {height} pixels, not {picture_size} x {picture_size}: remove it, or say which size "
            "your pictures have (picture_size; 0: any)."
        )


def _pixels(content: bytes, name: str) -> Any:
    """The picture as BGR, if it is whole, in 8-bit colour and not black."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise UnusableError(
            f"{name} is damaged and cannot be decoded: download it again or remove it."
        )
    if picture.dtype != np.uint8:
        raise UnusableError(
            f"{name} has {8 * picture.itemsize} bits per channel, not 8: convert or remove it."
        )
    if picture.ndim != 3 or picture.shape[2] != 3:
        kind = {2: "grey"}.get(picture.ndim, "with transparency")
        raise UnusableError(
            f"{name} is {kind}, not a picture in colour (RGB): convert or remove it."
        )
    if not picture.any():
        raise UnusableError(f"{name} is all black, there is no cell in it: remove it.")
    return picture


def areas(pixels: np.ndarray, chunk: int = 256) -> np.ndarray:
    """Area of each cell: the pixels that are not black."""
    parts = [
        pixels[start : start + chunk].any(axis=-1).sum(axis=(1, 2))
        for start in range(0, len(pixels), chunk)
    ]
    return np.concatenate(parts)
