"""One image file: the gate that it must pass, and its pixels."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from .._core.constants import IMAGE_SIZE, INPUT_SIZE
from .._core.errors import InputError
from .resizing import Box, lit_box, resize

SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff")
FORMATS = ("BMP", "PNG", "JPEG", "TIFF")
# First bytes of the formats that are decoded; nothing else reaches a decoder.
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
JPEG = b"\xff\xd8\xff"
SIGNATURES = (b"BM", b"\x89PNG\r\n\x1a\n", JPEG, *TIFF_SIGNATURES)

START_OF_SCAN = 0xDA
MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")  # that ends a scan: no stuffing, no restart
AN_EIGHTH: dict[str, Any] = {"fastdct": True, "min_height": 1, "min_width": 1, "min_factor": 8}

MOST_BYTES = 64 * 1024**2  # a cell's image has 0.6 MB; a larger file is a mistake or an attack
MOST_PIXELS = 4096**2  # likewise: a small file can claim a huge image

CELL = "cell"  # as a crop: the cell's own box
CELL_MARGIN = 0.04  # of the box, in black: convolutions see the cell's outline

DAMAGED = "is damaged, or of a kind that is not read: download it again, convert or remove it."

warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # of headers; and as to OpenCV:
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our sentence says what is wrong
cv2.setNumThreads(1)  # cells are decoded side by side, and one is too small to be divided


class UnusableError(InputError):
    """One image does not pass the gate."""


def read(path: Path) -> bytes:
    """Bytes of an image file, unless it is no file or too large for a cell."""
    try:
        # A pipe without a writer would block, a device may have no end: neither is opened.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnusableError(f"{path} is a folder, a pipe or a device and no image: remove it.")
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            content = b"" if size > MOST_BYTES else stream.read(size + 1)
            if len(content) > size:  # it grows, or does not know its size
                content += stream.read(MOST_BYTES + 1 - len(content))
    except OSError as error:
        raise UnusableError(
            f"{path} cannot be read ({error.strerror}): check the file and its permissions."
        ) from error
    if max(size, len(content)) > MOST_BYTES:
        raise UnusableError(
            f"{path} is larger than {MOST_BYTES >> 20} MiB, too large for a cell: remove it."
        )
    return content


def decode(
    content: bytes,
    name: object,
    *,
    size: int = INPUT_SIZE,
    crop: int | str = 0,
    image_size: int = IMAGE_SIZE,
) -> np.ndarray:
    """Decode one image as RGB, crop it and resize it by pixel area, which does not alias.

    ``crop``: side of the central square that is kept, or `CELL`; 0: the whole image.
    ``image_size``: what height and width must be; 0: any.
    """
    return cropped(decode_whole(content, name, image_size=image_size), size, crop)


def cropped(image: np.ndarray, size: int, crop: int | str, box: Box | None = None) -> np.ndarray:
    """The part of a whole image that is kept, at one size; ``box``: what `lit_box` gives."""
    if crop == CELL:
        return cut_to_cell(image, size)
    if crop:  # the side of the central square that is kept
        box = None
        top, left = (max(0, (side - int(crop)) // 2) for side in image.shape[:2])
        image = image[top : top + int(crop), left : left + int(crop)]
    return resize(image, size, box)


def cut_to_cell(image: np.ndarray, size: int) -> np.ndarray:
    """Stretch the cell's own box to one size, so that neither size nor place can be learnt."""
    lit = lit_box(image)
    assert lit  # nothing that is all black passes the gate
    box = image[lit]
    inner = round(size / (1 + CELL_MARGIN))
    interpolation = cv2.INTER_AREA if min(box.shape[:2]) > inner else cv2.INTER_LINEAR
    before = (size - inner) // 2
    result, place = np.zeros((size, size, 3), np.uint8), slice(before, before + inner)
    result[place, place] = cv2.resize(box, (inner, inner), interpolation=interpolation)
    return result


def decode_whole(
    content: bytes, name: object, *, image_size: int = IMAGE_SIZE, sha256: str = ""
) -> np.ndarray:
    """Decode one image as RGB, as it is, if it passes the gate."""
    if not content:
        raise UnusableError(f"{name} is an empty file: copy or download it again.")
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise UnusableError(
            f"{name} is not the file that the manifest lists (SHA-256 differs): download it again."
        )
    grey = _check_header(content, name, image_size)
    return cv2.cvtColor(_pixels(content, name, grey), cv2.COLOR_BGR2RGB)


def _check_header(content: bytes, name: object, image_size: int) -> bool:
    """Check format and size before any pixel is decoded; whether the image is grey."""
    if not content.startswith(SIGNATURES):
        raise UnusableError(
            f"{name} is not a BMP, PNG or JPEG, nor a TIFF image: convert or remove it."
        )
    try:
        header = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = header.size
        pages = getattr(header, "n_frames", 1) if content.startswith(TIFF_SIGNATURES) else 1
    except Image.DecompressionBombError as error:
        raise UnusableError(f"{name} claims far too many pixels for a cell: remove it.") from error
    except Exception as error:  # Pillow raises errors of many kinds for headers that make no sense
        raise UnusableError(f"{name} {DAMAGED}") from error
    if width * height > MOST_PIXELS:
        raise UnusableError(
            f"{name} claims {width:,} x {height:,} pixels, too many for a cell: remove it."
        )
    if image_size and (width, height) != (image_size, image_size):
        raise UnusableError(
            f"{name} is {width} x {height} pixels, not {image_size} x {image_size}: "
            "remove it, or say which size your images have (image_size; 0: any)."
        )
    if pages > 1:
        raise UnusableError(f"{name} holds {pages} images: save one of them by itself.")
    if header.mode == "LAB":  # whose colours depend on the decoder
        raise UnusableError(f"{name} is in CIELAB, not in RGB: convert or remove it.")
    return header.mode in ("L", "LA")


def _pixels(content: bytes, name: object, grey: bool) -> np.ndarray:
    """The image as BGR, if it is whole, in 8-bit colour and not black."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or not _is_sound(content):
        raise UnusableError(f"{name} {DAMAGED}")
    if image.dtype != np.uint8:
        raise UnusableError(
            f"{name} has {8 * image.itemsize} bits per channel, not 8: convert or remove it."
        )
    if image.ndim == 2 and grey and content.startswith(TIFF_SIGNATURES):  # as microscopes save
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.ndim == 3 and image.shape[2] == 4 and not grey and image[..., 3].min() == 255:
        image = np.ascontiguousarray(image[..., :3])  # nothing shows through
    if image.ndim != 3 or image.shape[2] != 3:
        kind = "grey" if grey or image.ndim == 2 else "with transparency"
        raise UnusableError(
            f"{name} is {kind}, not an image in colour (RGB): convert or remove it."
        )
    if not image.any():
        raise UnusableError(f"{name} is all black, there is no cell in it: remove it.")
    return image


def _is_sound(content: bytes) -> bool:
    """Whether a JPEG decodes without a warning, and needs its last byte for that."""
    if not content.startswith(JPEG):
        return True
    if not _decodes(content):
        return False
    # libjpeg does not warn of a stream that ends some bits early, as one that was changed does.
    end = _end_of_scan(content)
    if not end:
        return True
    last = 2 if content[end - 2 : end] == b"\xff\x00" else 1  # a stuffed byte counts for one
    return not _decodes(content[: end - last] + content[end:])


def _decodes(content: bytes) -> bool:
    """Whether libjpeg has nothing to say; at an eighth of the size, for which it reads all bits."""
    try:
        # What is printed in four inks has no way to grey.
        inks = simplejpeg.decode_jpeg_header(content)[2] in ("CMYK", "YCCK")
        simplejpeg.decode_jpeg(content, "CMYK" if inks else "GRAY", **AN_EIGHTH)
    except ValueError:
        return False
    return True


def _end_of_scan(content: bytes) -> int:
    """Where the bits of a JPEG of one scan end; 0 where it has several, or none that is found."""
    place = 2
    while content[place : place + 1] == b"\xff" and place + 4 < len(content):
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] == START_OF_SCAN:
            after = MARKER.search(content, place + 2 + length)
            return after.start() if after and after[0].endswith(b"\xd9") else 0
        place += 1 if content[place + 1] == 0xFF else 2 + length  # FF may be repeated
    return 0


def areas(pixels: np.ndarray, chunk: int = 256) -> np.ndarray:
    """Area of each cell: the pixels that are not black."""
    starts = range(0, len(pixels), chunk)
    return np.concatenate(
        [pixels[start : start + chunk].any(axis=-1).sum(axis=(1, 2)) for start in starts]
    )
