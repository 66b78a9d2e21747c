"""A saved network's probabilities for new pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..data import decoding, tables
from ..data.orientations import orient
from ..networks import building, registry
from ..networks.building import FORWARD_BATCH

if TYPE_CHECKING:
    from ..networks.building import Network


def probabilities(network: Network, pixels: np.ndarray) -> np.ndarray:
    """Probabilities of some cells, averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : networks.Network
    pixels : ndarray of shape (n, size, size, 3), uint8

    Returns
    -------
    ndarray of shape (n, classes)
        In the order of ``classes``.

    Examples
    --------
    >>> found = probabilities(network, cells.pixels[:3])
    >>> found.shape, found.sum(axis=1).round(3).tolist()
    ((3, 2), [1.0, 1.0, 1.0])
    """
    orientations = range(network.settings.average)
    return np.mean(
        [building.predict(network.full, orient(pixels, turn)) for turn in orientations],
        axis=0,
    )


def predict(network: Network, files: list[Path]) -> pd.DataFrame:
    """Classify picture files, prepared and averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : networks.Network
    files : list of Path

    Returns
    -------
    DataFrame
        Columns file, ``p_<class>`` of each class, predicted.

    Examples
    --------
    >>> from allhelpers import sources
    >>> files = sources.open_images(training_settings).members[:2]
    >>> list(predict(network, files))
    ['file', 'p_all', 'p_hem', 'predicted']
    """
    settings, found = network.settings, []
    for start in tqdm(range(0, len(files), FORWARD_BATCH), desc="classifying", unit="batch"):
        batch = files[start : start + FORWARD_BATCH]
        pixels = registry.check_pixels(
            np.stack([decoding.decode_file(path, settings) for path in batch])
        )
        found.append(probabilities(network, pixels))
    return table_of(network, files, np.concatenate(found))


def table_of(network: Network, files: list[str | Path], stated: np.ndarray) -> pd.DataFrame:
    """Probabilities as a table."""
    table = pd.DataFrame(stated, columns=[f"p_{label}" for label in network.classes])
    table.insert(0, "file", [str(path) for path in files])
    return table.assign(predicted=tables.predicted_labels(table))
