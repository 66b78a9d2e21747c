"""The whole cell around a nucleus: of several outlines the one that stands out most.

Densities are cut at several levels. The outline wins whose edge is sharpest, on a scale that is
nearly logarithmic (so that pale cytoplasm counts as much as dark), times how convex it is: no level
has to be right for all stains.
"""

import cv2
import numpy as np
from scipy.ndimage import binary_fill_holes

from . import stain
from .nuclei import components, disk, fill_holes, hull

# Lengths in red-cell diameters.
SMOOTH = 0.04
REACH = 0.91  # how far from its nucleus a cell can reach
FAR = 0.7  # distance from all nuclei at which red cells are red cells alone
NEAR = 0.12  # distance to the nucleus within which cytoplasm is cytoplasm
SHARE = 0.5  # of the way from the blueness of cytoplasm to that of red cells, beyond which is red
DENSE = 2.8  # green density by that of red cells, above which it is eosinophil granules
APART = 0.06  # least difference between the two in blue density by red and green
CLOSE = 0.07
OPEN = (0.15, 0.3)  # the second where something hangs on to the cell ...
SMOOTHLY = 0.89  # ... so that it fills less of its convex hull
HALO = 0.05  # rim around platelets
HOLE = 0.05  # area (square diameters) of a hole that is filled
LEVELS = (0.15, 0.2, 0.26, 0.34, 0.44, 0.56, 0.7)  # of the ceiling, at which outlines are tried
LEAST_LEVEL = 0.1  # density; the noise of glass
CEILING = 0.29  # density, by the nucleus's, above which differences do not count ...
CEILINGS = (0.25, 0.6)  # ... and its limits: else the nucleus's own edge would stand out most
KNEE = 0.14  # density around which the scale turns from linear to logarithmic
INSIDE = (0.08, 0.18)  # how far inside its outline the density of a cell is read
DRAW_IN = 0.3  # share of it at which the outline is drawn in the end
SHARP = 0.53  # what is sharper does not count more
CONVEX = 1.7  # power of the share of the convex hull that a cell fills


def smoothed(
    densities: np.ndarray, labels: np.ndarray, diameter: float
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Densities without noise, with the blueness and green density of the field's red cells in
    them; ``None``: there are too few.
    """
    densities = cv2.GaussianBlur(densities, (0, 0), max(0.8, SMOOTH * diameter))
    away = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 5)
    red = (away > FAR * diameter) & (stain.total(densities) > 0.2)
    if red.sum() <= 0.3 * diameter**2:
        return densities, None
    seen = densities[red]
    return densities, (float(np.median(blueness(seen))), float(np.median(seen[:, 1])))


def blueness(densities: np.ndarray) -> np.ndarray:
    """Blue density by that of red and green: haemoglobin's is high, that of cytoplasm low."""
    return densities[..., 2] / (densities[..., 0] + densities[..., 1] + 0.1)


def outline(
    densities: np.ndarray,
    nucleus: np.ndarray,
    *,
    others: np.ndarray,
    red: tuple[float, float] | None,
    diameter: float,
) -> tuple[np.ndarray, float, float]:
    """Mask of the cell, how sharp its outline is (0 to 1), and how convex (0 to 1)."""
    total = stain.total(densities)
    away = cv2.distanceTransform((~nucleus).astype(np.uint8), cv2.DIST_L2, 5)
    core = hull(nucleus) & ~others
    free = (away < REACH * diameter) & ~others & ~_red(densities, away, red, diameter)
    ceiling = float(np.clip(CEILING * np.median(total[nucleus]), *CEILINGS))
    edges = _edges(total, ceiling, diameter)
    best, most = (core, 0.0, 1.0), 0.0
    for level in sorted({max(LEAST_LEVEL, share * ceiling) for share in LEVELS}):
        filled = fill_holes(((total > level) & free) | core, HOLE * diameter**2).astype(np.uint8)
        closed = cv2.morphologyEx(filled, cv2.MORPH_CLOSE, disk(CLOSE * diameter))
        for opening in OPEN:
            mask = _grown(closed, core, nucleus, opening * diameter) & ~others
            sharp = float(edges[_rim(mask)].mean() / SHARP)
            convex = float(mask.sum() / max(1, hull(mask).sum()))
            merit = sharp * convex**CONVEX
            if merit > most:
                best, most = (mask, sharp, convex), merit
            if convex > SMOOTHLY:  # nothing hangs on to it
                break
    return _drawn_in(best[0], total, core, nucleus, diameter), *best[1:]


def _drawn_in(
    mask: np.ndarray, total: np.ndarray, core: np.ndarray, nucleus: np.ndarray, diameter: float
) -> np.ndarray:
    """Draw the outline in to a share of the density just inside: blur had carried it outwards."""
    inward = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    band = (inward > INSIDE[0] * diameter) & (inward < INSIDE[1] * diameter)
    if not band.any():
        return mask
    level = max(LEAST_LEVEL, DRAW_IN * min(1.0, float(np.median(total[band]))))
    dense = (mask & (total > level)).astype(np.uint8)
    return _grown(dense, core, nucleus, INSIDE[0] * diameter)


def _red(
    densities: np.ndarray, away: np.ndarray, red: tuple[float, float] | None, diameter: float
) -> np.ndarray:
    """Pixels of red cells, where the field's red cells and this cytoplasm differ in colour."""
    total, ratio = stain.total(densities), blueness(densities)
    near = (away < NEAR * diameter) & (away > 1) & (total > 0.12)
    own = float(np.median(ratio[near])) if near.sum() > 20 else np.inf
    if red is None or red[0] - own <= APART:
        return np.zeros(away.shape, bool)
    between = own + SHARE * (red[0] - own)
    return (ratio > between) & (total > 0.15) & (densities[..., 1] < DENSE * red[1])


def _edges(total: np.ndarray, ceiling: float, diameter: float) -> np.ndarray:
    """Slope of the nearly logarithmic density, per tenth of a red cell, up to `SHARP`."""
    scale = np.log1p(np.clip(total, 0, ceiling) / KNEE)
    across = cv2.Sobel(scale, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(scale, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.minimum(cv2.magnitude(across, down) * diameter / 10, SHARP)


def _grown(mask: np.ndarray, core: np.ndarray, nucleus: np.ndarray, opening: float) -> np.ndarray:
    """The part around the nucleus, without holes and without bridges narrower than the opening."""
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk(opening)) > 0
    labels = components(mask | core)
    own = np.bincount(labels[nucleus], minlength=1)
    own[0] = 0
    return binary_fill_holes(labels == own.argmax()) if own.any() else core


def _rim(mask: np.ndarray) -> np.ndarray:
    """Pixels on both sides of the outline; the photograph's own border is none."""
    square, mask = np.ones((3, 3), np.uint8), mask.astype(np.uint8)
    outer = cv2.dilate(mask, square, borderValue=0)
    return outer != cv2.erode(mask, square, borderValue=1)
