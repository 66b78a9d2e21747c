"""Every figure, one function each, returning the matplotlib Figure.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt

from . import RESEARCH_ONLY, architectures, evaluation
from .manifest import CLASS_TITLES, CLASSES

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
CLASS_COLOURS = dict(zip(CLASSES, (ORANGE, BLUE), strict=True))
SPLIT_TITLES = {"train": "training", "valid": "validation", "test": "test"}
WIDTH = 9.0  # inches


def _figure(height, columns=1, rows=1, width=WIDTH, **options):
    """A figure that is shown once, where a notebook's cell ends with it."""
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    plt.close(figure)
    return figure, axes


def _title(architecture):
    return architectures.get(architecture).title


def cells_per_side(table):
    """Cells and patients of each class on each side of the split.

    Parameters
    ----------
    table : DataFrame
        A run's manifest, with a column ``split``.

    Returns
    -------
    Figure
    """
    figure, axes = _figure(3.0, columns=2)
    used = table.assign(split=table["split"].map(SPLIT_TITLES), label=table["label"].map(CLASS_TITLES))
    counts = {"cells": used.groupby(["split", "label"]).size()}
    counts["patients"] = used.groupby(["split", "label"])["subject"].nunique()
    colours = {CLASS_TITLES[label]: colour for label, colour in CLASS_COLOURS.items()}
    for ax, (unit, count) in zip(axes, counts.items(), strict=True):
        sns.barplot(count.rename(unit).reset_index(), y="split", x=unit, hue="label", order=SPLIT_TITLES.values(),
                    palette=colours, ax=ax)  # fmt: skip
        for bars in ax.containers:
            ax.bar_label(bars, padding=2, fontsize=8)
        ax.set(title=f"{unit.capitalize()} on each side of the split", ylabel="", xlabel=f"number of {unit}")
        ax.margins(x=0.15)
        ax.get_legend().remove()
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=len(CLASSES))
    return figure


def cell_gallery(cells, per_class=6, seed=0):
    """Cells of both classes, drawn at random from the training side.

    Parameters
    ----------
    cells : loading.Cells
    per_class : int
    seed : int

    Returns
    -------
    Figure
    """
    figure, axes = _figure(3.4, columns=per_class, rows=len(CLASSES))
    random = np.random.default_rng(seed)
    training = cells.table["split"] == "train"
    for label, line in zip(CLASSES, axes, strict=True):
        rows = np.flatnonzero(training & (cells.table["label"] == label))
        for ax, row in zip(line, random.choice(rows, per_class, replace=len(rows) < per_class), strict=True):
            _picture(ax, cells.pixels[row], f"patient {cells.table['subject'].iloc[row]}")
        line[0].set_title(f"{CLASS_TITLES[label]}\n{line[0].get_title()}", fontsize=8)
    figure.suptitle(f"Training cells, one row per class: {cells.kind}", fontsize=10)
    return figure


def _picture(ax, pixels, title):
    ax.imshow(pixels)
    ax.set_title(title, fontsize=8)
    ax.set_axis_off()


def learning_curves(history, title=""):
    """Accuracy and loss of training and validation over the epochs.

    Parameters
    ----------
    history : DataFrame
        Columns epoch, loss, accuracy, val_loss, val_accuracy.
    title : str

    Returns
    -------
    Figure
    """
    figure, axes = _figure(3.2, columns=2)
    for ax, measure in zip(axes, ("accuracy", "loss"), strict=True):
        marker = "o" if len(history) < 20 else None
        ax.plot(history["epoch"], history[measure], color=BLUE, marker=marker, markersize=3, label="training")
        ax.plot(history["epoch"], history[f"val_{measure}"], color=ORANGE, marker=marker, markersize=3,
                linestyle="--", label="validation")  # fmt: skip
        ax.set(xlabel="epoch", ylabel=measure if measure == "accuracy" else "cross-entropy (nats)", title=measure)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    axes[0].set_ylim(min(0.4, *axes[0].get_ylim()), 1.02)
    figure.suptitle(title, fontsize=10)
    return figure


def confusion_matrix(predictions, title=""):
    """Confusion matrix of one side of the split, in cells and in per cent of each true class.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv.
    title : str

    Returns
    -------
    Figure
    """
    figure, ax = _figure(3.6, width=5.0)
    matrix = evaluation.confusion(predictions)
    share = matrix.div(matrix.sum(axis=1).clip(lower=1), axis=0)
    text = matrix.astype(str) + "\n" + share.map("{:.0%}".format)
    names = [CLASS_TITLES[label] for label in CLASSES]
    sns.heatmap(share, annot=text, fmt="", cmap="Blues", vmin=0, vmax=1, square=True, ax=ax, xticklabels=names,
                yticklabels=names, cbar_kws={"label": "share of the true class"})  # fmt: skip
    ax.set(xlabel="predicted class", ylabel="true class")
    figure.suptitle(title, fontsize=10)
    return figure


def mistakes(cells, predictions, most=12, title=""):
    """Gallery of wrongly classified cells, the most confident mistake first.

    Parameters
    ----------
    cells : loading.Cells
    predictions : DataFrame
        Rows of predictions.csv.
    most : int
        How many to show at most.
    title : str

    Returns
    -------
    Figure
    """
    wrong = predictions[predictions["label"] != evaluation.predicted_labels(predictions)]
    wrong = wrong.assign(sure=(wrong["p_all"] - evaluation.THRESHOLD).abs())
    wrong = wrong.sort_values("sure", ascending=False).head(most)
    rows = max(1, -(-len(wrong) // 6))
    figure, axes = _figure(0.6 + 1.8 * rows, columns=6, rows=rows, squeeze=False)
    row_of = pd.Series(range(len(cells.table)), index=cells.table["file"])
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, cell in zip(axes.flat, wrong.itertuples(), strict=False):
        text = f"true {cell.label.upper()}, patient {cell.subject}\np(ALL) = {cell.p_all:.2f}"
        _picture(ax, cells.pixels[row_of[cell.file]], text)
    if wrong.empty:
        axes.flat[0].text(0, 0.5, "no cell is wrong", fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def accuracy_with_intervals(comparison, paper=None):
    """Test accuracy of each architecture with its 95 % interval, the paper's beside it.

    Parameters
    ----------
    comparison : DataFrame
        From `evaluation.compare`.
    paper : DataFrame, optional
        From `evaluation.paper_results`.

    Returns
    -------
    Figure
    """
    figure, ax = _figure(1.4 + 0.6 * len(comparison))
    names = comparison["architecture"].tolist()
    series = [("this run", comparison, BLUE, "o", -0.12)]
    if paper is not None:
        series.append(("paper (70 cells)", paper[paper["architecture"].isin(names)], GREY, "s", 0.12))
    for label, table, colour, marker, shift in series:
        y = np.array([names.index(name) for name in table["architecture"]]) + shift
        arms = [table["test_accuracy"] - table["low"], table["high"] - table["test_accuracy"]]
        ax.errorbar(table["test_accuracy"], y, xerr=arms, fmt=marker, color=colour, capsize=3, label=label)
    ax.axvline(0.5, color=GREY, linestyle=":", label="chance")
    ticks = [f"{_title(row.architecture)}\n({row.weights})" for row in comparison.itertuples()]
    ax.set_yticks(range(len(names)), ticks, fontsize=8)
    ax.set(xlabel="test accuracy, with 95 % Wilson interval", xlim=(0.3, 1.01), ylim=(len(names) - 0.5, -0.5))
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    ax.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{_sample_note(comparison)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def _sample_note(comparison):
    synthetic = comparison["notes"].str.contains("synthetic").any()
    return "Synthetic sample: shows the pipeline only. " if synthetic else ""


def cost(comparison):
    """Time, parameters and size of each architecture.

    Parameters
    ----------
    comparison : DataFrame
        From `evaluation.compare`.

    Returns
    -------
    Figure
    """
    figure, axes = _figure(2.4, columns=3, sharey=True)
    titles = comparison["architecture"].map(_title)
    units = {"seconds": "whole notebook (s)", "parameters": "parameters (millions)", "megabytes": "model file (MB)"}
    for ax, (column, label) in zip(axes, units.items(), strict=True):
        values = comparison[column] / (1e6 if column == "parameters" else 1)
        bars = ax.barh(titles, values, color=BLUE)
        ax.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
        ax.set_xlabel(label)
        ax.margins(x=0.2)
    axes[0].invert_yaxis()
    return figure
