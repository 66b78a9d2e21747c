"""Optimizers, learning rates and activations on the same features, by the same validation cells.

Keras 3 has no Proximal Adagrad; its nearest relative there is Ftrl (McMahan et al. 2013), which
also adapts the step of each weight as Adagrad does and follows it by a proximal step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..evaluation import metrics
from ..networks import building, registry
from ..settings import ACTIVATIONS, OPTIMIZERS, TrainingSettings
from ..training import finetuning

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..settings import ChoicesSettings

Tables = tuple[pd.DataFrame, pd.DataFrame]


def compare_optimizers(features: np.ndarray, cells: Cells, settings: ChoicesSettings) -> Tables:
    """Train the paper's head with every optimizer, learning rate and seed."""
    points = [
        {"optimizer": optimizer, "learning_rate": rate, "seed": seed}
        for optimizer in OPTIMIZERS
        for rate in settings.rates
        for seed in settings.seed_list
    ]
    return _train_all(points, features, cells, settings)


def compare_activations(
    features: np.ndarray, cells: Cells, settings: ChoicesSettings, *, learning_rate: float
) -> Tables:
    """Train a head with a hidden layer, with SGD, every activation and seed."""
    fixed = {"learning_rate": learning_rate, "hidden_units": settings.hidden_units}
    points = [
        {"activation": activation, **fixed, "seed": seed}
        for activation in ACTIVATIONS
        for seed in settings.seed_list
    ]
    return _train_all(points, features, cells, settings)


def _train_all(
    points: list[dict], features: np.ndarray, cells: Cells, settings: ChoicesSettings
) -> Tables:
    architecture, size = registry.get(settings.architecture), features.shape[-1]
    runs, curves = [], []
    for point in tqdm(points, desc="heads", unit="head"):
        recipe = TrainingSettings(unfreeze="none", epochs=settings.epochs, **point)
        network = building.head_alone(architecture, recipe, channels=size, classes=cells.classes)
        history = finetuning.train(network, features, cells, quiet=True)
        predictions = finetuning.predict_cells(network, features, cells)
        f1 = {
            split: metrics.measure(group, resamples=0)["weighted_f1"]["value"]
            for split, group in predictions.groupby("split")
        }
        last = {"loss": history["loss"].iloc[-1], "val_loss": history["val_loss"].min()}
        runs.append({**point, **last, "val_f1": f1.get("val", np.nan), "test_f1": f1["test"]})
        curves.append(history[["epoch", "loss", "val_loss"]].assign(**point))
    return pd.DataFrame(runs), pd.concat(curves, ignore_index=True)


def summarise(runs: pd.DataFrame, choice: str) -> pd.DataFrame:
    """Each choice at the learning rate that validation prefers, over its seeds."""
    key, columns = [choice, "learning_rate"], ["loss", "val_loss", "val_f1", "test_f1"]
    means = runs.groupby(key, sort=False)["val_f1"].mean().reset_index()
    best = means.loc[means.groupby(choice, sort=False)["val_f1"].idxmax(), key]
    table = runs.merge(best).groupby(key, sort=False)[columns].agg(["mean", "std"])
    table = table.rename(columns={"std": "sd"}, level=1)
    table.columns = table.columns.map("_".join)
    return table.reset_index().sort_values("val_f1_mean", ascending=False, ignore_index=True)


def literature(summary: pd.DataFrame) -> str:
    """Whether the ranking of the paper's literature holds here, in one sentence."""
    loss = summary.set_index("optimizer")["loss_mean"]
    adaptive, older = loss[["adam", "rmsprop"]].max(), loss[["adagrad", "ftrl"]].min()
    holds = "holds" if adaptive < older else "does not hold"
    difference = summary["test_f1_mean"].max() - summary["test_f1_mean"].min()
    noise = summary["test_f1_sd"].max()
    chance = f" and by up to {noise:.3f} (SD) between seeds"
    if np.isnan(noise):
        chance = "; one seed says nothing of chance"
    losses = ", ".join(f"{name} {value:.3f}" for name, value in loss.sort_values().items())
    return (
        "The literature's ranking by training loss (Adam and RMSProp below Adagrad and its "
        f"proximal form) {holds} here: {losses}; test weighted F1 differs by {difference:.3f} "
        f"between optimizers at their best learning rate{chance}."
    )
