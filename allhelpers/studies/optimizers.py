"""Optimisers, step sizes and activations, compared on the same features by the same validation cells.

The paper's literature has Adam and RMSProp reach a lower loss than Adagrad and Proximal Adagrad, and compares six
activations. Keras 3 has no Proximal Adagrad; its nearest relative there is Ftrl (McMahan et al. 2013), which also
adapts the step of each weight as Adagrad does and follows it by a proximal step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..evaluation import metrics
from ..networks import building
from ..settings import ACTIVATIONS, OPTIMISERS, ChoicesSettings, TrainingSettings
from ..training import finetuning

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.registry import Architecture


def compare_optimisers(
    features: np.ndarray, cells: Cells, architecture: Architecture, settings: ChoicesSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train the paper's head with every optimiser, step size and seed.

    Parameters
    ----------
    features : array of shape (1, cells, channels)
        Pooled, from `trunk.compute_features`.
    cells : loading.Cells
    architecture : Architecture
    settings : ChoicesSettings

    Returns
    -------
    runs : DataFrame
        One row per training: optimiser, learning_rate, seed, final loss, lowest val_loss, weighted F1 of validation
        (valid_f1) and test (test_f1).
    curves : DataFrame
        One row per training and epoch: optimiser, learning_rate, seed, epoch, loss, val_loss.

    Examples
    --------
    >>> from allhelpers import architectures, settings
    >>> features = np.random.default_rng(1).normal(size=(1, 160, 8))
    >>> study = ChoicesSettings(learning_rates="0.01", seeds="1", epochs=1)
    >>> found, curves = compare_optimisers(features, cells, registry.get("mobilenet"), study)
    >>> found["optimiser"].tolist()
    ['sgd', 'adam', 'rmsprop', 'adagrad', 'ftrl']
    """
    points = [
        {"optimiser": optimiser, "learning_rate": rate, "seed": seed}
        for optimiser in OPTIMISERS
        for rate in settings.rates
        for seed in settings.seed_list
    ]
    return _train_all(points, features, cells, architecture, settings)


def compare_activations(
    features: np.ndarray,
    cells: Cells,
    architecture: Architecture,
    settings: TrainingSettings,
    learning_rate: float,
) -> Any:
    """Train a head with a hidden layer, with SGD, every activation and seed.

    Parameters
    ----------
    features, cells, architecture, settings
        As in `compare_optimisers`.
    learning_rate : float
        Of SGD.

    Returns
    -------
    runs, curves : DataFrame
        As in `compare_optimisers`, with activation in the place of optimiser.

    Examples
    --------
    It trains six heads per seed, which takes some seconds::

        found, curves = compare_activations(features, cells, architecture, settings, learning_rate=0.01)
        summarise(found, "activation")
    """
    fixed = {"learning_rate": learning_rate, "hidden": settings.hidden}
    points = [
        {"activation": activation, **fixed, "seed": seed}
        for activation in ACTIVATIONS
        for seed in settings.seed_list
    ]
    return _train_all(points, features, cells, architecture, settings)


def _train_all(
    points: Any,
    features: np.ndarray,
    cells: Cells,
    architecture: Architecture,
    settings: TrainingSettings,
) -> Any:
    found, curves = [], []
    for point in tqdm(points, desc="heads", unit="head"):
        recipe = TrainingSettings(unfreeze="none", epochs=settings.epochs, **point)
        network = building.head_alone(architecture, recipe, features.shape[-1], cells.classes)
        history = finetuning.train(network, features, cells, recipe, quiet=True)
        predictions = finetuning.predict_cells(network, features, cells)
        scores = {side: _weighted_f1(group) for side, group in predictions.groupby("split")}
        last = {"loss": history["loss"].iloc[-1], "val_loss": history["val_loss"].min()}
        found.append(
            {**point, **last, "valid_f1": scores.get("valid", np.nan), "test_f1": scores["test"]}
        )
        curves.append(history[["epoch", "loss", "val_loss"]].assign(**point))
    return pd.DataFrame(found), pd.concat(curves, ignore_index=True)


def _weighted_f1(predictions: pd.DataFrame) -> Any:
    return metrics.measure(predictions, resamples=0)["weighted_f1"]["value"]


def summarise(found: pd.DataFrame, choice: str) -> pd.DataFrame:
    """Each choice at the step size that validation prefers, over its seeds.

    Parameters
    ----------
    found : DataFrame
        The runs of `compare_optimisers` or `compare_activations`.
    choice : {"optimiser", "activation"}

    Returns
    -------
    DataFrame
        One row per choice, the best by validation first: learning_rate, mean and standard deviation over the seeds of
        loss, val_loss, valid_f1 and test_f1.

    Examples
    --------
    >>> found = {"optimiser": ["sgd"] * 4 + ["adam"] * 2, "learning_rate": [0.01, 0.01, 0.1, 0.1, 0.001, 0.001]}
    >>> found |= {"loss": 0.5, "val_loss": 0.6, "valid_f1": [0.5, 0.6, 0.7, 0.8, 0.7, 0.9], "test_f1": 0.7}
    >>> summarise(pd.DataFrame(found), "optimiser")[["optimiser", "learning_rate", "valid_f1_mean"]].values.tolist()
    [['adam', 0.001, 0.8], ['sgd', 0.1, 0.75]]
    """
    means = found.groupby([choice, "learning_rate"], sort=False)["valid_f1"].mean().reset_index()
    best = means.loc[
        means.groupby(choice, sort=False)["valid_f1"].idxmax(), [choice, "learning_rate"]
    ]
    rows = found.merge(best)
    columns = ["loss", "val_loss", "valid_f1", "test_f1"]
    table = rows.groupby([choice, "learning_rate"], sort=False)[columns].agg(["mean", "std"])
    table.columns = [
        f"{column}_{'sd' if kind == 'std' else kind}" for column, kind in table.columns
    ]
    return table.reset_index().sort_values("valid_f1_mean", ascending=False, ignore_index=True)


def literature(summary: pd.DataFrame) -> str:
    """Whether the ranking of the paper's literature holds here, in one sentence.

    Parameters
    ----------
    summary : DataFrame
        Of the optimisers, from `summarise`.

    Returns
    -------
    str

    Examples
    --------
    >>> found = {"optimiser": ["adam", "rmsprop", "sgd", "adagrad", "ftrl"], "loss_mean": [0.2, 0.3, 0.4, 0.5, 0.6]}
    >>> summary = pd.DataFrame(found).assign(test_f1_mean=[0.85, 0.84, 0.83, 0.82, 0.81], test_f1_sd=0.02)
    >>> literature(summary).split(": ")[0]
    "The literature's ranking by training loss (Adam and RMSProp below Adagrad and its proximal form) holds here"
    """
    loss = summary.set_index("optimiser")["loss_mean"]
    adaptive, older = loss[["adam", "rmsprop"]].max(), loss[["adagrad", "ftrl"]].min()
    holds = "holds" if adaptive < older else "does not hold"
    spread = summary["test_f1_mean"].max() - summary["test_f1_mean"].min()
    noise = summary["test_f1_sd"].max()
    chance = (
        "; one seed says nothing of chance"
        if np.isnan(noise)
        else f" and by up to {noise:.3f} (SD) between seeds"
    )
    return (
        f"The literature's ranking by training loss (Adam and RMSProp below Adagrad and its proximal form) {holds} "
        f"here: {', '.join(f'{name} {value:.3f}' for name, value in loss.sort_values().items())}; test weighted F1 "
        f"differs by {spread:.3f} between optimisers at their best step size{chance}."
    )
