"""Signs that a training has gone wrong, each in one sentence with its likely cause.

What is found stands among the notes of every output: the notebook, metrics.json, the model card and the report. A loss
that is not finite does not get so far: it stops the training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import manifest as manifests
from ..data import tables

if TYPE_CHECKING:
    import pandas as pd

    from ..data.loading import Cells
    from ..networks.building import Network

# Pooled features of ImageNet networks differ between cells by 11 to 16 % of their mean size (MobileNet, ResNet50;
# calibrated random VGG16: 2.3 %), ResNet50's on pixels divided by 255 by 0.6 %. Measured on C-NMC cells.
LEAST_SPREAD = 0.01

SPREAD_CELLS = 256

# Training and validation differ by less than this unless the network behaves otherwise when it is tested.
MOST_GAP = 0.25


def diagnose(
    network: Network,
    features: np.ndarray,
    cells: Cells,
    history: pd.DataFrame,
    predictions: pd.DataFrame,
) -> list[str]:
    """Look for signs that a training has gone wrong.

    Parameters
    ----------
    network : networks.Network
    features : array of shape (orientations, cells, ...)
        What the tail was trained on.
    cells : loading.Cells
    history : DataFrame
        From `finetuning.train`.
    predictions : DataFrame
        Of the cells of validation and test.

    Returns
    -------
    list of str
        Sentences without full stop, which name the network; empty if all is well.

    Examples
    --------
    >>> import pandas as pd
    >>> features = np.random.default_rng(1).normal(size=(1, 160, 8))
    >>> history = pd.DataFrame({"accuracy": [0.95], "val_accuracy": [0.6]})
    >>> [sentence.split(": ")[1] for sentence in diagnose(network, features, cells, history, predictions)]
    ['training accuracy is 95% and validation accuracy 60%']
    """
    found = [
        *_missing_classes(cells),
        *_little_spread(network, features),
        *_one_class(predictions),
        *_gap(history),
    ]
    return [f"{network.architecture.title}: {sentence}" for sentence in found]


def spread(features: np.ndarray) -> float:
    """How much features tell cells apart: their deviation over the cells, as a share of their mean size."""
    values = np.asarray(features, np.float32)
    pooled = values.reshape(len(values), -1, values.shape[-1]).mean(axis=1)
    return float(pooled.std(axis=0).mean() / max(np.abs(pooled).mean(), np.finfo(np.float32).tiny))


def _missing_classes(cells: Cells) -> Iterator[Any]:
    """Sides of the split without cells of a class."""
    for side in ("train", "valid", "test"):
        labels = set(cells.table.loc[cells.table["split"] == side, "label"])
        missing = [manifests.class_title(label) for label in cells.classes if label not in labels]
        if labels and missing:
            yield (
                f"the {side} cells hold no {' and no '.join(missing)}, so their figures say little: choose another "
                "split or seed"
            )


def _little_spread(network: Network, features: np.ndarray) -> Iterator[Any]:
    if network.cut == "pixels":  # nothing is frozen
        return
    every = max(1, features.shape[1] // SPREAD_CELLS)
    found = spread(features[0][::every])
    if found < LEAST_SPREAD:
        yield (
            f"features of the frozen part hardly differ between cells ({found:.1%} of their mean size), as with "
            "wrong preprocessing or weights that do not belong to it"
        )


def _one_class(predictions: pd.DataFrame) -> Iterator[Any]:
    for side, group in predictions.groupby("split"):
        called = tables.predicted_labels(group).unique()
        if len(called) == 1 and len(group) > 1:
            yield (
                f"all {len(group)} {side} cells are called {manifests.class_title(called[0])}: nothing has been learnt, or "
                "batch normalisation behaves otherwise than in training (try another learning_rate or batch_norm)"
            )


def _gap(history: pd.DataFrame) -> Iterator[Any]:
    last = history.iloc[-1]
    gap = last["accuracy"] - last["val_accuracy"]
    if gap > MOST_GAP:
        yield (
            f"training accuracy is {last['accuracy']:.0%} and validation accuracy {last['val_accuracy']:.0%}: learnt "
            "by heart, or batch normalisation behaves otherwise than in training"
        )
