"""Figures of several methods side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns

from .. import RESEARCH_ONLY
from ..evaluation import published, words
from ..evaluation.comparison import COMPARED
from ..evaluation.metrics import metric_title
from . import base
from .base import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _dots(ax: Axes, table: pd.DataFrame, metric: str, *, shown: pd.Series, **style: Any) -> None:
    """Those rows of a table that are shown, each with its interval at its place."""
    rows, y = table[shown], np.flatnonzero(shown)
    ax.errorbar(rows[metric], y, xerr=base.arms(rows, metric), fmt="o", capsize=3, **style)


def methods(table: pd.DataFrame, compared: pd.DataFrame) -> Figure:
    """AUROC and weighted F1 of every method with their intervals over resampled patients.

    Parameters
    ----------
    table : DataFrame
        From `evaluation.compare_methods`.
    compared : DataFrame
        From `evaluation.compare`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import evaluation
    >>> table, _ = evaluation.compare_methods(run, ["mobilenet"])
    >>> figure = methods(table, evaluation.compare(run, ["mobilenet"]))
    """
    figure, axes = base.new_figure(1.3 + 0.35 * len(table), columns=2, sharey=True)
    for ax, metric in zip(axes, COMPARED, strict=True):
        _dots(ax, table, metric, shown=table[metric].notna(), color=BLUE)
        label = f"{metric_title(metric)}, 95 % interval by resampling"
        ax.set_xlabel(label)
        base.name_rows(ax, table["method"].map(words.method_title))
    axes[0].axvline(0.5, color=GREY, linestyle=":")
    figure.suptitle(f"{base.sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def size_gap(table: pd.DataFrame) -> Figure:
    """How much of each method's AUROC is the cells' size: plain, and on cells of equal size.

    Parameters
    ----------
    table : DataFrame
        From `evaluation.compare_methods`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import evaluation
    >>> table, _ = evaluation.compare_methods(run, ["mobilenet"])
    >>> figure = size_gap(table)
    """
    figure, ax = base.new_figure(1.7 + 0.4 * len(table))
    y = np.arange(len(table))
    ax.hlines(y, table["auroc_equal_size"], table["auroc"], color=GREY, linewidth=2, zorder=1)
    series = [
        ("auroc", "all test cells", GREY, "s", -0.13),
        ("auroc_equal_size", "cells of equal size", BLUE, "o", 0.0),
        ("auroc_by_patient", "patients weigh the same", ORANGE, "D", 0.13),
    ]
    for metric, label, colour, marker, shift in series:
        known = table[metric].notna()
        ax.errorbar(
            table.loc[known, metric],
            y[known] + shift,
            xerr=base.arms(table[known], metric),
            fmt=marker,
            color=colour,
            markersize=5,
            linewidth=1,
            label=label,
        )
    ax.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
    base.name_rows(ax, table["method"].map(words.method_title))
    ax.set_xlabel("AUROC, 95 % interval by resampling")
    base.legend_below(figure, ax, 3)
    figure.suptitle(f"What is left without the cells' size. {RESEARCH_ONLY}", fontsize=9)
    return figure


def accuracy_with_intervals(compared: pd.DataFrame) -> Figure:
    """Test accuracy of each architecture with its 95 % interval; the paper's where it compares.

    Parameters
    ----------
    compared : DataFrame
        From `evaluation.compare`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import evaluation
    >>> figure = accuracy_with_intervals(evaluation.compare(run, ["mobilenet"]))
    """
    figure, ax = base.new_figure(1.4 + 0.6 * len(compared))
    names, paper = compared["architecture"].tolist(), published.paper_rows(compared)
    series = [
        ("this run", compared, BLUE, "o", -0.12),
        ("paper (70 cells)", paper, GREY, "s", 0.12),
    ]
    for label, table, colour, marker, shift in series if len(paper) else series[:1]:
        accuracy = table["test_accuracy"]
        y = table["architecture"].map(names.index) + shift
        arms = [accuracy - table["low"], table["high"] - accuracy]
        ax.errorbar(accuracy, y, xerr=arms, fmt=marker, color=colour, capsize=3, label=label)
    chance = 1 / (1 + compared["classes"].str.count(",").max())
    ax.axvline(chance, color=GREY, linestyle=":", label="chance")
    # Classifiers have no weights.
    weights = compared["weights"].map(lambda label: f"\n({label})", na_action="ignore").fillna("")
    base.name_rows(ax, compared["architecture"].map(words.method_title) + weights)
    left = min(0.3, chance - 0.05, compared["low"].min() - 0.02)
    ax.set(xlabel="test accuracy, with 95 % Wilson interval", xlim=(left, 1.01))
    base.legend_below(figure, ax, 3)
    figure.suptitle(f"{base.sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def differences(pairs: pd.DataFrame) -> Figure:
    """Difference of weighted F1 of every two methods, with its interval over resampled patients.

    Parameters
    ----------
    pairs : DataFrame
        Pairs from `evaluation.compare_methods`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import evaluation
    >>> _, pairs = evaluation.compare_methods(run, ["mobilenet"])
    >>> figure = differences(pairs)
    """
    figure, ax = base.new_figure(1.1 + 0.3 * len(pairs))
    kinds = {False: (GREY, "cannot be told apart"), True: (ORANGE, "differ")}
    for differ, (colour, label) in kinds.items():
        shown = pairs["differ"] == differ
        if shown.any():
            _dots(ax, pairs, "weighted_f1", shown=shown, color=colour, label=label)
    ax.axvline(0, color="black", linewidth=0.8)
    titles = pairs[["first", "second"]].map(words.method_title)
    base.name_rows(ax, titles["first"] + " less " + titles["second"])
    ax.set_xlabel("difference of weighted F1, 95 % interval by resampling")
    base.legend_below(figure, ax, 2)
    return figure


def split_gap(measured: pd.DataFrame) -> Figure:
    """The same recipe tested by image and by patient: how much rests on known patients.

    Parameters
    ----------
    measured : DataFrame
        From `evaluation.measured`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import evaluation
    >>> figure = split_gap(evaluation.measured())
    """
    rows = measured[measured["accuracy"].notna() & (measured["architecture"] != "majority")]
    rows = rows.assign(kind=np.where(rows["split"] == "paper", "by image", "by patient"))
    rows = rows[rows.groupby("title")["kind"].transform("nunique") == 2]
    rows = rows.sort_values(["title", "architecture", "kind", "split"], ascending=False)
    figure, ax = base.new_figure(1.5 + 0.32 * len(rows))
    for kind, colour in (("by image", ORANGE), ("by patient", BLUE)):
        label = f"test cells drawn {kind}"
        _dots(ax, rows, "accuracy", shown=rows["kind"] == kind, color=colour, label=label)
    base.name_rows(ax, rows["architecture"].map(words.method_title) + ", " + rows["split"])
    ax.set_xlabel("test accuracy, 95 % interval by resampling")
    base.legend_below(figure, ax, 2)
    figure.suptitle(f"The same recipe, two kinds of test. {RESEARCH_ONLY}", fontsize=9)
    return figure


def cost(compared: pd.DataFrame, stages: pd.DataFrame) -> Figure:
    """Time by stage, parameters and size of each method.

    Parameters
    ----------
    compared : DataFrame
        From `evaluation.compare`.
    stages : DataFrame
        From `evaluation.stages`: seconds.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers.evaluation import compare, stages
    >>> figure = cost(compare(run, ["mobilenet"]), stages(run, ["mobilenet"]))
    """
    figure, (time, *others) = base.new_figure(2.8, columns=3, sharey=True)
    titles = compared["architecture"].map(words.method_title)
    ends = stages.cumsum(axis=1)
    for stage, colour in zip(stages, sns.color_palette("colorblind", stages.shape[1]), strict=True):
        left = ends[stage] - stages[stage]
        bars = time.barh(titles, stages[stage], left=left, color=colour, label=stage)
    total = stages.sum(axis=1)
    time.bar_label(bars, [f"{seconds:.3g}" for seconds in total], padding=2, fontsize=8)
    time.set_xlabel("whole notebook (s)")
    base.legend_below(figure, time, stages.shape[1])
    units = {"parameters": ("parameters (millions)", 1e6), "megabytes": ("model file (MB)", 1)}
    for ax, (column, (label, unit)) in zip(others, units.items(), strict=True):
        bars = ax.barh(titles, compared[column] / unit, color=BLUE)
        ax.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
        ax.set_xlabel(label)
        ax.margins(x=0.2)
    time.set_xlim(0, 1.2 * total.max())
    time.invert_yaxis()
    return figure
