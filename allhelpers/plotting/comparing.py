"""Figures of several methods side by side."""

import numpy as np
import seaborn as sns

from .. import RESEARCH_ONLY, comparison, evaluation
from .base import BLUE, GREY, ORANGE, new_figure, sample_note


def methods(table, compared):
    """AUROC and weighted F1 of every method with their intervals over resampled patients.

    Parameters
    ----------
    table : DataFrame
        From `comparison.methods`.
    compared : DataFrame
        From `comparison.compare`, for its notes.

    Returns
    -------
    Figure

    Examples
    --------
    >>> table = comparison.methods(comparison.predictions_of(run, ["mobilenet"]))
    >>> figure = methods(table, comparison.compare(run, ["mobilenet"]))
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['MobileNet', 'majority class', 'cell area alone']
    """
    figure, axes = new_figure(1.3 + 0.35 * len(table), columns=2, sharey=True)
    for ax, metric in zip(axes, comparison.COMPARED, strict=True):
        known = table[table[metric].notna()]
        y = np.array([table.index.get_loc(k) for k in known.index])
        arms = [known[metric] - known[f"{metric}_low"], known[f"{metric}_high"] - known[metric]]
        ax.errorbar(known[metric], y, xerr=np.clip(arms, 0, None), fmt="o", color=BLUE, capsize=3)
        ax.set(xlabel=f"{evaluation.title(metric)}, 95 % over resampled patients", ylim=(len(table) - 0.5, -0.5))
        ax.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(table)), [comparison.title(name) for name in table["method"]], fontsize=8)
    axes[0].axvline(0.5, color=GREY, linestyle=":")
    figure.suptitle(f"{sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def accuracy_with_intervals(compared):
    """Test accuracy of each architecture with its 95 % interval; the paper's beside it where the classes are its own.

    Parameters
    ----------
    compared : DataFrame
        From `comparison.compare`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = accuracy_with_intervals(comparison.compare(run, ["mobilenet"]))
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['chance', 'this run', 'paper (70 cells)']
    """
    figure, ax = new_figure(1.4 + 0.6 * len(compared))
    names, paper = compared["architecture"].tolist(), comparison.paper_rows(compared)
    series = [("this run", compared, BLUE, "o", -0.12)]
    if len(paper):
        series.append(("paper (70 cells)", paper, GREY, "s", 0.12))
    for label, table, colour, marker, shift in series:
        y = np.array([names.index(name) for name in table["architecture"]]) + shift
        arms = [table["test_accuracy"] - table["low"], table["high"] - table["test_accuracy"]]
        ax.errorbar(table["test_accuracy"], y, xerr=arms, fmt=marker, color=colour, capsize=3, label=label)
    chance = 1 / (1 + compared["classes"].str.count(",").max())
    ax.axvline(chance, color=GREY, linestyle=":", label="chance")
    # Classifiers have no weights.
    weights = compared["weights"].map(lambda label: f"\n({label})", na_action="ignore").fillna("")
    ticks = compared["architecture"].map(comparison.title) + weights
    ax.set_yticks(range(len(names)), ticks, fontsize=8)
    ax.set(
        xlabel="test accuracy, with 95 % Wilson interval",
        xlim=(min(0.3, chance - 0.05, compared["low"].min() - 0.02), 1.01),
        ylim=(len(names) - 0.5, -0.5),
    )
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    ax.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def differences(pairs):
    """Difference of weighted F1 between every two methods, with its interval over resampled patients.

    Parameters
    ----------
    pairs : DataFrame
        From `comparison.pairs`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = differences(comparison.pairs(comparison.predictions_of(run, ["mobilenet"])))
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['MobileNet less majority class', 'MobileNet less cell area alone', 'majority class less cell area alone']
    """
    figure, ax = new_figure(1.1 + 0.3 * len(pairs))
    y, value = np.arange(len(pairs)), pairs["weighted_f1"]
    arms = [value - pairs["weighted_f1_low"], pairs["weighted_f1_high"] - value]
    for differ, colour, text in ((False, GREY, "cannot be told apart"), (True, ORANGE, "differ")):
        rows = (pairs["differ"] == differ).to_numpy()
        if rows.any():
            ax.errorbar(value[rows], y[rows], xerr=np.clip(np.array(arms)[:, rows], 0, None), fmt="o", color=colour,
                        capsize=3, label=text)  # fmt: skip
    ax.axvline(0, color="black", linewidth=0.8)
    names = [f"{comparison.title(p.first)} less {comparison.title(p.second)}" for p in pairs.itertuples()]
    ax.set_yticks(y, names, fontsize=8)
    ax.set(xlabel="difference of weighted F1, 95 % over resampled patients", ylim=(len(pairs) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    return figure


def split_gap(measured):
    """The same recipe tested by picture and by patient: how much of a figure is the patients' being known.

    Parameters
    ----------
    measured : DataFrame
        From `comparison.measured`. Accuracy is shown, which both splits have, with 95 % over resampled patients.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = split_gap(comparison.measured())
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['test cells drawn by picture', 'test cells drawn by patient']
    """
    rows = measured[measured["accuracy"].notna() & (measured["architecture"] != "majority")]
    rows = rows.assign(kind=np.where(rows["split"] == "paper", "by picture", "by patient"))
    both = [title for title, group in rows.groupby("title") if group["kind"].nunique() == 2]
    rows = rows[rows["title"].isin(both)].sort_values(["title", "architecture", "kind", "split"], ascending=False)
    figure, ax = new_figure(1.5 + 0.32 * len(rows))
    for y, row in enumerate(rows.to_dict("records")):
        colour = {"by picture": ORANGE, "by patient": BLUE}[row["kind"]]
        arms = [[row["accuracy"] - row["accuracy_low"]], [row["accuracy_high"] - row["accuracy"]]]
        ax.errorbar(row["accuracy"], y, xerr=np.clip(arms, 0, None), fmt="o", color=colour, capsize=3)
    for kind, colour in (("by picture", ORANGE), ("by patient", BLUE)):
        ax.plot([], [], "o", color=colour, label=f"test cells drawn {kind}")
    names = [f"{comparison.title(row['architecture'])}, {row['split']}" for row in rows.to_dict("records")]
    ax.set_yticks(range(len(rows)), names, fontsize=8)
    ax.set(xlabel="test accuracy, 95 % over resampled patients", ylim=(len(rows) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    figure.suptitle(f"The same recipe, two kinds of test. {RESEARCH_ONLY}", fontsize=9)
    return figure


def cost(compared, stages):
    """Time by stage, parameters and size of each method.

    Parameters
    ----------
    compared : DataFrame
        From `comparison.compare`.
    stages : DataFrame
        From `comparison.stages`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = cost(comparison.compare(run, ["mobilenet"]), comparison.stages(run, ["mobilenet"]))
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['whole notebook (s)', 'parameters (millions)', 'model file (MB)']
    """
    figure, (time, *others) = new_figure(2.8, columns=3, sharey=True)
    titles = compared["architecture"].map(comparison.title)
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
