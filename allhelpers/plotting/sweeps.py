"""Figures of a sweep, one per question: does chance matter, do patients matter, does the architecture matter?"""

import numpy as np

from .. import RESEARCH_ONLY, comparison, evaluation
from ..errors import counted
from .base import GREY, PALETTE, new_figure, sample_note

ROOM = 0.6  # of a row, for its dots


def spread(table, by, settings):
    """One dot per run, with its interval; runs that differ in one setting alone stand in one row.

    Parameters
    ----------
    table : DataFrame
        From `sweep.table`.
    by : {"seed", "split"}
        That setting.
    settings : list of str
        Those that the sweep's grid varies.

    Returns
    -------
    Figure
        For each row the standard deviation over its runs is written beside the dots.

    Examples
    --------
    >>> from allhelpers import sweep
    >>> rows = sweep.table([sweep.Run("recipe", {}, {}, run)] * 2).assign(seed=[1, 2], auroc=[0.5, 0.6])
    >>> [text.get_text() for text in spread(rows, "seed", ["seed"]).axes[0].texts]
    ['SD 0.071']
    """
    columns = ["variant", "architecture", *(name for name in settings if name not in (by, "architectures"))]
    rows = list(table.groupby(columns, sort=False, dropna=False))
    values = list(dict.fromkeys(table[by]))
    figure, axes = new_figure(1.5 + 0.3 * len(rows) + 0.1 * len(table), columns=2, sharey=True)
    for ax, metric in zip(axes, comparison.COMPARED, strict=True):
        for y, (_, group) in enumerate(rows):
            shifts = np.linspace(-ROOM / 2, ROOM / 2, len(group)) if len(group) > 1 else [0]
            for shift, run in zip(shifts, group.to_dict("records"), strict=True):
                colour = PALETTE[values.index(run[by]) % len(PALETTE)]
                _dot(ax, run, metric, y + shift, colour)
            label = f"SD {group[metric].std():.3f}"
            ax.annotate(label, (1.01, y), xycoords=("axes fraction", "data"), fontsize=7, va="center", color=GREY)
        _finish(ax, metric, len(rows))
    varied = [name for name in columns if table[name].nunique() > 1 or name == "architecture"]
    labels = [", ".join(_named(name, dict(zip(columns, key, strict=True))[name]) for name in varied) for key, _ in rows]
    axes[0].set_yticks(range(len(rows)), labels, fontsize=8)
    for value in values[: len(PALETTE)]:
        axes[0].plot([], [], "o", color=PALETTE[values.index(value)], label=f"{by} {value}")
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=5)
    what = {"seed": "over seeds: how much is chance", "split": "over splits: how much is the patients'"}[by]
    figure.suptitle(f"Spread {what}. {sample_note(table)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def between(variants, table):
    """Architectures and variants side by side, each over all its runs' test cells.

    Parameters
    ----------
    variants : DataFrame
        From `sweep.variants`.
    table : DataFrame
        From `sweep.table`, for its notes.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import sweep
    >>> done = [sweep.Run(variant, {}, {}, run) for variant in ("recipe", "no turning")]
    >>> figure = between(sweep.variants(done), sweep.table(done))
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['recipe, MobileNet (1 run)', 'no turning, MobileNet (1 run)']
    """
    figure, axes = new_figure(1.4 + 0.35 * len(variants), columns=2, sharey=True)
    names = list(dict.fromkeys(variants["architecture"]))
    for ax, metric in zip(axes, comparison.COMPARED, strict=True):
        for y, row in enumerate(variants.to_dict("records")):
            _dot(ax, row, metric, y, PALETTE[names.index(row["architecture"]) % len(PALETTE)])
        _finish(ax, metric, len(variants))
    several = variants["variant"].nunique() > 1
    labels = [
        ", ".join([row.variant] * several + [comparison.title(row.architecture)]) + f" ({counted(row.runs, 'run')})"
        for row in variants.itertuples()
    ]
    axes[0].set_yticks(range(len(variants)), labels, fontsize=8)
    figure.suptitle(f"All test cells of all runs together. {sample_note(table)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def _named(setting, value):
    """A setting's value in words."""
    if setting == "architecture":
        return comparison.title(value)
    return str(value) if setting in ("variant", "split") else f"{setting} {value}"


def _dot(ax, row, metric, y, colour):
    """One value with its interval."""
    arms = np.clip([[row[metric] - row[f"{metric}_low"]], [row[f"{metric}_high"] - row[metric]]], 0, None)
    ax.errorbar(row[metric], y, xerr=arms, fmt="o", color=colour, ecolor=colour, elinewidth=0.8, markersize=4)


def _finish(ax, metric, rows):
    ax.set(xlabel=f"{evaluation.title(metric)}, 95 % over resampled patients", ylim=(rows - 0.5, -0.5))
    ax.locator_params(axis="x", nbins=5)
    ax.grid(axis="x", alpha=0.3)
    for border in range(1, rows):
        ax.axhline(border - 0.5, color=GREY, linewidth=0.4)
