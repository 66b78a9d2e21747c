"""Colour: light that the stain takes away (Beer and Lambert), and the yardstick of the field.

It is measured against the clear glass of the same photograph, so that its tint does not count.
Nuclei absorb much red light (azure binds to DNA) and red cells hardly any, but blue (haemoglobin):
red plus green less blue is high in nuclei alone.
"""

import cv2
import numpy as np
from skimage.filters import threshold_otsu

BRIGHT = 95  # percentile of green light that clear glass reaches, even between crowded cells
NEAR = 12  # grey levels within which glass varies
MOST = 2.6  # densities beyond are noise of dark pixels
SAMPLES = 60  # rows or columns from which uneven light is measured
FLAT = 0.15  # density (sum of the colours) up to which a pixel can be glass
RIDGE = 0.02  # share of the pixels that speak for even light
LEAST_FOREGROUND = 0.12  # density summed over the three colours; the noise of glass stays below
NUCLEUS = 0.45  # least score of a nucleus; see `nucleus_score`
ROUND = 0.88  # area of a hole by that of its convex hull: central pallor is round, gaps are stars
LEAST_RED = 0.35  # diameter of a red cell by that of the largest white one; less are platelets
WHITE_TO_RED = 0.75  # diameter of a red cell by that of the largest white one, if none is seen
INSCRIBED = 1.15  # diameter of an oval, overlapped red cell by that of the disc within
ENOUGH = 3  # red cells from which their diameter is measured
WINDOW = 1024  # pixels; a part of a scan that is large enough to see some red cells
SHARE = 4  # a window that is not four red cells wide is too small


def glass(image: np.ndarray) -> np.ndarray:
    """Colour of the clear glass: the median of what is nearly the brightest in green."""
    colours = cv2.blur(image, (5, 5))[::2, ::2].reshape(-1, 3)
    green = colours[:, 1].astype(np.int16)
    near = np.abs(green - int(np.percentile(green, BRIGHT))) < NEAR
    return np.median(colours[near], axis=0)


def density(image: np.ndarray) -> np.ndarray:
    """Optical density of red, green and blue: 0 on glass; by a table, as there are 256 levels."""
    levels = np.arange(1, 257)[:, np.newaxis]
    table = -np.log(levels / (glass(image) + 1))
    return cv2.LUT(image, table.astype(np.float32)[np.newaxis])


def shading(densities: np.ndarray) -> np.ndarray:
    """Density of the glass itself where the light is uneven: a quadratic surface per colour.

    Only the yardstick needs it: around a single cell it would take pale cytoplasm for shade.
    """
    height, width = densities.shape[:2]
    step = max(1, min(height, width) // SAMPLES)
    sides = (np.linspace(-1, 1, len(range(0, length, step))) for length in (height, width))
    down, across = np.meshgrid(*sides, indexing="ij")
    terms = (np.ones_like(down), down, across, down**2, across**2, down * across)
    surface = np.stack(terms, axis=2)
    seen, values = surface.reshape(-1, 6), densities[::step, ::step].reshape(-1, 3)
    ridge = np.diag([0, 1, 1, 1, 1, 1]) * RIDGE * len(seen)  # flat where the glass is hidden
    fitted = np.zeros((6, 3))
    for _ in range(2):  # darker corners come in the second time
        glassy = np.abs((values - seen @ fitted).sum(axis=1)) < FLAT
        chosen = seen[glassy]
        fitted = np.linalg.solve(
            chosen.T @ chosen + ridge + np.eye(6) * 1e-6, chosen.T @ values[glassy]
        )
    small = (surface @ fitted).astype(np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def total(densities: np.ndarray) -> np.ndarray:
    """Density summed over the three colours."""
    return cv2.transform(densities, np.ones((1, 3)))


def nucleus_score(densities: np.ndarray, most: float = MOST) -> np.ndarray:
    """Red plus green less blue: high in nuclei, low in red cells and on glass."""
    return cv2.transform(np.minimum(densities, np.float32(most)), np.array([[1.0, 1.0, -1.0]]))


def is_purple(densities: np.ndarray) -> bool:
    """Whether pixels have a nucleus's colour: hair, shadows and ink absorb all colours alike."""
    red, green, blue = np.median(densities, axis=0)
    # the limits lie outside all nuclei of the development halves: at most 0.62, at least 0.23
    return bool(green > 0 and blue < 0.8 * green and red > 0.15 * green)


def red_cell_diameter(image: np.ndarray) -> float:
    """Diameter of a red cell in pixels, from up to five windows of the photograph."""
    height, width = image.shape[:2]
    step = 1
    while True:
        side = WINDOW * step
        spots = {(0.5, 0.5)} if max(height, width) <= side else _SPOTS
        found = [_of_window(_window(image, spot, side, step)) for spot in spots]
        found = [diameter for diameter in found if diameter]
        diameter = float(np.median(found)) * step if found else 0.0
        if max(height, width) <= side or 0 < diameter < side / SHARE:
            return diameter or min(height, width) / 2
        step *= 2


_SPOTS = {(0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)}


def _window(image: np.ndarray, spot: tuple[float, float], side: int, step: int) -> np.ndarray:
    """A square of the photograph around a spot, reduced so that it never has more pixels."""
    height, width = image.shape[:2]
    top, left = (
        max(0, min(int(share * length - side / 2), length - side))
        for share, length in zip(spot, (height, width), strict=True)
    )
    part = image[top : top + side, left : left + side]
    size = (max(1, part.shape[1] // step), max(1, part.shape[0] // step))
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA)


def _of_window(image: np.ndarray) -> float:
    """Diameter of red cells in one window; 0: nothing is there to be measured."""
    densities = density(image)
    densities -= shading(densities)
    discs, rows, columns = _discs(_filled(densities))
    if not len(discs):
        return 0.0
    score = cv2.GaussianBlur(nucleus_score(densities), (0, 0), 1)
    outside = (score < NUCLEUS + 0.15).astype(np.uint8)
    to_nucleus = cv2.distanceTransform(outside, cv2.DIST_L2, 5)[rows, columns]
    white = to_nucleus < discs
    largest = 2 * discs[white].max() if white.any() else 0.0
    red = discs[~white & (discs > LEAST_RED / 2 * largest)]
    if len(red) >= ENOUGH:
        return INSCRIBED * _middle(red)
    return WHITE_TO_RED * largest or _middle(discs)


def _filled(densities: np.ndarray) -> np.ndarray:
    """All cells of a window, their central pallor filled."""
    dark = cv2.GaussianBlur(np.clip(total(densities), 0, 1.5), (0, 0), 1)
    thin = dark[dark < 1.2]  # nuclei would draw the threshold up
    level = threshold_otsu(thin) if len(thin) and np.ptp(thin) > 0 else 0.3
    cells = (dark > max(LEAST_FOREGROUND, 0.8 * level)).astype(np.uint8)
    outlines, tree = cv2.findContours(cells, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = [] if tree is None else tree[0, :, 3]
    for outline, parent in zip(outlines, parents, strict=True):
        area = cv2.contourArea(outline)
        if parent >= 0 and (area < 20 or area > ROUND * cv2.contourArea(cv2.convexHull(outline))):
            cv2.drawContours(cells, [outline], -1, 1, -1)
    return cells


def _discs(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii of the largest discs within the cells, and where they lie."""
    inward = cv2.distanceTransform(np.pad(cells, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    inward = cv2.GaussianBlur(inward, (0, 0), 1.5)
    peaks = (inward == cv2.dilate(inward, np.ones((11, 11)))) & (inward > 4)
    rows, columns = np.nonzero(peaks)
    return inward[rows, columns], rows, columns


def _middle(radii: np.ndarray) -> float:
    """Diameter at which half of the discs' area is reached: specks count for little."""
    radii = np.sort(radii)
    area = np.cumsum(radii**2)
    return float(2 * radii[np.searchsorted(area, area[-1] / 2)])
