"""Nuclei: found by their colour, lobes of one joined, touching ones separated."""

import cv2
import numpy as np
from scipy.ndimage import find_objects
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from . import stain
from .fields import around

# Lengths in red-cell diameters, areas in areas of a red cell.
MOST_LEVEL = 1.1  # nucleus score; Otsu's threshold would grow with the darkest nucleus
SPECK = 0.02  # area below which a dark spot is no lobe
JOIN = 0.29  # gap between lobes of one nucleus
JOIN_SMALL = 0.8  # the same, where one of them is too small to be a nucleus of its own
SMALL = 0.4  # area of such a lobe
GLASS, SEEN = 0.12, 0.3  # density of glass, and its share between lobes, above which they are two
JOINED = 2.0  # longest side of what small lobes are joined to
JOINED_AREA = 1.2  # area of what a small lobe is joined to
LEAST = 0.28  # area of the smallest nucleus; platelets are smaller
ROUND = 0.55  # inner radius from which one of two touching bodies is a nucleus and no lobe
OVAL = 1.5  # its area by that of the largest disc in it; lobes are longer
NECK = 0.6  # width of the neck between them, by the smaller one's
SMOOTH = 0.04
FINE = 0.03  # smoothing for the outline
FLAT = 0.8  # score of the paler part by the darker's, above which both are nucleus
EDGE = 0.042  # rim of the cell whose colour is mixed with its surroundings
OPEN = 0.026
HOLE = 0.075  # area of a hole that is filled


def disk(radius: float) -> np.ndarray:
    """A round structuring element of at least one pixel."""
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def red_area(diameter: float) -> float:
    """Pixels of a red cell."""
    return np.pi / 4 * diameter**2


def areas(labels: np.ndarray) -> np.ndarray:
    """Pixels of each label; that of the background is set to 0."""
    found = np.bincount(labels.ravel())
    found[0] = 0
    return found


def components(mask: np.ndarray) -> np.ndarray:
    """Connected parts of a mask, numbered from 1."""
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]


def fill_holes(mask: np.ndarray, most: float) -> np.ndarray:
    """Fill holes of up to so many pixels."""
    labels = components(~mask)
    small = areas(labels) <= most
    small[0] = False
    return mask | small[labels]


def find(densities: np.ndarray, diameter: float) -> np.ndarray:
    """Label image of purple bodies, the lobes of a nucleus under one label."""
    score = cv2.GaussianBlur(stain.nucleus_score(densities, 2), (0, 0), max(0.7, SMOOTH * diameter))
    seen = score[score > 0.25]
    level = threshold_otsu(seen) if len(seen) > 50 and np.ptp(seen) > 0 else stain.NUCLEUS
    labels = components(score > np.clip(level, stain.NUCLEUS, MOST_LEVEL))
    mask = (areas(labels) >= SPECK * red_area(diameter))[labels]
    joined = components(cv2.dilate(mask.astype(np.uint8), disk(JOIN * diameter / 2)))
    joined[~mask] = 0
    return split(join_small(joined, densities, diameter), diameter)


def large(labels: np.ndarray, diameter: float) -> list[int]:
    """Labels that are large enough for the nucleus of a white cell."""
    return np.flatnonzero(areas(labels) >= LEAST * red_area(diameter)).tolist()


def join_small(labels: np.ndarray, densities: np.ndarray, diameter: float) -> np.ndarray:
    """Give each body that is too small for a nucleus to the nearest one of the same cell."""
    places, sizes = find_objects(labels), areas(labels)
    for label in np.flatnonzero((sizes > 0) & (sizes < SMALL * red_area(diameter))):
        window = around(places[label - 1], round(JOINED * diameter))
        part, total = labels[window], stain.total(densities[window])
        own = part == label
        if not own.any():  # joined to another one already
            continue
        away = cv2.distanceTransform((~own).astype(np.uint8), cv2.DIST_L2, 5)
        near = np.unique(part[(away < JOIN_SMALL * diameter) & (part > 0) & ~own])
        fitting = [other for other in near if _fits(own, part == other, total, diameter)]
        if fitting:
            part[own] = min(fitting, key=lambda other: away[part == other].min())
    return labels


def _fits(lobe: np.ndarray, other: np.ndarray, total: np.ndarray, diameter: float) -> bool:
    """Whether two bodies can be lobes of one nucleus: by size, and no glass between them."""
    both = lobe | other
    rows, columns = np.nonzero(both)
    longest = max(np.ptp(rows), np.ptp(columns))
    if longest > JOINED * diameter or other.sum() > JOINED_AREA * red_area(diameter):
        return False
    between = hull(both) & ~both
    return not between.any() or float(np.mean(total[between] < GLASS)) < SEEN


def hull(mask: np.ndarray) -> np.ndarray:
    """The convex hull of a mask."""
    points = np.argwhere(mask)[:, ::-1].astype(np.int32)
    return cv2.fillConvexPoly(mask.astype(np.uint8), cv2.convexHull(points), 1) > 0


def split(labels: np.ndarray, diameter: float) -> np.ndarray:
    """Separate round nuclei that touch, at their neck (distance transform and watershed)."""
    places, last = find_objects(labels), labels.max()
    for label in np.flatnonzero(areas(labels) > 2 * np.pi * (ROUND * diameter) ** 2):
        part = labels[places[label - 1]]
        own = part == label
        inward = cv2.distanceTransform(np.pad(own, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        parts = _at_neck(own, inward, diameter)
        if parts is not None:
            part[parts > 1] = parts[parts > 1] + last
            last += parts.max()
    return labels


def _at_neck(own: np.ndarray, inward: np.ndarray, diameter: float) -> np.ndarray | None:
    """Raise the water until the body falls into round nuclei, each wider than its neck."""
    for level in np.arange(0, NECK * inward.max(), max(1, 0.05 * diameter)):
        seeds = components(inward > level)
        if (count := seeds.max()) < 2:
            continue
        parts = watershed(-inward, seeds, mask=own)
        sizes = areas(parts)[1:]
        widths = np.array([inward[parts == part].max() for part in range(1, count + 1)])
        wide = widths > max(ROUND * diameter, level / NECK)
        if wide.sum() > 1 and (sizes[wide] < OVAL * np.pi * widths[wide] ** 2).all():
            return parts
    return None


def outline(
    densities: np.ndarray, cell: np.ndarray, rough: np.ndarray, diameter: float
) -> np.ndarray:
    """The nucleus within its cell: the darker of two classes, by Otsu's threshold."""
    fine = cv2.GaussianBlur(densities, (0, 0), max(0.7, FINE * diameter))
    score = stain.nucleus_score(fine)
    inner = cv2.erode(cell.astype(np.uint8), disk(EDGE * diameter), borderValue=1) > 0
    values = score[inner]
    if len(values) < 50 or np.ptp(values) == 0:
        return rough & cell
    level = threshold_otsu(values)
    pale, dark = values[values <= level].mean(), values[values > level].mean()
    if pale > FLAT * dark:  # hardly any cytoplasm: the threshold would part the chromatin
        return rough & cell
    mask = cv2.morphologyEx(
        ((score > level) & cell).astype(np.uint8), cv2.MORPH_OPEN, disk(OPEN * diameter)
    )
    labels = components(mask)
    sizes = areas(labels)
    mask = (sizes >= max(0.1 * sizes.max(), SPECK * diameter**2, 1))[labels]
    return fill_holes(mask, HOLE * diameter**2) if mask.any() else rough & cell
