"""Figures of the studies: ResNet50's collapse, optimizers and activations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns

from . import base
from .base import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PREPARATIONS = {"own": "own preprocessing", "rescaled": "pixels / 255"}
NORMS = {"stored": "stored statistics", "live": "live in training"}
PAPER_ACCURACY = 36 / 70  # of ResNet50


def collapse(table: pd.DataFrame, features: Mapping[tuple[str, str], np.ndarray]) -> Figure:
    """ResNet50 in four ways: accuracy of each seed, and the SD of each pooled feature.

    Parameters
    ----------
    table : DataFrame
        From `studies.collapse.study`: one row per way and seed.
    features : mapping of (preparation, norm) to ndarray of shape (cells, channels)

    Returns
    -------
    Figure

    Examples
    --------
    In notebook 4::

        plotting.studies.collapse(studies.collapse.study(drawn, features, settings), features)
    """
    figure, (left, right) = base.new_figure(3.8, columns=2)
    ways = list(itertools.product(PREPARATIONS, NORMS))
    place = pd.Series(range(len(ways)), pd.MultiIndex.from_tuples(ways))
    y = place.loc[pd.MultiIndex.from_frame(table[["preparation", "norm"]])].to_numpy()
    splits = {"training": ("train", GREY, -0.12), "test": ("test", BLUE, 0.12)}
    for label, (split, colour, shift) in splits.items():
        accuracy = table[f"{split}_accuracy"]
        left.plot(accuracy, y + shift, "o", color=colour, alpha=0.6, label=label)
    left.axvline(PAPER_ACCURACY, color=ORANGE, linestyle="--", label="paper, test")
    titles = [f"{PREPARATIONS[p]},\nbatch norm {NORMS[n]}" for p, n in ways]
    left.set_yticks(range(len(ways)), titles, fontsize=8)
    left.set(xlabel="accuracy, one dot per seed", xlim=(0.35, 1.0), ylim=(len(ways) - 0.5, -0.5))
    for (preparation, title), colour in zip(PREPARATIONS.items(), (BLUE, ORANGE), strict=True):
        deviation = np.log10(np.maximum(features[preparation, "stored"].std(axis=0), 1e-6))
        right.hist(deviation, bins=40, color=colour, alpha=0.6, label=title)
    right.set_xlabel("standard deviation over the cells (log10)")
    right.set_ylabel("channels of the pooled features")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), fontsize=8, loc="outside lower left", ncols=3)
    right.legend(fontsize=8)
    return figure


def choices(table: pd.DataFrame, curves: pd.DataFrame, choice: str, *, note: str = "") -> Figure:
    """Validation by learning rate, and the training loss of each choice at its best learning rate.

    Parameters
    ----------
    table : DataFrame
        From `studies.optimizers`: one row per choice, learning rate and seed.
    curves : DataFrame
        Training loss, one row per epoch of each.
    choice : str
        The column that holds what is compared.
    note : str
        Title.

    Returns
    -------
    Figure

    Examples
    --------
    In notebook 4::

        table, curves = studies.optimizers.compare_optimizers(features, cells, network, settings)
        plotting.studies.choices(table, curves, "optimizer")
    """
    figure, (left, right) = base.new_figure(3.6, columns=2)
    names = list(dict.fromkeys(table[choice]))
    palette = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
    shared = {"data": table, "y": "val_f1", "hue": choice, "palette": palette, "legend": False}
    if table["learning_rate"].nunique() > 1:
        sns.lineplot(x="learning_rate", marker="o", errorbar="sd", ax=left, **shared)
        left.set(xscale="log", xlabel="learning rate")
        left.xaxis.set_major_formatter("{x:g}")  # not 10 to the power of, which is a formula
        left.xaxis.set_minor_formatter("")
    else:
        sns.stripplot(x=choice, ax=left, **shared)
        left.set_xlabel("")
    left.set(ylabel="weighted F1, validation")
    means = table.groupby([choice, "learning_rate"])["val_f1"].mean()
    best = {name: means[name].idxmax() for name in names}
    shown = curves[curves["learning_rate"] == curves[choice].map(best)]
    sns.lineplot(shown, x="epoch", y="loss", hue=choice, palette=palette, errorbar="sd", ax=right)
    right.set(ylabel="training loss at the best learning rate")
    right.get_legend().remove()
    for ax in (left, right):
        ax.grid(alpha=0.3)
    base.legend_below(figure, right, len(names))
    figure.suptitle(note, fontsize=10)
    return figure
