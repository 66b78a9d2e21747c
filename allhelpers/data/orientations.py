"""The eight symmetries of a square, none of which changes a cell's label."""

from __future__ import annotations

import numpy as np

ORIENTATIONS = 8  # a square has 4 rotations, each with its reflection


def orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate images of shape (n, side, side, 3) by quarter turns, and reflect them from 4 on."""
    turned = np.rot90(pixels, orientation % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if orientation >= 4 else turned)


class OrientedPixels:
    """Pixels as features of a network without a frozen part: turned when they are read.

    Indexed as an array of shape (orientations, cells, ...) is, and not kept eight times.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.dtype, self.shape = pixels, pixels.dtype, (ORIENTATIONS, *pixels.shape)

    def __getitem__(self, index: int | tuple) -> np.ndarray:
        """``[orientation]``, ``[orientation, rows]`` or ``[orientation of each row, rows]``."""
        orientation, rows = index if isinstance(index, tuple) else (index, slice(None))
        if np.ndim(orientation) == 0:
            return orient(self.pixels[rows], orientation)
        pairs = zip(rows, orientation, strict=True)
        return np.concatenate([orient(self.pixels[row : row + 1], turn) for row, turn in pairs])
