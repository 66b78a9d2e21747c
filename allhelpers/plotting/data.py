"""Figures of the cells and patients themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from ..data import tables
from ..data.manifest import SPLIT_TITLES
from . import base
from .base import class_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..data.loading import Cells

SHOWN_FEATURES = ("area", "circularity", "solidity", "red_mean", "hue_mean", "contrast_1")


def cells_per_split(table: pd.DataFrame) -> Figure:
    """Cells and patients of each class in each split.

    Parameters
    ----------
    table : DataFrame
        Cells with split, label and patient.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = cells_per_split(table)
    """
    figure, (axes,) = base.new_figure(3.0, columns=2, squeeze=False)
    colours = {
        class_title(label): colour for label, colour in base.class_colours(table["label"]).items()
    }
    named = table.assign(
        split=table["split"].map(SPLIT_TITLES), label=table["label"].map(class_title)
    )
    groups = named.groupby(["split", "label"])
    counts = {"cells": groups.size()}
    if tables.patients_known(table):
        counts["patients"] = groups["patient"].nunique()
    style = {"order": SPLIT_TITLES.values(), "hue_order": list(colours), "palette": colours}
    for ax, (unit, count) in zip(axes, counts.items(), strict=False):
        bars = count.rename(unit).reset_index()
        sns.barplot(bars, y="split", x=unit, hue="label", ax=ax, **style)
        for container in ax.containers:
            ax.bar_label(container, padding=2, fontsize=8)
        ax.set(title=f"{unit.capitalize()} in each split", ylabel="")
        ax.set_xlabel(f"number of {unit}")
        ax.margins(x=0.15)
        ax.get_legend().remove()
    if len(counts) == 1:  # nobody knows how many patients there are
        axes[1].set_axis_off()
    base.legend_below(figure, axes[0], len(colours))
    return figure


def cells_per_patient(table: pd.DataFrame) -> Figure:
    """Cells of every patient: few patients hold many of the cells.

    Parameters
    ----------
    table : DataFrame
        Cells with label and patient.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = cells_per_patient(table)
    """
    colours, unit = base.class_colours(table["label"]), tables.unit_of(table)
    figure, (axes,) = base.new_figure(3.0, columns=len(colours), sharey=True, squeeze=False)
    for ax, (label, colour) in zip(axes, colours.items(), strict=True):
        counts = table[table["label"] == label]["patient"].value_counts()
        ax.bar(range(len(counts)), counts, color=colour)
        fontsize = 5 if len(counts) > 30 else 7
        ax.set_xticks(range(len(counts)), counts.index, rotation=90, fontsize=fontsize)
        ax.set(title=f"{class_title(label)}: {len(counts)} {unit}s", xlabel=unit)
    axes[0].set_ylabel("cells")
    return figure


def areas(table: pd.DataFrame, note: str = "") -> Figure:
    """Area of the cells of each class: a shortcut, and a floor for every network.

    Parameters
    ----------
    table : DataFrame
        Cells with label and area, as in `Audit.areas`.
    note : str
        Title.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = areas(table.assign(area=range(len(table))))
    """
    figure, ax = base.new_figure(3.0, width=6.5)
    bins = np.histogram_bin_edges(table["area"], 40)
    for label, colour in base.class_colours(table["label"]).items():
        values = table.loc[table["label"] == label, "area"]
        ax.hist(values, bins, color=colour, alpha=0.6, label=class_title(label))
    ax.set_xlabel("area of the cell (pixels of the decoded image that are not black)")
    ax.set_ylabel("cells")
    ax.legend(fontsize=8)
    figure.suptitle(note, fontsize=10)
    return figure


def feature_distributions(
    measured: pd.DataFrame, cells: Cells, shown: tuple[str, ...] = SHOWN_FEATURES
) -> Figure:
    """Distribution of some measured features in each class.

    Parameters
    ----------
    measured : DataFrame
        One row per cell, one column per feature.
    cells : Cells
    shown : tuple of str
        Six features.

    Returns
    -------
    Figure

    Examples
    --------
    >>> measured = dict.fromkeys(SHOWN_FEATURES, np.arange(len(cells.table)))
    >>> figure = feature_distributions(cells.table.assign(**measured), cells)
    """
    figure, axes = base.new_figure(4.4, columns=3, rows=2)
    for ax, name in zip(axes.ravel(), shown, strict=True):
        bins = np.histogram_bin_edges(measured[name], 40)
        for label, colour in base.class_colours(cells.classes).items():
            values = measured.loc[(cells.table["label"] == label).to_numpy(), name]
            ax.hist(values, bins, color=colour, alpha=0.6, label=class_title(label))
        ax.set(xlabel=name.replace("_", " "), ylabel="cells")
    base.legend_below(figure, axes[0, 0], len(cells.classes))
    figure.suptitle(cells.kind, fontsize=10)
    return figure
