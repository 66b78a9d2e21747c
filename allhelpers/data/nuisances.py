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
BLACK = (0, 0, 0)
COSINES = np.cos(np.arange(180) * (np.pi / 90))  # of OpenCV's hues, which are half degrees
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
        within the cell); distance of the cell's centre of mass from the image's centre, as a share
        of its half diagonal; share of the image's border that the cell touches; height, width and
        bytes of the file.

    Examples
    --------
    >>> image = np.zeros((64, 64, 3), np.uint8)
    >>> image[16:48, 16:48] = 200
    >>> dict(zip(NAMES, measure_nuisances(image).tolist()))["area"]
    1024.0
    """
    height, width = image.shape[:2]
    mask = cv2.bitwise_not(cv2.inRange(image, BLACK, BLACK))
    area = cv2.countNonZero(mask)
    if not area:
        return np.array([0, 0, 0, 0, 0, 0, 0, height, width, size_in_bytes], np.float32)
    left, top, across, down = cv2.boundingRect(mask)
    box = np.s_[top : top + down, left : left + across]
    inside, cell = np.ascontiguousarray(mask[box]), image[box]
    grey = cv2.cvtColor(cell, cv2.COLOR_RGB2GRAY)
    hsv = cv2.cvtColor(cell, cv2.COLOR_RGB2HSV)
    hues = cv2.calcHist([hsv], [0], inside, [180], [0, 180]).ravel()
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F), mask=inside)
    moments = cv2.moments(inside, binaryImage=True)
    y, x = (moments[name] / area for name in ("m01", "m10"))
    offset = np.hypot(y + top - (height - 1) / 2, x + left - (width - 1) / 2)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean() / 255
    values = [area, cv2.mean(grey, inside)[0], hues @ COSINES / area, cv2.mean(hsv, inside)[1]]
    values += [deviation.ravel()[0] ** 2, offset / np.hypot(height / 2, width / 2), border]
    values += [height, width, size_in_bytes]
    return np.array(values, np.float32)
