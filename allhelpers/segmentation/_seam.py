"""What this room takes from the rest of the package, in one place, so that it can move."""

import io

import numpy as np
import tifffile
import yaml
from PIL import Image

from .._core.errors import InputError, counted, legible, listing
from .._core.files import atomic, write_csv

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

__all__ = [
    "InputError",
    "atomic",
    "counted",
    "image_size",
    "legible",
    "listing",
    "read_yaml",
    "write_csv",
]


def image_size(content: np.ndarray) -> tuple[int, int]:
    """Width and height that a file's header claims, before any pixel is decoded."""
    stream = io.BytesIO(content.data)
    if content[:4].tobytes() in TIFF:  # Pillow knows no colour of 16 bits; scikit-image brings this
        with tifffile.TiffFile(stream) as file:
            page = file.pages.first
            return page.imagewidth, page.imagelength
    Image.MAX_IMAGE_PIXELS = None  # our own sentence says what is too large
    with Image.open(stream, formats=("JPEG", "PNG", "BMP", "WEBP")) as image:
        return image.size


def read_yaml(text: str) -> object:
    """Plain values of a YAML text; ``None`` where it makes no sense."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None
