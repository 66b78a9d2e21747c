"""The embedded segmenter: OpenCV and scikit-image, no weights, no training."""

from dataclasses import replace

import cv2
import numpy as np
from scipy.ndimage import find_objects
from skimage.segmentation import watershed

from . import cytoplasm, nuclei, stain
from ._seam import InputError, counted
from .cells import CLUMP, SMUDGE, Cell, Segmentation, from_mask, of_photograph
from .fields import Part, around, tiles

DIAMETER = 56  # pixels to which a red cell is reduced: finer detail costs time and gains nothing
MARGIN = 3.5  # red-cell diameters by which tiles overlap: more than a white cell and its reach
LARGEST = 9.0  # area of a white cell in areas of a red one; a larger one is several
SHARED = 0.3  # share of a cell's outline along its neighbour, above which the line is a guess
BARE = 1.25  # area of a cell by that of its nucleus's hull: a smudge has no cytoplasm ...
RAGGED = 0.75  # ... and a ragged nucleus (share of its hull) ...
BLURRED = 0.35  # ... or no sharp edge
DARK = 1.0  # nucleus score that counts as wholly dark in the confidence


def segment(image: np.ndarray, *, red_cell_diameter: float | None = None) -> Segmentation:
    """Find the white cells of a field, each with its nucleus.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
        RGB.
    red_cell_diameter : float, optional
        In pixels; by default it is measured.

    Returns
    -------
    Segmentation

    Examples
    --------
    >>> segment(np.full((60, 80, 3), 230, np.uint8)).note
    'No white cells were found.'
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"A field is an RGB image of type uint8, not {image.dtype} of shape "
            f"{image.shape}: read it with read_field."
        )
    diameter = red_cell_diameter or stain.red_cell_diameter(image)
    scale = min(1.0, DIAMETER / diameter)
    cells, odd = [], 0
    for outer, inner in tiles(image.shape, margin=round(MARGIN * diameter), scale=scale):
        found, grey = _of_part(image[outer], diameter, scale)
        odd += grey
        moved = [cell.moved(outer[1].start, outer[0].start) for cell in found]
        cells += [cell for cell in moved if _lies_in(inner, cell)]
    cells = of_photograph(cells, image.shape)
    dark = counted(odd, "dark body").replace("bodys", "bodies")
    more = f"; {dark} of another colour: is it a stained smear?" if odd else "."
    note = "" if cells else f"No white cells were found{more}"
    return Segmentation(cells, round(float(diameter), 1), note)


def _lies_in(part: Part, cell: Cell) -> bool:
    """Whether the middle of its nucleus does, which is the same in all tiles that see the cell."""
    rows, columns = np.nonzero(cell.nucleus if cell.nucleus.any() else cell.mask)
    middle = cell.box[1] + rows.mean(), cell.box[0] + columns.mean()
    return all(side.start <= at < side.stop for side, at in zip(part, middle, strict=True))


def _of_part(image: np.ndarray, diameter: float, scale: float) -> tuple[list[Cell], int]:
    """White cells of one tile, and how many dark bodies have another colour."""
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    densities, reduced = stain.density(small), diameter * scale
    cells, odd = outlines(densities, nuclei.find(densities, reduced), reduced)
    return [full_size(cell, image.shape[:2], small.shape[:2]) for cell in cells], odd


def outlines(densities: np.ndarray, labels: np.ndarray, diameter: float) -> tuple[list[Cell], int]:
    """Cells around the nuclei of a label image, and how many dark bodies have another colour."""
    places, large = find_objects(labels), nuclei.large(labels, diameter)
    chosen = [
        label
        for label in large
        if stain.is_purple(densities[places[label - 1]][labels[places[label - 1]] == label])
    ]
    smooth, red = cytoplasm.smoothed(densities, labels, diameter)
    basins = _basins(smooth, labels, chosen)
    cells = []
    for label in chosen:
        window = around(places[label - 1], int(diameter))
        nucleus, away = labels[window] == label, basins[window] != label
        platelets = (labels[window] > 0) & ~nucleus
        halo = cv2.dilate(platelets.astype(np.uint8), nuclei.disk(cytoplasm.HALO * diameter)) > 0
        mask, sharp, convex = cytoplasm.outline(
            smooth[window], nucleus, others=(away | halo) & ~nucleus, red=red, diameter=diameter
        )
        inner = nuclei.outline(densities[window], mask, nucleus, diameter)
        dark = stain.nucleus_score(densities[window])[inner].mean() if inner.any() else 0.0
        confidence = np.cbrt(min(1.0, sharp) * convex * np.clip(dark / DARK, 0, 1))
        reason = _reason(mask, inner, away, sharp=sharp, diameter=diameter)
        cell = from_mask(mask, inner, confidence, reason=reason)
        cells.append(cell.moved(window[1].start, window[0].start))
    return cells, len(large) - len(chosen)


def _basins(smooth: np.ndarray, labels: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Which nucleus each pixel belongs to: watershed of the distance to the glass."""
    markers = np.where(np.isin(labels, chosen), labels, 0)
    if len(chosen) < 2:
        return np.full(labels.shape, chosen[0] if chosen else 0)
    cells = (stain.total(smooth) > 0.15).astype(np.uint8)
    return watershed(-cv2.distanceTransform(cells, cv2.DIST_L2, 5), markers)


def _reason(
    mask: np.ndarray, nucleus: np.ndarray, away: np.ndarray, *, sharp: float, diameter: float
) -> str:
    """What speaks against cutting a cell out; ``away`` is what belongs to other nuclei."""
    inner = mask.astype(np.uint8)
    rim = cv2.dilate(inner, np.ones((3, 3), np.uint8)) > inner
    shared = rim.any() and away[rim].mean() > SHARED  # along the watershed to another nucleus
    if shared or mask.sum() > LARGEST * nuclei.red_area(diameter):
        return CLUMP
    size, whole = nucleus.sum(), nuclei.hull(nucleus).sum() if nucleus.any() else 0
    # a nucleus without cytoplasm that is ragged or has no edge has burst in smearing
    burst = mask.sum() < BARE * whole and (size < RAGGED * whole or sharp < BLURRED)
    return SMUDGE if burst else ""


def full_size(cell: Cell, shape: tuple[int, int], reduced: tuple[int, int]) -> Cell:
    """A cell of the reduced field in pixels of the field itself."""
    if shape == reduced:
        return cell
    down, across = shape[0] / reduced[0], shape[1] / reduced[1]
    left, top, right, bottom = cell.box
    box = round(left * across), round(top * down), round(right * across), round(bottom * down)
    size = (box[2] - box[0], box[3] - box[1])
    mask, nucleus = (
        cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
        for part in (cell.mask, cell.nucleus)
    )
    return replace(cell, box=box, mask=mask, nucleus=nucleus)
