"""One figure per field: what was found, what was left out, and why.

Drawn by OpenCV: a figure of matplotlib takes longer than finding the cells.
"""

import cv2
import numpy as np

from ._seam import counted
from .cells import Cell, Segmentation
from .parameters import RESEARCH_ONLY
from .writing import centred, cut_out, side_for

WIDTH = 640  # pixels of the field on the sheet
THUMB = 96  # pixels of a cell
MOST = 60  # cells that are shown beside the field; the tables list all
LINE = 18  # pixels of a line of text
FOUND, LEFT_OUT, NUCLEUS = (0, 130, 0), (200, 60, 0), (30, 60, 220)
PAPER, INK = 255, (20, 20, 20)

Colour = tuple[int, int, int]


def draw_contact_sheet(image: np.ndarray, found: Segmentation, *, title: str = "") -> np.ndarray:
    """Draw a field with its cells, numbered as in the tables.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
    found : Segmentation
    title : str

    Returns
    -------
    ndarray of shape (sheet's height, sheet's width, 3), uint8
        Green: cut out; orange: left out, with the reason below; blue: nuclei.

    Examples
    --------
    >>> field = np.full((60, 80, 3), 230, np.uint8)
    >>> draw_contact_sheet(field, Segmentation([], 20.0, "No white cells were found.")).ndim
    3
    """
    left = np.vstack([_field(image, found), _text(_lines(found, title))])
    columns = [left, *_thumbs(image, found)]
    height = max(map(len, columns))
    return np.hstack(
        [np.pad(c, ((0, height - len(c)), (0, 0), (0, 0)), constant_values=PAPER) for c in columns]
    )


def _field(image: np.ndarray, found: Segmentation) -> np.ndarray:
    """The photograph with outlines and numbers."""
    scale = WIDTH / image.shape[1]
    size = (WIDTH, max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    sheet = cv2.resize(image, size, interpolation=method)
    for number, cell in enumerate(found.cells, start=1):
        colour = LEFT_OUT if cell.reason else FOUND
        _outline(sheet, cell, cell.nucleus, scale, NUCLEUS)
        _outline(sheet, cell, cell.mask, scale, colour)
        corner = (int(cell.box[0] * scale) + 2, max(12, int(cell.box[1] * scale) - 3))
        _put(sheet, str(number), corner, colour, size=0.5)
    return sheet


def _outline(sheet: np.ndarray, cell: Cell, mask: np.ndarray, scale: float, colour: Colour) -> None:
    """Draw the outline of a mask on the reduced field."""
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    moved = [np.rint((line + cell.box[:2]) * scale).astype(np.int32) for line in lines]
    cv2.polylines(sheet, moved, True, colour, 1, cv2.LINE_AA)


def _lines(found: Segmentation, title: str) -> list[tuple[str, Colour]]:
    """What is said below the field."""
    out = [(number, cell) for number, cell in enumerate(found.cells, start=1) if cell.reason]
    many = f"{counted(len(found.whole), 'cell')} cut out, {len(out)} left out"
    reasons = [(f"{number}: {cell.reason}", LEFT_OUT) for number, cell in out[:MOST]]
    lines = [(title, INK), (many, INK), *reasons, (found.note, INK), (RESEARCH_ONLY, INK)]
    return [(line, colour) for line, colour in lines if line]


def _text(lines: list[tuple[str, Colour]]) -> np.ndarray:
    """Lines of text on paper."""
    sheet = np.full((LINE * len(lines) + 8, WIDTH, 3), PAPER, np.uint8)
    for row, (line, colour) in enumerate(lines, start=1):
        _put(sheet, line, (6, LINE * row), colour)
    return sheet


def _put(
    sheet: np.ndarray, text: str, corner: tuple[int, int], colour: Colour, size: float = 0.42
) -> None:
    """Text in OpenCV's font, which has ASCII only, as our sentences are."""
    text = text.encode("ascii", "replace").decode()
    cv2.putText(sheet, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def _thumbs(image: np.ndarray, found: Segmentation) -> list[np.ndarray]:
    """Columns of cells as they are cut out, all at one scale, with their numbers."""
    cells = [(number, cell) for number, cell in enumerate(found.cells, start=1) if not cell.reason]
    parts = [(number, cut_out(image, cell)) for number, cell in cells[:MOST]]
    side = side_for(max((side for _, part in parts for side in part.shape[:2]), default=0))
    squares = []
    for number, part in parts:
        square = cv2.resize(centred(part, side), (THUMB, THUMB), interpolation=cv2.INTER_AREA)
        cv2.putText(square, str(number), (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,) * 3, 1)
        squares.append(square)
    return [np.vstack(squares[start : start + 5]) for start in range(0, len(squares), 5)]
