"""What can tell classes apart without being the cell: its size, light and colour, its place, and
the file.

They are measured on the whole image, before it is cut and resized, because that is where they are
known.
"""

from __future__ import annotations

import cv2
import numpy as np

# Measured on the pixels of an image; names as they stand in tables.
MEASURED = ("area", "brightness", "hue", "saturation", "sharpness", "off_centre", "border")
# Of the file itself.
OF_FILE = ("height", "width", "bytes")
NAMES = (*MEASURED, *OF_FILE)
TITLES = {
    "area": "cell area",
    "brightness": "brightness",
    "hue": "hue",
    "saturation": "saturation",
    "sharpness": "sharpness",
    "off_centre": "distance from the centre",
    "border": "contact with the border",
    "height": "image height",
    "width": "image width",
    "bytes": "file size",
}


def measure_nuisances(image: np.ndarray, *, size_in_bytes: int = 0) -> np.ndarray:
    """Measure what could be a shortcut.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
        RGB; black is background.
    size_in_bytes : int
        Of the file.

    Returns
    -------
    ndarray of shape (len(NAMES),), float32
        In the order of `NAMES`: area in pixels; mean brightness (0 to 255), mean hue (cosine of the
        angle, -1 to 1) and saturation (0 to 255) of the cell; sharpness (variance of the Laplacian
        within the cell, in units of the squared brightness); distance of the cell's centre of mass
        from the image's centre, as a share of its half diagonal; share of the image's border that
        the cell touches; height, width and bytes of the file.

    Examples
    --------
    >>> image = np.zeros((64, 64, 3), np.uint8)
    >>> image[16:48, 16:48] = 200
    >>> dict(zip(NAMES, measure_nuisances(image).tolist()))["area"]
    1024.0
    """
    height, width = image.shape[:2]
    mask = image.max(axis=-1) > 0
    area = int(mask.sum())
    if not area:
        return np.array([0, 0, 0, 0, 0, 0, 0, height, width, size_in_bytes], np.float32)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside, cell = mask[box], image[box]
    grey = cv2.cvtColor(cell, cv2.COLOR_RGB2GRAY)
    hsv = cv2.cvtColor(cell, cv2.COLOR_RGB2HSV)[inside]
    hue = np.cos(hsv[:, 0].astype(np.float32) * (np.pi / 90)).mean()  # OpenCV's hue: half degrees
    edges = cv2.Laplacian(grey, cv2.CV_32F)[inside]
    y, x = (
        np.flatnonzero(counts := inside.sum(axis=axis)) @ counts[counts > 0] / area
        for axis in (1, 0)
    )
    offset = np.hypot(y + rows[0] - (height - 1) / 2, x + columns[0] - (width - 1) / 2)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()
    brightness = grey[inside].mean()
    sharpness = edges.var() / brightness**2  # light alone makes no edge sharper
    values = [area, brightness, hue, hsv[:, 1].mean(), sharpness]
    values += [offset / np.hypot(height / 2, width / 2), border, height, width, size_in_bytes]
    return np.array(values, np.float32)
