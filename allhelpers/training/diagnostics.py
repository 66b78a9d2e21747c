"""Signs that a training has gone wrong, each in one sentence with its likely cause.

They stand among the notes of every output: the notebook, metrics.json, the model card and the
report. A loss that is not finite does not get so far: it stops the training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..data import manifest as manifests
from ..data import tables

if TYPE_CHECKING:
    import pandas as pd

    from ..data.loading import Cells
    from ..networks.building import Network
    from .finetuning import Features

# Pooled features of ImageNet networks differ between cells by 11 to 16 % of their mean size
# (MobileNet, ResNet50; calibrated random VGG16: 2.3 %), ResNet50's on pixels divided by 255 by
# 0.6 %. Measured on C-NMC cells.
LEAST_VARIATION = 0.01
VARIATION_CELLS = 256
# Training and validation differ by less, unless the network behaves otherwise when it is tested.
MOST_GAP = 0.25


def diagnose(
    network: Network,
    features: Features,
    cells: Cells,
    *,
    history: pd.DataFrame,
    predictions: pd.DataFrame,
) -> list[str]:
    """Look for signs that a training has gone wrong.

    Parameters
    ----------
    network : Network
    features : array of shape (orientations, cells, ...)
        What the tail was trained on.
    cells : Cells
    history : DataFrame
        From `train`.
    predictions : DataFrame
        Of the cells of validation and test.

    Returns
    -------
    list of str
        Sentences without full stop, which name the network; empty if all is well.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> features = np.random.default_rng(1).normal(size=(1, 160, 8))
    >>> history = pd.DataFrame({"accuracy": [0.95], "val_accuracy": [0.6]})
    >>> outcome = {"history": history, "predictions": predictions}
    >>> [sign.split(": ")[1] for sign in diagnose(network, features, cells, **outcome)]
    ['training accuracy is 95% and validation accuracy 60%']
    """
    signs = [
        *_missing_classes(cells),
        *_little_variation(network, features),
        *_one_class(predictions),
        *_gap(history),
    ]
    return [f"{network.architecture.title}: {sentence}" for sentence in signs]


def variation(features: np.ndarray) -> float:
    """How much features tell cells apart: standard deviation over the cells, by mean size."""
    values = np.asarray(features, np.float32)
    pooled = values.reshape(len(values), -1, values.shape[-1]).mean(axis=1)
    return float(pooled.std(axis=0).mean() / max(np.abs(pooled).mean(), np.finfo(np.float32).tiny))


def _missing_classes(cells: Cells) -> Iterator[str]:
    for split in manifests.SPLITS:
        labels = set(cells.table.loc[cells.table["split"] == split, "label"])
        missing = [manifests.class_title(label) for label in cells.classes if label not in labels]
        if labels and missing:
            yield (
                f"the {split} cells hold no {' and no '.join(missing)}, so their figures say "
                "little: choose another split or seed"
            )


def _little_variation(network: Network, features: Features) -> Iterator[str]:
    if network.cut == "pixels":  # nothing is frozen
        return
    every = max(1, features.shape[1] // VARIATION_CELLS)
    share = variation(features[0][::every])
    if share < LEAST_VARIATION:
        yield (
            f"features of the frozen part hardly differ between cells ({share:.1%} of their mean "
            "size), as with wrong preprocessing or weights that do not belong to it"
        )


def _one_class(predictions: pd.DataFrame) -> Iterator[str]:
    for split, group in predictions.groupby("split"):
        labels = tables.predicted_labels(group).unique()
        if len(labels) == 1 and len(group) > 1:
            yield (
                f"all {len(group)} {split} cells are predicted as "
                f"{manifests.class_title(labels[0])}: nothing has been learnt, or "
                "batch normalisation behaves otherwise than in training (try another "
                "learning_rate or batch_norm)"
            )


def _gap(history: pd.DataFrame) -> Iterator[str]:
    last = history.iloc[-1]
    gap = last["accuracy"] - last["val_accuracy"]
    if gap > MOST_GAP:
        yield (
            f"training accuracy is {last['accuracy']:.0%} and validation accuracy "
            f"{last['val_accuracy']:.0%}: learnt by heart, or batch normalisation behaves "
            "otherwise than in training"
        )
