"""Figures of several methods side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from .. import RESEARCH_ONLY
from ..evaluation import metrics, published, words
from ..evaluation.comparison import COMPARED
from . import base
from .base import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def methods(table: pd.DataFrame, compared: pd.DataFrame) -> Figure:
    """AUROC and weighted F1 of every method with their intervals over resampled patients."""
    figure, axes = base.new_figure(1.3 + 0.35 * len(table), columns=2, sharey=True)
    for ax, metric in zip(axes, COMPARED, strict=True):
        known = table[table[metric].notna()]
        y = np.array([table.index.get_loc(k) for k in known.index])
        arms = [known[metric] - known[f"{metric}_low"], known[f"{metric}_high"] - known[metric]]
        ax.errorbar(known[metric], y, xerr=np.clip(arms, 0, None), fmt="o", color=BLUE, capsize=3)
        ax.set(
            xlabel=f"{metrics.metric_title(metric)}, 95 % over resampled patients",
            ylim=(len(table) - 0.5, -0.5),
        )
        ax.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(
        range(len(table)), [words.method_title(name) for name in table["method"]], fontsize=8
    )
    axes[0].axvline(0.5, color=GREY, linestyle=":")
    figure.suptitle(f"{base.sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def accuracy_with_intervals(compared: pd.DataFrame) -> Figure:
    """Test accuracy of each architecture with its 95 % interval; the paper's beside it where the classes are its own."""
    figure, ax = base.new_figure(1.4 + 0.6 * len(compared))
    names, paper = compared["architecture"].tolist(), published.paper_rows(compared)
    series = [("this run", compared, BLUE, "o", -0.12)]
    if len(paper):
        series.append(("paper (70 cells)", paper, GREY, "s", 0.12))
    for label, table, colour, marker, shift in series:
        y = np.array([names.index(name) for name in table["architecture"]]) + shift
        arms = [table["test_accuracy"] - table["low"], table["high"] - table["test_accuracy"]]
        ax.errorbar(
            table["test_accuracy"], y, xerr=arms, fmt=marker, color=colour, capsize=3, label=label
        )
    chance = 1 / (1 + compared["classes"].str.count(",").max())
    ax.axvline(chance, color=GREY, linestyle=":", label="chance")
    # Classifiers have no weights.
    weights = compared["weights"].map(lambda label: f"\n({label})", na_action="ignore").fillna("")
    ticks = compared["architecture"].map(words.method_title) + weights
    ax.set_yticks(range(len(names)), ticks, fontsize=8)
    ax.set(
        xlabel="test accuracy, with 95 % Wilson interval",
        xlim=(min(0.3, chance - 0.05, compared["low"].min() - 0.02), 1.01),
        ylim=(len(names) - 0.5, -0.5),
    )
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    ax.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{base.sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def differences(pairs: pd.DataFrame) -> Figure:
    """Difference of weighted F1 between every two methods, with its interval over resampled patients."""
    figure, ax = base.new_figure(1.1 + 0.3 * len(pairs))
    y, value = np.arange(len(pairs)), pairs["weighted_f1"]
    arms = [value - pairs["weighted_f1_low"], pairs["weighted_f1_high"] - value]
    for differ, colour, text in ((False, GREY, "cannot be told apart"), (True, ORANGE, "differ")):
        rows = (pairs["differ"] == differ).to_numpy()
        if rows.any():
            ax.errorbar(
                value[rows],
                y[rows],
                xerr=np.clip(np.array(arms)[:, rows], 0, None),
                fmt="o",
                color=colour,
                capsize=3,
                label=text,
            )
    ax.axvline(0, color="black", linewidth=0.8)
    names = [
        f"{words.method_title(p.first)} less {words.method_title(p.second)}"
        for p in pairs.itertuples()
    ]
    ax.set_yticks(y, names, fontsize=8)
    ax.set(
        xlabel="difference of weighted F1, 95 % over resampled patients",
        ylim=(len(pairs) - 0.5, -0.5),
    )
    ax.grid(axis="x", alpha=0.3)
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    return figure


def split_gap(measured: pd.DataFrame) -> Figure:
    """The same recipe tested by picture and by patient: how much of a figure is the patients' being known."""
    rows = measured[measured["accuracy"].notna() & (measured["architecture"] != "majority")]
    rows = rows.assign(kind=np.where(rows["split"] == "paper", "by picture", "by patient"))
    both = [title for title, group in rows.groupby("title") if group["kind"].nunique() == 2]
    rows = rows[rows["title"].isin(both)].sort_values(
        ["title", "architecture", "kind", "split"], ascending=False
    )
    figure, ax = base.new_figure(1.5 + 0.32 * len(rows))
    for y, row in enumerate(rows.to_dict("records")):
        colour = {"by picture": ORANGE, "by patient": BLUE}[row["kind"]]
        arms = [[row["accuracy"] - row["accuracy_low"]], [row["accuracy_high"] - row["accuracy"]]]
        ax.errorbar(
            row["accuracy"], y, xerr=np.clip(arms, 0, None), fmt="o", color=colour, capsize=3
        )
    for kind, colour in (("by picture", ORANGE), ("by patient", BLUE)):
        ax.plot([], [], "o", color=colour, label=f"test cells drawn {kind}")
    names = [
        f"{words.method_title(row['architecture'])}, {row['split']}"
        for row in rows.to_dict("records")
    ]
    ax.set_yticks(range(len(rows)), names, fontsize=8)
    ax.set(xlabel="test accuracy, 95 % over resampled patients", ylim=(len(rows) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    figure.suptitle(f"The same recipe, two kinds of test. {RESEARCH_ONLY}", fontsize=9)
    return figure


def cost(compared: pd.DataFrame, stages: pd.DataFrame) -> Figure:
    """Time by stage, parameters and size of each method."""
    figure, (time, *others) = base.new_figure(2.8, columns=3, sharey=True)
    titles = compared["architecture"].map(words.method_title)
    done = 0
    for stage, colour in zip(stages, sns.color_palette("colorblind", stages.shape[1]), strict=True):
        bars = time.barh(titles, stages[stage], left=done, color=colour, label=stage)
        done = done + stages[stage].to_numpy()
    time.bar_label(bars, [f"{total:.3g}" for total in done], padding=2, fontsize=8)
    time.set_xlabel("whole notebook (s)")
    figure.legend(loc="outside lower center", ncols=stages.shape[1], fontsize=8, frameon=False)
    units = {"parameters": "parameters (millions)", "megabytes": "model file (MB)"}
    for ax, (column, label) in zip(others, units.items(), strict=True):
        values = compared[column] / (1e6 if column == "parameters" else 1)
        bars = ax.barh(titles, values, color=BLUE)
        ax.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
        ax.set_xlabel(label)
        ax.margins(x=0.2)
    time.set_xlim(0, 1.2 * done.max())
    time.invert_yaxis()
    return figure
