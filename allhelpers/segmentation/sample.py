"""Drawn smears, to try the way without photographs: what they look like is made up."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .writing import save

GLASS, RED, PALLOR = (226, 224, 214), (196, 150, 142), (214, 196, 188)
CYTOPLASM, NUCLEUS = (184, 176, 212), (104, 62, 150)
RED_RADIUS = 15  # pixels
GAP = 4  # pixels between cells
SIZE = (240, 320)
LOBES = {"lymphoid": 1, "granular": 3}  # classes of the sample, by the lobes of their nuclei

# Centre (across, down), radius and that of the nucleus; then its lobes, if it has several
White = tuple[int, ...]


def draw_sample(folder: str | Path, *, patients: int = 3, seed: int = 2019) -> Path:
    """Draw smears of two classes, in ``CLASS/PATIENT/``, with white cells at and off the border.

    Parameters
    ----------
    folder : str or Path
        Where the photographs go; what is there already is drawn anew.
    patients : int
        Of each class, with two photographs each.
    seed : int
        Of the places of the cells.

    Returns
    -------
    Path
        The folder.

    Examples
    --------
    >>> sorted(path.as_posix() for path in draw_sample("smears", patients=1).rglob("*.png"))[:2]
    ['smears/granular/granular_1/granular_1_1.png', 'smears/granular/granular_1/granular_1_2.png']
    """
    rng = np.random.default_rng(seed)
    for kind, lobes in LOBES.items():
        for patient in (f"{kind}_{number}" for number in range(1, patients + 1)):
            for number in (1, 2):
                whites = _whites(lobes, rng)
                field, _, _ = smear(whites, size=SIZE, seed=int(rng.integers(1_000_000)))
                save(Path(folder) / kind / patient / f"{patient}_{number}.png", field)
    return Path(folder)


def _whites(lobes: int, rng: np.random.Generator) -> list[White]:
    """Two white cells within the field and one that its border cuts."""
    inner = 17 if lobes == 1 else 7
    places = ((90, 80), (220, 150), (8, 180))
    whites: list[White] = []
    for across, down in places:
        shift = int(rng.integers(-15, 16)) * (across > 8)
        whites.append((across + shift, down, int(rng.integers(24, 29)), inner, lobes))
    return whites


def smear(
    whites: Sequence[White] = (),
    *,
    size: tuple[int, int] = (180, 240),
    reds: int = 8,
    seed: int = 1,
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """A field, and the masks of its white cells and of their nuclei."""
    rng = np.random.default_rng(seed)
    field = np.full((*size, 3), GLASS, np.uint8)
    for centre in _free_places(whites, size, reds, rng):
        cv2.circle(field, centre, RED_RADIUS, RED, -1)
        cv2.circle(field, centre, RED_RADIUS // 3, PALLOR, -1)
    cells, nuclei = [], []
    for across, down, radius, inner, *lobes in whites:
        cell, nucleus = (np.zeros(size, np.uint8) for _ in range(2))
        cv2.circle(cell, (across, down), radius, 1, -1)
        for centre in _lobes((across, down), inner, *lobes):
            cv2.circle(nucleus, centre, inner, 1, -1)
        field[cell > 0], field[nucleus > 0] = CYTOPLASM, NUCLEUS
        cells.append(cell > 0)
        nuclei.append(nucleus > 0)
    noisy = cv2.GaussianBlur(field, (0, 0), 0.8) + rng.normal(0, 2, field.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), cells, nuclei


def _lobes(centre: tuple[int, int], radius: int, count: int = 1) -> list[tuple[int, int]]:
    """Centres of the lobes of a nucleus, in a row with gaps."""
    step = 2 * radius + 3
    return [(round(centre[0] + (k - (count - 1) / 2) * step), centre[1]) for k in range(count)]


def _free_places(
    whites: Sequence[White], size: tuple[int, int], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Places for red cells, apart from each other and from the white ones."""
    taken = [white[:3] for white in whites]
    places: list[tuple[int, int]] = []
    for _ in range(2000):
        if len(places) == count:
            break
        across, down = (int(rng.integers(RED_RADIUS, side - RED_RADIUS)) for side in size[::-1])
        apart = (np.hypot(across - x, down - y) - r for x, y, r in taken)
        if all(distance > RED_RADIUS + GAP for distance in apart):
            places.append((across, down))
            taken.append((across, down, RED_RADIUS))
    return places
