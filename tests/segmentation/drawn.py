"""Small drawn smears with known answers, and where the real ones lie."""

from pathlib import Path

import cv2
import numpy as np
import pytest

SMEARS = Path(__file__).resolve().parents[3] / "shared" / "smears"
needs_smears = pytest.mark.skipif(
    not SMEARS.is_dir(), reason="real smears (../shared/smears) are not on this machine"
)

GLASS, RED, PALLOR = (226, 224, 214), (196, 150, 142), (214, 196, 188)
CYTOPLASM, NUCLEUS, PLATELET = (184, 176, 212), (104, 62, 150), (140, 100, 170)
RADIUS = 15  # pixels of a red cell


def smear(
    whites: list[tuple] = (), *, size: tuple[int, int] = (180, 240), reds: int = 8, seed: int = 1
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """A field, and the masks of its white cells and of their nuclei.

    A white cell is given by its centre (across, down), its radius and that of its nucleus; a
    fifth value draws so many lobes instead of one nucleus.
    """
    rng = np.random.default_rng(seed)
    field = np.full((*size, 3), GLASS, np.uint8)
    for centre in _free_places(whites, size, reds, rng):
        cv2.circle(field, centre, RADIUS, RED, -1)
        cv2.circle(field, centre, RADIUS // 3, PALLOR, -1)
    cells, nuclei = [], []
    for across, down, radius, inner, *lobes in whites:
        cell, nucleus = (np.zeros(size, np.uint8) for _ in range(2))
        cv2.circle(cell, (across, down), radius, 1, -1)
        for centre in _lobes((across, down), inner, *lobes):
            cv2.circle(nucleus, centre, inner, 1, -1)
        field[cell > 0] = CYTOPLASM
        field[nucleus > 0] = NUCLEUS
        cells.append(cell > 0)
        nuclei.append(nucleus > 0)
    blurred = cv2.GaussianBlur(field, (0, 0), 0.8).astype(float)
    noisy = blurred + rng.normal(0, 2, blurred.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), cells, nuclei


def _lobes(centre: tuple[int, int], radius: int, count: int = 1) -> list[tuple[int, int]]:
    """Centres of the lobes of a nucleus, in a row with gaps."""
    step = 2 * radius + 4
    return [(round(centre[0] + (k - (count - 1) / 2) * step), centre[1]) for k in range(count)]


def _free_places(
    whites: list[tuple], size: tuple[int, int], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Places for red cells, apart from each other and from the white ones."""
    taken, places = [(white[0], white[1], white[2]) for white in whites], []
    for _ in range(2000):
        if len(places) == count:
            break
        place = tuple(int(rng.integers(RADIUS + 2, side - RADIUS - 2)) for side in size[::-1])
        if all(np.hypot(place[0] - x, place[1] - y) > r + RADIUS + 4 for x, y, r in taken):
            places.append(place)
            taken.append((*place, RADIUS))
    return places


def write(path: Path, picture: np.ndarray) -> Path:
    """Write an RGB picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union."""
    return float((found & true).sum() / max(1, (found | true).sum()))


def whole(cell: object, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of a cell in the whole field."""
    mask = np.zeros(shape[:2], bool)
    left, top, right, bottom = cell.box
    mask[top:bottom, left:right] = getattr(cell, what)
    return mask
