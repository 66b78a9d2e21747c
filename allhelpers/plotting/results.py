"""Figures of what one network or classifier does."""

import numpy as np
import seaborn as sns
from sklearn import metrics as sk

from .. import evaluation
from ..manifest import title as class_title
from .base import BLUE, GREEN, GREY, ORANGE, class_colours, new_figure


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
    figure, axes = new_figure(3.2, columns=2)
    for ax, measure in zip(axes, ("accuracy", "loss"), strict=True):
        marker = "o" if len(history) < 20 else None
        ax.plot(history["epoch"], history[measure], color=BLUE, marker=marker, markersize=3, label="training")
        if history[f"val_{measure}"].notna().any():
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
    matrix = evaluation.confusion(predictions)
    figure, ax = new_figure(2.2 + 0.7 * len(matrix), width=3.6 + 0.7 * len(matrix))
    share = matrix.div(matrix.sum(axis=1).clip(lower=1), axis=0)
    text = matrix.astype(str) + "\n" + share.map("{:.0%}".format)
    names = [class_title(label) for label in matrix]
    sns.heatmap(share, annot=text, fmt="", cmap="Blues", vmin=0, vmax=1, square=True, ax=ax, xticklabels=names,
                yticklabels=names, cbar_kws={"label": "share of the true class"})  # fmt: skip
    ax.set(xlabel="predicted class", ylabel="true class")
    figure.suptitle(title, fontsize=10)
    return figure


def ranking_curves(predictions, title=""):
    """ROC and precision-recall curve of one side of the split; the dots are where classes are called.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv, of all classes.
    title : str

    Returns
    -------
    Figure
    """
    figure, (left, right) = new_figure(4.2, columns=2)
    shown = evaluation.scored(evaluation.classes_of(predictions))
    colours = class_colours(shown) if len(shown) > 1 else {shown[0]: BLUE}
    for label in shown:
        _one_ranking(left, right, predictions, label, colours[label], len(shown) > 1)
    left.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
    name = class_title(shown[0], short=True) if len(shown) == 1 else "the class"
    left.set(xlabel=f"1 - specificity (other cells called {name})", ylabel=f"sensitivity ({name} cells found)",
             title="ROC")  # fmt: skip
    right.set(xlabel="recall = sensitivity", ylabel=f"precision ({name} among cells called so)",
              title="precision-recall")  # fmt: skip
    for ax in (left, right):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower right" if ax is left else "lower left")
    figure.suptitle(title, fontsize=10)
    return figure


def _one_ranking(left, right, predictions, label, colour, several):
    truth, stated = predictions["label"] == label, predictions[f"p_{label}"]
    called = evaluation.predicted_labels(predictions) == label
    prefix = f"{class_title(label, short=True)}: " if several else ""
    false_alarms, sensitivity, _ = sk.roc_curve(truth, stated)
    left.plot(false_alarms, sensitivity, color=colour, label=f"{prefix}AUROC {sk.roc_auc_score(truth, stated):.3f}")
    left.plot(called[~truth].mean(), called[truth].mean(), "o", color=colour if several else ORANGE)
    precision, recall, _ = sk.precision_recall_curve(truth, stated)
    average = sk.average_precision_score(truth, stated)
    right.step(recall, precision, where="post", color=colour, label=f"{prefix}AP {average:.3f}")
    right.axhline(truth.mean(), color=colour if several else GREY, linestyle=":", label=None if several else "chance")
    if called.any():
        right.plot(called[truth].mean(), truth[called].mean(), "o", color=colour if several else ORANGE)


def reliability(predictions, title=""):
    """Reliability diagram: stated probability against observed share, and how many cells stand where.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv.
    title : str

    Returns
    -------
    Figure
    """
    figure, (above, below) = new_figure(4.6, rows=2, width=5.0, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    shown = evaluation.scored(evaluation.classes_of(predictions))
    colours = class_colours(shown) if len(shown) > 1 else {shown[0]: BLUE}
    names = {label: class_title(label, short=True) for label in shown}
    above.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as stated")
    for label in shown:
        bins = evaluation.calibration(predictions, label)
        above.plot(bins["stated"], bins["observed"], "o-", color=colours[label], label=names[label])
    name = names[shown[0]] if len(shown) == 1 else "the class"
    error = evaluation.measure(predictions, resamples=0)["calibration_error"]["value"]
    above.set(ylabel=f"share of {name} cells", ylim=(-0.03, 1.03))
    above.legend(fontsize=8, title=f"expected calibration error {error:.3f}", title_fontsize=8)
    above.grid(alpha=0.3)
    edges = np.linspace(0, 1, evaluation.CALIBRATION_BINS + 1)
    below.hist([predictions[f"p_{label}"] for label in shown], bins=edges, color=[colours[label] for label in shown])
    below.set(xlabel=f"stated probability of {name}", ylabel="cells")
    figure.suptitle(title, fontsize=10)
    return figure


def patients(predictions, title=""):
    """Accuracy of each patient, worst first; the size of a dot shows how many cells it rests on.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv.
    title : str

    Returns
    -------
    Figure
    """
    table, colours = evaluation.per_patient(predictions), class_colours(evaluation.classes_of(predictions))
    figure, axes = new_figure(3.4, columns=len(colours), sharey=True)
    for ax, label in zip(axes, colours, strict=True):
        rows = table[table["label"] == label]
        ax.scatter(range(len(rows)), rows["accuracy"], s=10 + 2 * rows["cells"], color=colours[label], alpha=0.6)
        ax.axhline(rows["accuracy"].mean(), color=GREY, linestyle=":", label=f"mean {rows['accuracy'].mean():.2f}")
        ax.set_xticks(range(len(rows)), rows["subject"], rotation=90, fontsize=6 if len(rows) > 20 else 8)
        ax.set(title=class_title(label), xlabel="patient")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower right")
    axes[0].set(ylabel="share of cells right", ylim=(-0.05, 1.1))
    figure.suptitle(title, fontsize=10)
    return figure


def importance(table, title="", shown=15):
    """The features that a classifier leans on most.

    Parameters
    ----------
    table : DataFrame
        From `classical.importance`.
    title : str
    shown : int

    Returns
    -------
    Figure
    """
    table = table.head(shown)
    groups = dict(zip(("shape and size", "colour", "texture"), (GREEN, ORANGE, BLUE), strict=True))
    figure, ax = new_figure(0.9 + 0.24 * len(table), width=7.0)
    for group, colour in groups.items():
        rows = table[table["group"] == group]
        ax.barh(rows.index, rows["importance"], xerr=rows["deviation"], color=colour, label=group, capsize=2)
    ax.set_yticks(range(len(table)), table["feature"].str.replace("_", " "), fontsize=8)
    ax.set(xlabel="fall of weighted F1 on the validation cells when it is shuffled", ylim=(len(table) - 0.5, -0.5))
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.legend(fontsize=8, loc="lower right")
    ax.grid(axis="x", alpha=0.3)
    figure.suptitle(title, fontsize=10)
    return figure
