"""The eight symmetries of a square, none of which changes a cell's label."""

from __future__ import annotations

from typing import Any

import numpy as np

ORIENTATIONS = 8  # a square has 4 rotations, each with its reflection


def orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate by quarter turns, and reflect from 4 on: the 8 symmetries of a square, none of which changes a label.

    Parameters
    ----------
    pixels : array of shape (n, size, size, 3)
    orientation : int
        0 (as it is) to 7.

    Returns
    -------
    ndarray of the same shape

    Examples
    --------
    >>> picture = np.array([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    >>> orient(picture, 1)[0, :, :, 0].tolist()
    [[2, 4], [1, 3]]
    """
    turned = np.rot90(pixels, orientation % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if orientation >= 4 else turned)


class OrientedPixels:
    """Pixels as features of a network without a frozen part: turned when they are read, not kept eight times."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.dtype, self.shape = pixels, pixels.dtype, (ORIENTATIONS, *pixels.shape)

    def __getitem__(self, index: Any) -> Any:
        """As an array of shape (orientations, cells, ...) would give: ``[orientation]`` or ``[orientation, rows]``."""
        orientation, rows = index if isinstance(index, tuple) else (index, slice(None))
        if np.ndim(orientation) == 0:
            return orient(self.pixels[rows], orientation)
        pairs = zip(rows, orientation, strict=True)
        return np.concatenate([orient(self.pixels[row : row + 1], turn) for row, turn in pairs])
