"""The embedded segmenter: OpenCV and scikit-image, no weights, no training."""

import cv2
import numpy as np
from scipy.ndimage import find_objects
from skimage.segmentation import watershed

from . import cytoplasm, nuclei, stain
from ._seam import InputError, counted
from .cells import CLUMP, SMUDGE, Cell, Segmentation, at_border, from_mask
from .fields import tiles

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
    cells, odd = [], 0
    for tile in tiles(image.shape, margin=round(MARGIN * diameter), scale=scale_of(diameter)):
        part = image[tile.outer]
        found, grey = _of_part(part, diameter)
        odd += grey
        top, left = tile.outer[0].start, tile.outer[1].start
        cells += [cell.moved(left, top) for cell in found if tile.owns(_centre(cell))]
    cells = [at_border(cell, image.shape) for cell in cells]
    cells.sort(key=lambda cell: (cell.box[1], cell.box[0]))
    return Segmentation(cells, round(float(diameter), 1), _note(cells, odd))


def scale_of(diameter: float) -> float:
    """By how much a field is reduced, so that a red cell has `DIAMETER` pixels at most."""
    return min(1.0, DIAMETER / diameter)


def _note(cells: list[Cell], odd: int) -> str:
    """What is to be said about a field in which little was found."""
    if cells:
        return ""
    if odd:
        dark = counted(odd, "dark body").replace("bodys", "bodies")
        return f"No white cells were found; {dark} of another colour: is it a stained smear?"
    return "No white cells were found."


def _centre(cell: Cell) -> tuple[float, float]:
    """Row and column of the middle of its nucleus: the same in both tiles that see it."""
    rows, columns = np.nonzero(cell.nucleus if cell.nucleus.any() else cell.mask)
    return cell.box[1] + rows.mean(), cell.box[0] + columns.mean()


def _of_part(image: np.ndarray, diameter: float) -> tuple[list[Cell], int]:
    """White cells of one tile, and how many dark bodies have another colour."""
    scale = scale_of(diameter)
    small = image
    if scale < 1:
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    densities, reduced = stain.density(small), diameter * scale
    labels = nuclei.find(densities, reduced)
    large = nuclei.large(labels, reduced)
    purple = purple_ones(densities, labels, large)
    cells = outlines(densities, labels, purple, diameter=reduced)
    found = [full_size(cell, image.shape[:2], small.shape[:2]) for cell in cells]
    return found, len(large) - len(purple)


def purple_ones(densities: np.ndarray, labels: np.ndarray, chosen: list[int]) -> list[int]:
    """Labels that have the colour of nuclei."""
    places = find_objects(labels)
    return [
        label
        for label in chosen
        if stain.is_purple(densities[places[label - 1]][labels[places[label - 1]] == label])
    ]


def outlines(
    densities: np.ndarray, labels: np.ndarray, chosen: list[int], *, diameter: float
) -> list[Cell]:
    """Cells around the chosen nuclei of a label image."""
    smooth = cv2.GaussianBlur(densities, (0, 0), max(0.8, cytoplasm.SMOOTH * diameter))
    red = cytoplasm.red_cells(smooth, labels, diameter)
    basins, places = _basins(smooth, labels, chosen), find_objects(labels)
    cells = []
    for label in chosen:
        window = nuclei.around(places[label - 1], int(diameter))
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
    return cells


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
    if mask.sum() > LARGEST * np.pi / 4 * diameter**2 or _shared(mask, away) > SHARED:
        return CLUMP
    return SMUDGE if _is_smudge(mask, nucleus, sharp) else ""


def _is_smudge(mask: np.ndarray, nucleus: np.ndarray, sharp: float) -> bool:
    """A nucleus without cytoplasm that is ragged or has no edge: a cell burst in smearing."""
    if not nucleus.any():
        return False
    around = nuclei.hull(nucleus).sum()
    return bool(mask.sum() < BARE * around and (nucleus.sum() < RAGGED * around or sharp < BLURRED))


def _shared(mask: np.ndarray, away: np.ndarray) -> float:
    """Share of the outline that lies on the watershed to another nucleus."""
    inner = mask.astype(np.uint8)
    rim = cv2.dilate(inner, np.ones((3, 3), np.uint8)) > inner
    return float(away[rim].mean()) if rim.any() else 0.0


def full_size(cell: Cell, shape: tuple[int, int], reduced: tuple[int, int]) -> Cell:
    """A cell of the reduced field in pixels of the field itself."""
    if shape == reduced:
        return cell
    down, across = shape[0] / reduced[0], shape[1] / reduced[1]
    left, top, right, bottom = cell.box
    box = (
        round(left * across),
        round(top * down),
        round(right * across),
        round(bottom * down),
    )
    size = (box[2] - box[0], box[3] - box[1])
    masks = [
        cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
        for mask in (cell.mask, cell.nucleus)
    ]
    return Cell(**{**vars(cell), "box": box, "mask": masks[0], "nucleus": masks[1]})
