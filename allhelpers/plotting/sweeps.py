"""Figures of a sweep, one per question: does chance matter, do patients matter, does the architecture matter?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import RESEARCH_ONLY
from .._core.errors import counted
from ..evaluation import metrics, words
from ..evaluation.comparison import COMPARED
from . import base
from .base import GREY, PALETTE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ROOM = 0.6  # of a row, for its dots


def spread(table: pd.DataFrame, by: str, settings: list[str]) -> Figure:
    """One dot per run, with its interval; runs that differ in one setting alone stand in one row."""
    columns = [
        "variant",
        "architecture",
        *(name for name in settings if name not in (by, "architectures")),
    ]
    rows = list(table.groupby(columns, sort=False, dropna=False))
    values = list(dict.fromkeys(table[by]))
    figure, axes = base.new_figure(1.5 + 0.3 * len(rows) + 0.1 * len(table), columns=2, sharey=True)
    for ax, metric in zip(axes, COMPARED, strict=True):
        for y, (_, group) in enumerate(rows):
            shifts = np.linspace(-ROOM / 2, ROOM / 2, len(group)) if len(group) > 1 else [0]
            for shift, run in zip(shifts, group.to_dict("records"), strict=True):
                colour = PALETTE[values.index(run[by]) % len(PALETTE)]
                _dot(ax, run, metric, y + shift, colour)
            label = f"SD {group[metric].std():.3f}"
            ax.annotate(
                label,
                (1.01, y),
                xycoords=("axes fraction", "data"),
                fontsize=7,
                va="center",
                color=GREY,
            )
        _finish(ax, metric, len(rows))
    varied = [name for name in columns if table[name].nunique() > 1 or name == "architecture"]
    labels = [
        ", ".join(_named(name, dict(zip(columns, key, strict=True))[name]) for name in varied)
        for key, _ in rows
    ]
    axes[0].set_yticks(range(len(rows)), labels, fontsize=8)
    for value in values[: len(PALETTE)]:
        axes[0].plot([], [], "o", color=PALETTE[values.index(value)], label=f"{by} {value}")
    figure.legend(
        *axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=5
    )
    what = {
        "seed": "over seeds: how much is chance",
        "split": "over splits: how much is the patients'",
    }[by]
    figure.suptitle(f"Spread {what}. {base.sample_note(table)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def between(variants: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Architectures and variants side by side, each over all its runs' test cells."""
    figure, axes = base.new_figure(1.4 + 0.35 * len(variants), columns=2, sharey=True)
    names = list(dict.fromkeys(variants["architecture"]))
    for ax, metric in zip(axes, COMPARED, strict=True):
        for y, row in enumerate(variants.to_dict("records")):
            _dot(ax, row, metric, y, PALETTE[names.index(row["architecture"]) % len(PALETTE)])
        _finish(ax, metric, len(variants))
    several = variants["variant"].nunique() > 1
    labels = [
        ", ".join([row.variant] * several + [words.method_title(row.architecture)])
        + f" ({counted(row.runs, 'run')})"
        for row in variants.itertuples()
    ]
    axes[0].set_yticks(range(len(variants)), labels, fontsize=8)
    figure.suptitle(
        f"All test cells of all runs together. {base.sample_note(table)}{RESEARCH_ONLY}", fontsize=9
    )
    return figure


def _named(setting: Any, value: float) -> Any:
    """A setting's value in words."""
    if setting == "architecture":
        return words.method_title(value)
    return str(value) if setting in ("variant", "split") else f"{setting} {value}"


def _dot(ax: Any, row: pd.Series, metric: str, y: Any, colour: Any) -> None:
    """One value with its interval."""
    arms = np.clip(
        [[row[metric] - row[f"{metric}_low"]], [row[f"{metric}_high"] - row[metric]]], 0, None
    )
    ax.errorbar(
        row[metric],
        y,
        xerr=arms,
        fmt="o",
        color=colour,
        ecolor=colour,
        elinewidth=0.8,
        markersize=4,
    )


def _finish(ax: Any, metric: str, rows: np.ndarray) -> None:
    ax.set(
        xlabel=f"{metrics.metric_title(metric)}, 95 % over resampled patients",
        ylim=(rows - 0.5, -0.5),
    )
    ax.locator_params(axis="x", nbins=5)
    ax.grid(axis="x", alpha=0.3)
    for border in range(1, rows):
        ax.axhline(border - 0.5, color=GREY, linewidth=0.4)
