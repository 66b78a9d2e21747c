"""Views of a cell that do not change its label: the eight symmetries of a square, and variants.

A view is a number: below 8 an orientation; from 8 on a variant, which is turned at random, a little
larger or smaller, and stained a little differently. The same cell has the same variants everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from .._core.constants import ORIENTATIONS

ZOOM = 0.1  # variants are so much larger or smaller at most
STAIN = 0.1  # and each channel's optical density is changed by so much, as stains and slides do


def orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate images of shape (n, side, side, 3) by quarter turns, and reflect them from 4 on."""
    turned = np.rot90(pixels, orientation % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if orientation >= 4 else turned)


def show(pixels: np.ndarray, view: int) -> np.ndarray:
    """Images of shape (n, side, side, 3) in one view."""
    if view < ORIENTATIONS:
        return orient(pixels, view)
    return np.stack([_vary(image, view) for image in pixels])


def _vary(image: np.ndarray, view: int) -> np.ndarray:
    """One variant of an image; black stays black."""
    image = np.ascontiguousarray(image)
    random = np.random.default_rng([view, zlib.crc32(image.tobytes())])
    turned = orient(image[np.newaxis], int(random.integers(ORIENTATIONS)))[0]
    side, scale = image.shape[0], 1 + random.uniform(-ZOOM, ZOOM)
    centre = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), 0, scale)
    zoomed = cv2.warpAffine(turned, matrix, (side, side))
    # A factor of the optical density is a power of the transmitted light.
    powers = 1 + random.uniform(-STAIN, STAIN, 3)
    table = (255 * (np.arange(256)[:, np.newaxis] / 255) ** powers).round().astype(np.uint8)
    return np.stack([cv2.LUT(zoomed[..., k], table[:, k]) for k in range(3)], axis=-1)


class OrientedPixels:
    """Pixels as features of a network without a frozen part: turned when they are read.

    Indexed as an array of shape (views, cells, ...) is, and not kept eight times.
    """

    def __init__(self, pixels: np.ndarray, views: Sequence[int] = range(ORIENTATIONS)) -> None:
        self.pixels, self.views, self.dtype = pixels, list(views), pixels.dtype
        self.shape = (len(self.views), *pixels.shape)

    def __getitem__(self, index: int | tuple) -> np.ndarray:
        """``[orientation]``, ``[orientation, rows]`` or ``[orientation of each row, rows]``."""
        orientation, rows = index if isinstance(index, tuple) else (index, slice(None))
        if np.ndim(orientation) == 0:
            return show(self.pixels[rows], self.views[orientation])
        pairs = zip(rows, orientation, strict=True)
        return np.concatenate(
            [show(self.pixels[row : row + 1], self.views[place]) for row, place in pairs]
        )
