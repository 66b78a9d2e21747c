"""Resizing by pixel area, exactly as OpenCV does it and in a fifth of its time.

Most of a cell's image is black, and black adds nothing to a mean: only the rectangle around the
cell is resized, as two products with sparse matrices.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

WINDOW = 16  # pixels of the result
LEAST_OVERLAP = 1e-3  # of a pixel; OpenCV leaves less out (computeResizeAreaTab in its resize.cpp)

Box = tuple[slice, slice]


def lit_box(image: np.ndarray) -> Box | None:
    """Rows and columns of an image around all that is not black, if there is anything."""
    height, width = image.shape[:2]
    lit = np.flatnonzero(image.reshape(height, -1).max(axis=1))
    if not len(lit):
        return None
    rows = slice(int(lit[0]), int(lit[-1]) + 1)
    lit = np.flatnonzero(image[rows].reshape(-1, 3 * width).max(axis=0)) // 3
    return rows, slice(int(lit[0]), int(lit[-1]) + 1)


def resize(image: np.ndarray, size: int, box: Box | None = None) -> np.ndarray:
    """Give what ``cv2.resize`` with ``cv2.INTER_AREA`` gives, to the bit; ``box``: `lit_box`'s."""
    height, width = image.shape[:2]
    # OpenCV has other rules for images that are enlarged, or divided by a whole number.
    if min(height, width) <= size or height % size == width % size == 0:
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    result = np.zeros((size, size, 3), np.uint8)
    box = box or lit_box(image)
    if not box:
        return result
    rows, columns = box
    across, x, source_x = _area_weights(width, size, columns.start, columns.stop)
    down, y, source_y = _area_weights(height, size, rows.start, rows.stop)
    cell = cv2.transpose(image[source_y, source_x]).astype(np.float32)
    narrow = across @ cell.reshape(len(cell), -1)
    narrow = cv2.transpose(narrow.reshape(-1, source_y.stop - source_y.start, 3))
    small = down @ narrow.reshape(len(narrow), -1)
    result[y, x] = np.rint(small).reshape(y.stop - y.start, x.stop - x.start, 3)
    return result


def _area_weights(
    before: int, after: int, start: int, stop: int
) -> tuple[sparse.csr_array, slice, slice]:
    """Weights for source pixels ``start`` to ``stop``, and the slices of result and source."""
    step = WINDOW * before / after  # windows of whole steps, so that few matrices serve all cells
    first, last = int(start / step) * WINDOW, min(after, (int(stop / step) + 1) * WINDOW)
    return _area_window(before, after, first, last)


@functools.cache
def _area_window(
    before: int, after: int, first: int, last: int
) -> tuple[sparse.csr_array, slice, slice]:
    """Rows ``first`` to ``last``: how much of each source pixel lies in a result pixel."""
    from scipy import sparse  # takes half a second to open

    scale = before / after
    left, source = np.arange(first, last)[:, np.newaxis] * scale, np.arange(before)
    right = np.minimum(left + scale, before)
    overlap = np.minimum(right, source + 1) - np.maximum(left, source)
    weights = np.where(overlap > LEAST_OVERLAP, overlap / (right - left), 0).astype(np.float32)
    used = np.flatnonzero(weights.any(axis=0))
    sources = slice(int(used[0]), int(used[-1]) + 1)
    return sparse.csr_array(weights[:, sources]), slice(first, last), sources
