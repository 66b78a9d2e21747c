"""Figures of what one network or classifier does."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from sklearn import metrics as sk

from ..data import tables
from ..evaluation import metrics
from ..evaluation.resampling import CALIBRATION_BINS
from ..training import checkpoints
from . import base
from .base import BLUE, GREEN, GREY, ORANGE, PALETTE, class_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHAPES = "osD^vP*X"
LEGEND = 66  # letters side by side under a map
MOST_STRIPS = 40  # patients of a class
STRIP_MARKS = {True: (BLUE, "o", "predicted correctly"), False: (ORANGE, "x", "predicted wrongly")}
FEATURE_GROUPS = {"shape and size": GREEN, "colour": ORANGE, "texture": BLUE}


def learning_curves(history: pd.DataFrame, title: str = "", patience: int = 0) -> Figure:
    """Accuracy and loss over the epochs; a line marks the epoch that was kept.

    Parameters
    ----------
    history : DataFrame
        One row per epoch: history.csv.
    title : str
    patience : int
        As the training was given it; 0: the last epoch was kept.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers.runs import Result
    >>> history = Result(run / "mobilenet").history()
    >>> figure = learning_curves(history, "MobileNet")
    """
    figure, axes = base.new_figure(2.9, columns=2)
    epoch = checkpoints.chosen_epoch(history, patience)
    kept = f"kept: epoch {epoch}, {'lowest validation loss' if patience else 'the last'}"
    style = {"marker": "o" if len(history) < 20 else None, "markersize": 3}
    units = {"accuracy": "share of cells correct", "loss": "cross-entropy (nats)"}
    for ax, (measure, unit) in zip(axes, units.items(), strict=True):
        train, validation = history[measure], history[f"val_{measure}"]
        ax.plot(history["epoch"], train, color=BLUE, label="training", **style)
        if validation.notna().any():
            style_too = {"color": ORANGE, "linestyle": "--", "label": "validation"}
            ax.plot(history["epoch"], validation, **style, **style_too)
        ax.axvline(epoch, color=GREY, linestyle=":", label=kept)
        ax.set(xlabel="epoch", ylabel=unit, title=measure)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    axes[0].set_ylim(min(0.4, *axes[0].get_ylim()), 1.02)
    figure.suptitle(title, fontsize=10)
    return figure


def confusion_matrix(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Confusion matrix of one split, in cells and in per cent of each true class.

    Parameters
    ----------
    predictions : DataFrame
        Of one split, as in predictions.csv.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = confusion_matrix(predictions[:10], "MobileNet")
    """
    matrix = metrics.confusion(predictions).rename(index=class_title, columns=class_title)
    figure, ax = base.new_figure(2.2 + 0.7 * len(matrix), width=3.6 + 0.7 * len(matrix))
    share = matrix.div(matrix.sum(axis=1).clip(lower=1), axis=0)
    text = matrix.astype(str) + "\n" + share.map("{:.0%}".format)
    style = {"cmap": "Blues", "vmin": 0, "vmax": 1, "square": True}
    bar = {"label": "share of the true class"}
    sns.heatmap(share, annot=text, fmt="", ax=ax, cbar_kws=bar, **style)
    ax.set(xlabel="predicted class", ylabel="true class")
    figure.suptitle(title, fontsize=10)
    return figure


def _scored(predictions: pd.DataFrame) -> dict[str, str]:
    """The classes that are each set against all others, with a colour."""
    labels = tables.scored(tables.classes_of(predictions))
    return base.class_colours(labels) if len(labels) > 1 else {labels[0]: BLUE}


def ranking_curves(predictions: pd.DataFrame, title: str = "") -> Figure:
    """ROC and precision-recall curve of one split; the dots are where classes are predicted.

    Parameters
    ----------
    predictions : DataFrame
        Of one split, as in predictions.csv. With cells of every class.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = ranking_curves(predictions[:10], "MobileNet")
    """
    figure, (left, right) = base.new_figure(3.7, columns=2)
    colours = _scored(predictions)
    several = len(colours) > 1
    for label, colour in colours.items():
        dot, chance = (colour, colour) if several else (ORANGE, GREY)
        prefix = f"{class_title(label, short=True)}: " if several else ""
        truth, probability = predictions["label"] == label, predictions[f"p_{label}"]
        predicted = tables.predicted_labels(predictions) == label
        _roc(left, truth, probability, label=prefix, color=colour)
        _precision(right, truth, probability, label=prefix, color=colour)
        right.axhline(
            truth.mean(), color=chance, linestyle=":", label=None if several else "chance"
        )
        left.plot(predicted[~truth].mean(), predicted[truth].mean(), "o", color=dot)
        if predicted.any():
            right.plot(predicted[truth].mean(), truth[predicted].mean(), "o", color=dot)
    left.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
    name = "the class" if several else class_title(next(iter(colours)), short=True)
    left.set(title="ROC", ylabel=f"sensitivity ({name} cells found)")
    left.set_xlabel(f"1 - specificity (other cells predicted {name})")
    right.set(title="precision-recall", xlabel="recall = sensitivity")
    right.set_ylabel(f"precision ({name} among cells predicted so)")
    for ax, place in ((left, "lower right"), (right, "lower left")):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc=place)
    figure.suptitle(title, fontsize=10)
    return figure


def _roc(ax: Axes, truth: pd.Series, probability: pd.Series, *, label: str, color: str) -> None:
    false_alarms, sensitivity, _ = sk.roc_curve(truth, probability)
    area = sk.roc_auc_score(truth, probability)
    ax.plot(false_alarms, sensitivity, color=color, label=f"{label}AUROC {area:.3f}")


def _precision(
    ax: Axes, truth: pd.Series, probability: pd.Series, *, label: str, color: str
) -> None:
    precision, recall, _ = sk.precision_recall_curve(truth, probability)
    average = sk.average_precision_score(truth, probability)
    ax.step(recall, precision, where="post", color=color, label=f"{label}AP {average:.3f}")


def reliability(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Predicted probability against observed share, and how many cells stand where.

    Parameters
    ----------
    predictions : DataFrame
        Of one split, as in predictions.csv.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = reliability(predictions[:10], "MobileNet")
    """
    heights = {"height_ratios": [3, 1]}
    figure, (above, below) = base.new_figure(
        4.6, rows=2, width=5.0, sharex=True, gridspec_kw=heights
    )
    colours = _scored(predictions)
    names = [class_title(label, short=True) for label in colours]
    above.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as predicted")
    for name, (label, colour) in zip(names, colours.items(), strict=True):
        bins = metrics.calibration(predictions, label)
        above.plot(bins["predicted"], bins["observed"], "o-", color=colour, label=name)
    name = names[0] if len(names) == 1 else "the class"
    error = metrics.measure(predictions, resamples=0)["calibration_error"]["value"]
    above.set(ylabel=f"share of {name} cells", ylim=(-0.03, 1.03))
    above.legend(fontsize=8, title=f"expected calibration error {error:.3f}", title_fontsize=8)
    above.grid(alpha=0.3)
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    values = [predictions[f"p_{label}"] for label in colours]
    below.hist(values, bins=edges, color=list(colours.values()))
    below.set(xlabel=f"predicted probability of {name}", ylabel="cells")
    figure.suptitle(title, fontsize=10)
    return figure


def patients(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy of each patient, worst first; the size of a dot shows how many cells it rests on.

    Parameters
    ----------
    predictions : DataFrame
        Of one split, as in predictions.csv.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = patients(predictions[:10], "MobileNet")
    """
    table = metrics.per_patient(predictions)
    longest = table["patient"].astype(str).str.len().max()
    colours = base.class_colours(tables.classes_of(predictions))
    figure, axes = base.new_figure(2.7 + 0.06 * longest, columns=len(colours), sharey=True)
    for ax, (label, colour) in zip(axes, colours.items(), strict=True):
        rows = table[table["label"] == label]
        places, mean = range(len(rows)), rows["accuracy"].mean()
        ax.scatter(places, rows["accuracy"], s=10 + 2 * rows["cells"], color=colour, alpha=0.6)
        ax.axhline(mean, color=GREY, linestyle=":", label=f"mean {mean:.2f}")
        fontsize = 6 if len(rows) > 20 else 8
        ax.set_xticks(places, rows["patient"], rotation=90, fontsize=fontsize)
        ax.set(title=class_title(label), xlabel=tables.unit_of(predictions))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower right")
    axes[0].set(ylabel="share of cells correct", ylim=(-0.05, 1.1))
    figure.suptitle(title, fontsize=10)
    return figure


def patient_strips(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Each cell of each patient at the probability of its true class, the worst patient first.

    Parameters
    ----------
    predictions : DataFrame
        Of one split, as in predictions.csv.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = patient_strips(predictions[:10], "MobileNet")
    """
    table = predictions.assign(
        correct=predictions["label"] == tables.predicted_labels(predictions),
        patient=tables.patients_of(predictions),
        probability=tables.prob_true_class(predictions),
    )
    groups = {str(label): _worst(group) for label, group in table.groupby("label")}
    most, unit = max(len(order) for _, order in groups.values()), tables.unit_of(predictions)
    height = 1.5 + 0.17 * most
    figure, axes = base.new_figure(height, columns=len(groups), sharex=True, squeeze=False)
    random = np.random.default_rng(0)
    for ax, (label, (group, order)) in zip(axes[0], groups.items(), strict=True):
        y = group["patient"].map(order.get) + random.uniform(-0.3, 0.3, len(group))
        for correct, (colour, marker, _) in STRIP_MARKS.items():
            rows = group["correct"] == correct
            style = {"s": 8, "color": colour, "marker": marker, "linewidths": 0.8}
            ax.scatter(group.loc[rows, "probability"], y[rows], **style)
        names = [f"{name} ({(group['patient'] == name).sum()})" for name in order]
        ax.set_yticks(range(len(order)), names, fontsize=6 if most > 12 else 8)
        count = table.loc[table["label"] == label, "patient"].nunique()
        part = f", the worst {len(order)} of {count} {unit}s" if count > len(order) else ""
        ax.set(title=class_title(label) + part, xlabel="predicted probability of the true class")
        ax.set(xlim=(-0.03, 1.03), ylim=(len(order) - 0.5, -0.5))
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel(f"{unit} (cells)")
    for colour, marker, text in STRIP_MARKS.values():
        axes[0, 0].scatter([], [], s=16, color=colour, marker=marker, label=text)
    base.legend_below(figure, axes[0, 0], 2)
    figure.suptitle(title, fontsize=10)
    return figure


def _worst(group: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Cells of the patients with the lowest median, and the place of each of these patients."""
    worst = group.groupby("patient")["probability"].median().sort_values().index[:MOST_STRIPS]
    return group[group["patient"].isin(worst)], {name: k for k, name in enumerate(worst)}


def feature_map(places: np.ndarray, table: pd.DataFrame, title: str = "") -> Figure:
    """A map of features twice: coloured by class and by patient.

    Parameters
    ----------
    places : ndarray of shape (cells, 2)
        From `evaluation.map_of_features`.
    table : DataFrame
        The same cells, with label and patient.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = feature_map(np.random.rand(160, 2), table)
    """
    figure, axes = base.new_figure(4.3, columns=2, sharex=True, sharey=True)
    known, unit = table["patient"].fillna("").astype(str), tables.unit_of(table)
    largest = known[known != ""].value_counts().index[: len(PALETTE)]
    classes = {label: class_title(label) for label in sorted(set(table["label"]))}
    _map(axes[0], places, table["label"], names=classes)
    _map(axes[1], places, known, names={name: base.of_patient(name, unit) for name in largest})
    for ax, name in zip(axes, ("class", unit), strict=True):
        ax.set(title=f"coloured by {name}", xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)")
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.08)}
        longest = max(len(text.get_text()) for text in ax.legend().get_texts())
        columns = max(1, min(3, LEGEND // (longest + 4)))
        ax.legend(fontsize=7, ncols=columns, markerscale=1.6, **below)
    axes[0].set_ylabel("t-SNE 2 (no unit)")
    figure.suptitle(title, fontsize=10)
    return figure


def _map(ax: Axes, places: np.ndarray, groups: pd.Series, *, names: dict[str, str]) -> None:
    """Cells at their places, those of each named group in its own colour and shape."""
    rest = ~groups.isin(list(names)).to_numpy()
    if rest.any():
        ax.scatter(places[rest, 0], places[rest, 1], s=10, color="#D0D0D0", label="others")
    marks = zip(itertools.cycle(PALETTE), itertools.cycle(SHAPES), strict=False)
    for (group, text), (colour, marker) in zip(names.items(), marks, strict=False):
        x, y = places[(groups == group).to_numpy()].T
        style: dict[str, Any] = {"color": colour, "marker": marker, "label": text}
        ax.scatter(x, y, s=12, alpha=0.7, linewidths=0, **style)


def importance(table: pd.DataFrame, title: str = "", shown: int = 15) -> Figure:
    """The features that a classifier leans on most.

    Parameters
    ----------
    table : DataFrame
        From `training.classical.importance`: feature, group, importance, deviation.
    title : str
    shown : int
        Features, the most important first.

    Returns
    -------
    Figure

    Examples
    --------
    >>> row = {"feature": "area", "group": "texture", "importance": 0.1, "deviation": 0.01}
    >>> figure = importance(pd.DataFrame([row]))
    """
    table = table.head(shown)
    figure, ax = base.new_figure(0.9 + 0.24 * len(table), width=7.0)
    for group, colour in FEATURE_GROUPS.items():
        rows = table[table["group"] == group]
        style = {"xerr": rows["deviation"], "color": colour, "label": group, "capsize": 2}
        ax.barh(rows.index, rows["importance"], **style)
    base.name_rows(ax, table["feature"].str.replace("_", " "))
    ax.set_xlabel("fall of weighted F1 on the validation cells when it is shuffled")
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.legend(fontsize=8, loc="lower right")
    figure.suptitle(title, fontsize=10)
    return figure
