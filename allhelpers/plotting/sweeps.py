"""Figures of a sweep: does chance matter, do patients matter, does the architecture matter?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import RESEARCH_ONLY
from .._core.errors import counted
from ..evaluation import words
from ..evaluation.comparison import COMPARED
from ..evaluation.metrics import metric_title
from . import base
from .base import GREY, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOM = 0.6  # of a row, for its dots
QUESTIONS = {
    "seed": "over seeds: how much is chance",
    "split": "over splits: how much is the patients'",
}


def spread(table: pd.DataFrame, by: str, settings: Sequence[str]) -> Figure:
    """One dot per run, with its interval; runs that differ in one setting alone share a row."""
    others = [name for name in settings if name not in (by, "architectures")]
    columns = ["variant", "architecture", *others]
    rows = list(table.groupby(columns, sort=False, dropna=False))
    colours = {value: _colour(k) for k, value in enumerate(dict.fromkeys(table[by]))}
    varied = [name for name in columns if table[name].nunique() > 1 or name == "architecture"]
    keys = [dict(zip(columns, key, strict=True)) for key, _ in rows]
    labels = [", ".join(_named(name, key[name]) for name in varied) for key in keys]
    figure, axes = base.new_figure(1.5 + 0.3 * len(rows) + 0.1 * len(table), columns=2, sharey=True)
    for ax, metric in zip(axes, COMPARED, strict=True):
        for y, (_, group) in enumerate(rows):
            shifts = np.linspace(-ROOM / 2, ROOM / 2, len(group)) if len(group) > 1 else [0]
            for shift, run in zip(shifts, group.to_dict("records"), strict=True):
                _dot(ax, run, metric, y=y + shift, colour=colours[run[by]])
            text = f"SD {group[metric].std():.3f}"
            place = {"xycoords": ("axes fraction", "data"), "va": "center"}
            ax.annotate(text, (1.01, y), fontsize=7, color=GREY, **place)
        _finish(ax, metric, labels)
    for value, colour in list(colours.items())[: len(PALETTE)]:
        axes[0].plot([], [], "o", color=colour, label=f"{by} {value}")
    base.legend_below(figure, axes[0], 5)
    note = f"{base.sample_note(table)}{RESEARCH_ONLY}"
    figure.suptitle(f"Spread {QUESTIONS[by]}. {note}", fontsize=9)
    return figure


def between(variants: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Architectures and variants side by side, each over all its runs' test cells."""
    figure, axes = base.new_figure(1.4 + 0.35 * len(variants), columns=2, sharey=True)
    names = list(dict.fromkeys(variants["architecture"]))
    titles = variants["architecture"].map(words.method_title)
    if variants["variant"].nunique() > 1:
        titles = variants["variant"] + ", " + titles
    labels = titles + " (" + variants["runs"].map(lambda runs: counted(runs, "run")) + ")"
    for ax, metric in zip(axes, COMPARED, strict=True):
        for y, row in enumerate(variants.to_dict("records")):
            _dot(ax, row, metric, y=y, colour=_colour(names.index(row["architecture"])))
        _finish(ax, metric, labels)
    note = f"{base.sample_note(table)}{RESEARCH_ONLY}"
    figure.suptitle(f"All test cells of all runs together. {note}", fontsize=9)
    return figure


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def _named(setting: str, value: Any) -> str:
    """A setting's value in words."""
    if setting == "architecture":
        return words.method_title(value)
    return str(value) if setting in ("variant", "split") else f"{setting} {value}"


def _dot(ax: Axes, row: Mapping, metric: str, *, y: float, colour: str) -> None:
    """One value with its interval."""
    style: dict[str, Any] = {"fmt": "o", "color": colour, "elinewidth": 0.8, "markersize": 4}
    ax.errorbar(row[metric], y, xerr=base.arms(row, metric), **style)


def _finish(ax: Axes, metric: str, labels: Sequence[str] | pd.Series) -> None:
    ax.set_xlabel(f"{metric_title(metric)}, 95 % interval by resampling")
    base.name_rows(ax, labels)
    ax.locator_params(axis="x", nbins=5)
    for border in range(1, len(labels)):
        ax.axhline(border - 0.5, color=GREY, linewidth=0.4)
