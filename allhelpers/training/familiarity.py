"""What a network's training cells are like, so that it can say when an image is not like them.

Its features lie far from those of every training cell (Sun et al. 2022, "Out-of-distribution
detection with deep nearest neighbors", ICML), or its size, light, colour or sharpness are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.errors import InputError
from .._core.files import atomic, sha256
from ..data.nuisances import NAMES, TITLES

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network

MOST_KEPT = 1000  # training cells among which the nearest is looked for
# Of cells whose patient is not among those they are compared with, so many are nearer.
SHARE_NEARER = 0.99
# Nuisances that are compared, and how far apart training cells are taken to be at least: a set cut
# out to one size has no spread of its own. Areas and sharpness are compared by their logarithm.
COMPARED = {"area": 0.5, "brightness": 20, "hue": 0.2, "saturation": 20, "sharpness": 1}
BY_LOGARITHM = ("area", "sharpness")
SMALLEST = 1e-6  # whose logarithm is taken
SHARE_INSIDE = 0.99  # of the training cells; the range is then half as wide again on either side
WIDER = 0.5

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Familiarity:
    """What training cells are like.

    Examples
    --------
    >>> known = Familiarity(np.eye(3), 0.2, {"hue": (0.1, 0.6)})
    >>> known.reasons(np.array([[0, 2, 0], [1, 1, 1]]), np.full((2, len(NAMES)), 0.5))
    ['', 'far from every training cell: distance 0.423, of training cells below 0.200']
    """

    features: np.ndarray  # of training cells, of shape (cells, channels), as the head sees them
    farthest: float  # cosine distance to the nearest from which on an image is unlike them
    ranges: Ranges  # lowest and highest value of each nuisance; none where they are not known

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Cosine distance of each row to the nearest training cell."""
        return (1 - _unit(features) @ _unit(self.features).T).min(axis=1)

    def reasons(self, features: np.ndarray, measured: np.ndarray) -> list[str]:
        """Why each image, by features and `NAMES`, is unlike the cells; empty where it is not."""
        said = []
        for distance, row in zip(self.distances(features), measured, strict=True):
            far = not distance <= self.farthest
            reasons = [
                f"far from every training cell: distance {distance:.3f}, of training cells below "
                f"{self.farthest:.3f}"
            ] * far
            for name, (low, high) in self.ranges.items():
                value = row[NAMES.index(name)]
                if not low <= value <= high:
                    ends = f"{_short(low)} to {_short(high)}"
                    reasons.append(f"{TITLES[name]} {_short(value)}, of training cells {ends}")
            said.append("; ".join(reasons))
        return said

    def write(self, path: Path) -> dict[str, Any]:
        """Write the features; returns what the record must hold of all this."""
        with atomic(path) as partial, open(partial, "wb") as stream:
            np.save(stream, self.features.astype(np.float16))
        ranges = {name: list(ends) for name, ends in self.ranges.items()}
        return {"sha256": sha256(path), "farthest": self.farthest, "ranges": ranges}

    @classmethod
    def read(cls, path: Path, farthest: float, ranges: Ranges) -> Familiarity:
        """Open what was written; a forged file cannot claim more than it holds."""
        try:
            features = np.load(path, mmap_mode="r", allow_pickle=False)
            if features.ndim != 2 or features.dtype != np.float16 or not len(features):
                raise ValueError("other features than this project writes")
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path} cannot be used ({error}): use an unchanged run.") from error
        return cls(np.asarray(features, np.float32), farthest, ranges)


def familiar_cells(network: Network, features: np.ndarray, cells: Cells) -> Familiarity:
    """What the training cells are like, for `finish` to keep beside the model.

    Parameters
    ----------
    network : Network
        Trained.
    features : array of shape (orientations, cells, ...)
        From `compute_features`.
    cells : Cells

    Returns
    -------
    Familiarity

    Examples
    --------
    >>> from allhelpers.training import compute_features
    >>> known = familiar_cells(network, compute_features(network, cells), cells)
    >>> known.features.shape, sorted(known.ranges)[:2]
    ((20, 1024), ['area', 'brightness'])
    """
    train, val = (
        draw(cells.rows(split), network.settings.seed, MOST_KEPT) for split in ("train", "val")
    )
    seen, others = (head_features(network, features, rows) for rows in (train, val))
    patients = cells.table["patient"].fillna("").astype(str).to_numpy()
    rows = np.concatenate([train, val])
    distance = 1 - _unit(np.concatenate([seen, others])) @ _unit(seen).T
    same = (patients[rows, np.newaxis] == patients[train]) & (patients[train] != "")
    alone = rows[:, np.newaxis] == train  # a cell is no neighbour of itself
    apart = np.where(same | alone, np.inf, distance).min(axis=1)
    # Where there is one patient only, cells of that patient must do.
    nearest = np.where(np.isfinite(apart), apart, np.where(alone, np.inf, distance).min(axis=1))
    known = nearest[np.isfinite(nearest)]
    farthest = float(np.quantile(known, SHARE_NEARER)) if len(known) else 2.0
    return Familiarity(seen, farthest, _ranges(cells, train))


def draw(rows: np.ndarray, seed: int, most: int) -> np.ndarray:
    """Some rows at random, in their order, where there are more."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def head_features(network: Network, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Features of shape (rows, channels) as the head sees them, from those at the cut."""
    import keras

    from ..networks import building

    seen = building.head_input(network.tail)
    if seen is network.tail.input:
        return np.asarray(features[0][rows], np.float32)
    return building.predict_rows(keras.Model(network.tail.input, seen), features, rows)


def _ranges(cells: Cells, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    if cells.nuisances.empty or not len(rows):
        return {}
    ranges = {}
    for name, least in COMPARED.items():
        values = cells.nuisances[name].to_numpy(float)[rows]
        by_logarithm = name in BY_LOGARITHM
        values = np.log(np.maximum(values, SMALLEST)) if by_logarithm else values
        low, high = np.quantile(values, [(1 - SHARE_INSIDE) / 2, (1 + SHARE_INSIDE) / 2])
        wider = WIDER * max(high - low, least)
        ends = np.array([low - wider, high + wider])
        low, high = np.exp(ends) if by_logarithm else ends
        ranges[name] = (float(low), float(high))
    return ranges


def _unit(features: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of nothing stays so, at distance 1 from all."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2f}"
