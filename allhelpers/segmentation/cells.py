"""What is found in a field."""

from dataclasses import dataclass, field, replace

import numpy as np

BORDER = "cut by the border of the photograph"
CLUMP = "clump that cannot be separated"
SMUDGE = "smudge cell, or its cytoplasm is too pale to be seen"
RED = "no nucleus in it"


@dataclass(frozen=True)
class Cell:
    """One white cell of a field.

    Parameters
    ----------
    box : tuple of int
        Left, top, right and bottom in pixels of the field; right and bottom are the first outside.
    mask : ndarray of shape (bottom - top, right - left), bool
        The whole cell.
    nucleus : ndarray of the same shape, bool
    confidence : float
        From 0 to 1: how sharp the outline, how convex the cell and how dark its nucleus. It ranks
        cells for a second look and is no probability.
    touches_border : bool
    reason : str
        Why it is not cut out; empty: it is.
    kind : str
        Its class, where the user's boxes or masks name one.

    Examples
    --------
    >>> cell = Cell((10, 20, 13, 22), np.ones((2, 3), bool), np.zeros((2, 3), bool), 0.9)
    >>> cell.area, cell.reason
    (6, '')
    """

    box: tuple[int, int, int, int]
    mask: np.ndarray = field(repr=False)
    nucleus: np.ndarray = field(repr=False)
    confidence: float
    touches_border: bool = False
    reason: str = ""
    kind: str = ""

    @property
    def area(self) -> int:
        """Pixels of the whole cell."""
        return int(self.mask.sum())

    def moved(self, across: int, down: int) -> "Cell":
        """The same cell, seen from another corner: tiles are parts of a field."""
        left, top, right, bottom = self.box
        return replace(self, box=(left + across, top + down, right + across, bottom + down))


@dataclass(frozen=True)
class Segmentation:
    """What a segmenter has found in one field."""

    cells: list[Cell]  # those with a reason are listed and not cut out
    red_cell_diameter: float  # in pixels, measured or given: the yardstick of everything else
    note: str = ""  # a sentence where something about the field is odd

    @property
    def whole(self) -> list[Cell]:
        """Cells that can be cut out."""
        return [cell for cell in self.cells if not cell.reason]


def from_mask(
    mask: np.ndarray, nucleus: np.ndarray, confidence: float, *, reason: str = "", kind: str = ""
) -> Cell:
    """A cell from masks of the whole field, cropped to its box."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    crop = np.s_[top:bottom, left:right]
    box = (int(left), int(top), int(right), int(bottom))
    inner, sure = nucleus[crop] & mask[crop], round(float(confidence), 3)
    return Cell(box, mask[crop], inner, sure, reason=reason, kind=kind)


def of_photograph(cells: list[Cell], shape: tuple[int, ...]) -> list[Cell]:
    """Cells from top to bottom, those that the photograph cuts marked."""
    return [_at_border(cell, shape) for cell in sorted(cells, key=lambda c: (c.box[1], c.box[0]))]


def _at_border(cell: Cell, shape: tuple[int, ...]) -> Cell:
    """Say of a cell whether the photograph cuts it; any other reason stays the reason."""
    left, top, right, bottom = cell.box
    if left > 0 and top > 0 and right < shape[1] and bottom < shape[0]:
        return cell
    return replace(cell, touches_border=True, reason=cell.reason or BORDER)
