"""Figures of the studies: ResNet50's collapse, optimisers and activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from . import base
from .base import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def collapse(table: pd.DataFrame, found: dict[tuple[str, str], np.ndarray]) -> Figure:
    """ResNet50 in four ways: accuracy of each seed, and the spread of each channel of its pooled features."""
    from ..studies.collapse import NORMS, PREPARATIONS

    figure, (left, right) = base.new_figure(3.8, columns=2)
    ways = [(preparation, norm) for preparation in PREPARATIONS for norm in NORMS]
    for side, colour, shift in (("train", GREY, -0.12), ("test", BLUE, 0.12)):
        for y, (preparation, norm) in enumerate(ways):
            rows = table[(table["preparation"] == preparation) & (table["norm"] == norm)]
            left.plot(
                rows[f"{side}_accuracy"],
                [y + shift] * len(rows),
                "o",
                color=colour,
                alpha=0.6,
                label={"train": "training", "test": "test"}[side] if y == 0 else None,
            )
    left.axvline(36 / 70, color=ORANGE, linestyle="--", label="paper, test")
    left.set_yticks(
        range(len(ways)),
        [f"{PREPARATIONS[p]},\nbatch norm {NORMS[n]}" for p, n in ways],
        fontsize=8,
    )
    left.set(xlabel="accuracy, one dot per seed", xlim=(0.35, 1.0), ylim=(len(ways) - 0.5, -0.5))
    for (preparation, title), colour in zip(PREPARATIONS.items(), (BLUE, ORANGE), strict=True):
        deviation = found[preparation, "stored"].std(axis=0)
        right.hist(
            np.log10(np.maximum(deviation, 1e-6)), bins=40, color=colour, alpha=0.6, label=title
        )
    right.set(
        xlabel="standard deviation over the cells (log10)", ylabel="channels of the pooled features"
    )
    for ax in (left, right):
        ax.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), fontsize=8, loc="outside lower left", ncols=3)
    right.legend(fontsize=8)
    return figure


def choices(found: pd.DataFrame, curves: pd.DataFrame, choice: str, note: str = "") -> Figure:
    """Validation by step size, and the training loss of each choice at its best step size."""
    figure, axes = base.new_figure(3.6, columns=2)
    names = list(dict.fromkeys(found[choice]))
    palette = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
    if found["learning_rate"].nunique() > 1:
        sns.lineplot(
            found,
            x="learning_rate",
            y="valid_f1",
            hue=choice,
            palette=palette,
            marker="o",
            errorbar="sd",
            ax=axes[0],
            legend=False,
        )
        axes[0].set(xscale="log", xlabel="step size")
    else:
        sns.stripplot(
            found, x=choice, y="valid_f1", hue=choice, palette=palette, ax=axes[0], legend=False
        )
        axes[0].set_xlabel("")
    axes[0].set(ylabel="weighted F1, validation")
    means = found.groupby([choice, "learning_rate"])["valid_f1"].mean()
    best = {name: means[name].idxmax() for name in names}
    shown = curves[curves["learning_rate"] == curves[choice].map(best)]
    sns.lineplot(shown, x="epoch", y="loss", hue=choice, palette=palette, errorbar="sd", ax=axes[1])
    axes[1].set(ylabel="training loss at the best step size")
    axes[1].get_legend().remove()
    for ax in axes:
        ax.grid(alpha=0.3)
    figure.legend(
        *axes[1].get_legend_handles_labels(),
        fontsize=8,
        loc="outside lower center",
        ncols=len(names),
    )
    figure.suptitle(note, fontsize=10)
    return figure
