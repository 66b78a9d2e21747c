"""What can tell classes apart without being the cell: its size, light, colour, place, and the file.

They are measured on the whole image, before it is cut and resized: only there they are known.
"""

from __future__ import annotations

import cv2
import numpy as np

from .resizing import Box, lit_box

FORMATS = {b"BM": "BMP", b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"II": "TIFF", b"MM": "TIFF"}
FORMAT_NAMES = ("unknown", *dict.fromkeys(FORMATS.values()))
COLOUR_STEP = 3  # pixels: a ninth of them tells whether there is a colour
MOST_GREY = 4  # values between channels that a JPEG of grey may have
STANDARD_SUM = 3688  # of the standard's table for brightness, at quality 50
NO_LOSS = 101  # as a JPEG quality (1 to 100): the file has lost nothing
BLACK = (0, 0, 0)
COSINES = np.cos(np.arange(180) * (np.pi / 90))  # of OpenCV's hues, which are half degrees
TITLES = {  # by their names in tables
    "area": "cell area",
    "brightness": "brightness",
    "hue": "hue",
    "saturation": "saturation",
    "sharpness": "sharpness",
    "off_centre": "distance from the centre",
    "border": "contact with the border",
    # Of the file itself, known without a look at the cell.
    "height": "image height",
    "width": "image width",
    "bytes": "file size",
    "aspect": "image width to height",
    "colour": "colour or none",
    "format": "file format",
    "quality": "JPEG quality",
}
NAMES = tuple(TITLES)


def measure_nuisances(
    image: np.ndarray, *, content: bytes = b"", box: Box | None = None
) -> np.ndarray:
    """Measure what could be a shortcut; ``box``: what `lit_box` gives."""
    height, width = image.shape[:2]
    of_file = [height, width, len(content), width / height, has_colour(image), *_file(content)]
    box = box or lit_box(image)
    if not box:
        return np.array([0] * (len(NAMES) - len(of_file)) + of_file, np.float32)
    rows, columns = box
    cell = image[box]
    inside = cv2.bitwise_not(cv2.inRange(cell, BLACK, BLACK))
    area = cv2.countNonZero(inside)
    grey = cv2.cvtColor(cell, cv2.COLOR_RGB2GRAY)
    hsv = cv2.cvtColor(cell, cv2.COLOR_RGB2HSV)
    hues = cv2.calcHist([hsv], [0], inside, [180], [0, 180]).ravel()
    brightness = cv2.mean(grey, inside)[0]
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S), mask=inside)
    sharpness = (deviation.ravel()[0] / brightness) ** 2  # light alone makes no edge sharper
    y, x = (_centre(inside, axis) for axis in (1, 0))
    offset = np.hypot(y + rows.start - (height - 1) / 2, x + columns.start - (width - 1) / 2)
    apart = rows.start and columns.start and rows.stop < height and columns.stop < width
    edges = [image[0], image[-1], image[:, 0], image[:, -1]]
    border = 0.0 if apart else np.concatenate(edges).any(axis=1).mean()
    values = [area, brightness, hues @ COSINES / area, cv2.mean(hsv, inside)[1], sharpness]
    values += [offset / np.hypot(height / 2, width / 2), border, *of_file]
    return np.array(values, np.float32)


def has_colour(image: np.ndarray) -> bool:
    """Whether pixels are of a colour; grey saved as RGB has none, but for what JPEG adds."""
    some = image[::COLOUR_STEP, ::COLOUR_STEP]
    # One row tells it of most images.
    for part in (some[len(some) // 2 :][:1], some):
        red, green, blue = cv2.split(np.ascontiguousarray(part))
        pairs = ((red, green), (red, blue), (green, blue))
        if any(cv2.absdiff(one, other).max() > MOST_GREY for one, other in pairs):
            return True
    return False


def _centre(inside: np.ndarray, axis: int) -> float:
    """Mean row (axis 1) or column (0) of what is not 0."""
    counts = cv2.reduce(inside, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel().astype(float)
    return float(counts @ np.arange(len(counts)) / counts.sum())


def _file(content: bytes) -> tuple[int, int]:
    """Format and JPEG quality of a file."""
    found = next((name for start, name in FORMATS.items() if content.startswith(start)), "unknown")
    quality = jpeg_quality(content) if found == "JPEG" else NO_LOSS
    return FORMAT_NAMES.index(found), quality


def jpeg_quality(content: bytes) -> int:
    """Quality from 1 to 100 at which a JPEG was saved, from the sum of its first table."""
    place = content.find(b"\xff\xdb")
    table = content[place + 5 : place + 69]
    if place < 0 or len(table) < 64 or content[place + 4] >> 4:
        return NO_LOSS
    # The tables of a quality are the standard's, scaled (libjpeg's ``jpeg_quality_scaling``).
    scale = sum(table) / STANDARD_SUM * 100
    return round(min(100, max(1, 100 - scale / 2 if scale <= 100 else 5000 / scale)))
