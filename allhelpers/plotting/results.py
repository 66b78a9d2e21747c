"""Figures of what one network or classifier does."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from sklearn import metrics as sk

from ..data import manifest as manifests
from ..data import tables
from ..evaluation import metrics
from ..evaluation.resampling import CALIBRATION_BINS
from ..training import checkpoints
from . import base
from .base import BLUE, GREEN, GREY, ORANGE, PALETTE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHAPES = "osD^vP*X"

MOST_STRIPS = 40  # patients of a class

STRIP_MARKS = {True: (BLUE, "o", "cell called right"), False: (ORANGE, "x", "called wrong")}


def learning_curves(history: pd.DataFrame, title: str = "", patience: int = 0) -> Figure:
    """Accuracy and loss of training and validation over the epochs; a line marks the epoch that was kept."""
    figure, axes = base.new_figure(3.2, columns=2)
    chosen = checkpoints.chosen_epoch(history, patience)
    reason = "lowest validation loss" if patience else "the last"
    units = {"accuracy": "share of cells right", "loss": "cross-entropy (nats)"}
    for ax, (measure, unit) in zip(axes, units.items(), strict=True):
        marker = "o" if len(history) < 20 else None
        ax.plot(
            history["epoch"],
            history[measure],
            color=BLUE,
            marker=marker,
            markersize=3,
            label="training",
        )
        if history[f"val_{measure}"].notna().any():
            ax.plot(
                history["epoch"],
                history[f"val_{measure}"],
                color=ORANGE,
                marker=marker,
                markersize=3,
                linestyle="--",
                label="validation",
            )
        ax.axvline(chosen, color=GREY, linestyle=":", label=f"kept: epoch {chosen}, {reason}")
        ax.set(xlabel="epoch", ylabel=unit, title=measure)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    axes[0].set_ylim(min(0.4, *axes[0].get_ylim()), 1.02)
    figure.suptitle(title, fontsize=10)
    return figure


def confusion_matrix(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Confusion matrix of one side of the split, in cells and in per cent of each true class."""
    matrix = metrics.confusion(predictions)
    figure, ax = base.new_figure(2.2 + 0.7 * len(matrix), width=3.6 + 0.7 * len(matrix))
    share = matrix.div(matrix.sum(axis=1).clip(lower=1), axis=0)
    text = matrix.astype(str) + "\n" + share.map("{:.0%}".format)
    names = [manifests.class_title(label) for label in matrix]
    sns.heatmap(
        share,
        annot=text,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=1,
        square=True,
        ax=ax,
        xticklabels=names,
        yticklabels=names,
        cbar_kws={"label": "share of the true class"},
    )
    ax.set(xlabel="predicted class", ylabel="true class")
    figure.suptitle(title, fontsize=10)
    return figure


def ranking_curves(predictions: pd.DataFrame, title: str = "") -> Figure:
    """ROC and precision-recall curve of one side of the split; the dots are where classes are called."""
    figure, (left, right) = base.new_figure(4.2, columns=2)
    shown = tables.scored(tables.classes_of(predictions))
    colours = base.class_colours(shown) if len(shown) > 1 else {shown[0]: BLUE}
    for label in shown:
        _one_ranking(left, right, predictions, label, colours[label], len(shown) > 1)
    left.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
    name = manifests.class_title(shown[0], short=True) if len(shown) == 1 else "the class"
    left.set(
        xlabel=f"1 - specificity (other cells called {name})",
        ylabel=f"sensitivity ({name} cells found)",
        title="ROC",
    )
    right.set(
        xlabel="recall = sensitivity",
        ylabel=f"precision ({name} among cells called so)",
        title="precision-recall",
    )
    for ax in (left, right):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower right" if ax is left else "lower left")
    figure.suptitle(title, fontsize=10)
    return figure


def _one_ranking(
    left: Any, right: Any, predictions: pd.DataFrame, label: str, colour: Any, several: Any
) -> None:
    truth, stated = predictions["label"] == label, predictions[f"p_{label}"]
    called = tables.predicted_labels(predictions) == label
    prefix = f"{manifests.class_title(label, short=True)}: " if several else ""
    false_alarms, sensitivity, _ = sk.roc_curve(truth, stated)
    left.plot(
        false_alarms,
        sensitivity,
        color=colour,
        label=f"{prefix}AUROC {sk.roc_auc_score(truth, stated):.3f}",
    )
    left.plot(called[~truth].mean(), called[truth].mean(), "o", color=colour if several else ORANGE)
    precision, recall, _ = sk.precision_recall_curve(truth, stated)
    average = sk.average_precision_score(truth, stated)
    right.step(recall, precision, where="post", color=colour, label=f"{prefix}AP {average:.3f}")
    right.axhline(
        truth.mean(),
        color=colour if several else GREY,
        linestyle=":",
        label=None if several else "chance",
    )
    if called.any():
        right.plot(
            called[truth].mean(), truth[called].mean(), "o", color=colour if several else ORANGE
        )


def reliability(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Reliability diagram: stated probability against observed share, and how many cells stand where."""
    figure, (above, below) = base.new_figure(
        4.6, rows=2, width=5.0, sharex=True, gridspec_kw={"height_ratios": [3, 1]}
    )
    shown = tables.scored(tables.classes_of(predictions))
    colours = base.class_colours(shown) if len(shown) > 1 else {shown[0]: BLUE}
    names = {label: manifests.class_title(label, short=True) for label in shown}
    above.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as stated")
    for label in shown:
        bins = metrics.calibration(predictions, label)
        above.plot(bins["stated"], bins["observed"], "o-", color=colours[label], label=names[label])
    name = names[shown[0]] if len(shown) == 1 else "the class"
    error = metrics.measure(predictions, resamples=0)["calibration_error"]["value"]
    above.set(ylabel=f"share of {name} cells", ylim=(-0.03, 1.03))
    above.legend(fontsize=8, title=f"expected calibration error {error:.3f}", title_fontsize=8)
    above.grid(alpha=0.3)
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    below.hist(
        [predictions[f"p_{label}"] for label in shown],
        bins=edges,
        color=[colours[label] for label in shown],
    )
    below.set(xlabel=f"stated probability of {name}", ylabel="cells")
    figure.suptitle(title, fontsize=10)
    return figure


def patients(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy of each patient, worst first; the size of a dot shows how many cells it rests on."""
    table, colours = (
        metrics.per_patient(predictions),
        base.class_colours(tables.classes_of(predictions)),
    )
    figure, axes = base.new_figure(3.4, columns=len(colours), sharey=True)
    for ax, label in zip(axes, colours, strict=True):
        rows = table[table["label"] == label]
        ax.scatter(
            range(len(rows)),
            rows["accuracy"],
            s=10 + 2 * rows["cells"],
            color=colours[label],
            alpha=0.6,
        )
        ax.axhline(
            rows["accuracy"].mean(),
            color=GREY,
            linestyle=":",
            label=f"mean {rows['accuracy'].mean():.2f}",
        )
        ax.set_xticks(
            range(len(rows)), rows["subject"], rotation=90, fontsize=6 if len(rows) > 20 else 8
        )
        ax.set(title=manifests.class_title(label), xlabel="patient")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="lower right")
    axes[0].set(ylabel="share of cells right", ylim=(-0.05, 1.1))
    figure.suptitle(title, fontsize=10)
    return figure


def patient_strips(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Every cell of every patient at the probability stated for its true class, one strip per patient, worst first."""
    table = predictions.assign(
        right=predictions["label"] == tables.predicted_labels(predictions),
        subject=tables.patients_of(predictions),
        stated=tables.stated_for_truth(predictions),
    )
    groups = {label: _worst(group) for label, group in table.groupby("label")}
    most = max(len(order) for _, order in groups.values())
    figure, axes = base.new_figure(
        1.5 + 0.17 * most, columns=len(groups), sharex=True, squeeze=False
    )
    random = np.random.default_rng(0)
    for ax, (label, (group, order)) in zip(axes[0], groups.items(), strict=True):
        y = group["subject"].map(order.get) + random.uniform(-0.3, 0.3, len(group))
        for right, (colour, marker, _) in STRIP_MARKS.items():
            chosen = group["right"] == right
            ax.scatter(
                group.loc[chosen, "stated"],
                y[chosen],
                s=8,
                color=colour,
                marker=marker,
                linewidths=0.8,
            )
        names = [f"{name} ({(group['subject'] == name).sum()})" for name in order]
        ax.set_yticks(range(len(order)), names, fontsize=6 if most > 12 else 8)
        count = table.loc[table["label"] == label, "subject"].nunique()
        some = f", the worst {len(order)} of {count} patients" if count > len(order) else ""
        ax.set(
            title=manifests.class_title(label) + some,
            ylim=(len(order) - 0.5, -0.5),
            xlim=(-0.03, 1.03),
        )
        ax.set_xlabel("probability stated for the true class")
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("patient (cells)")
    marks = {
        text: axes[0, 0].scatter([], [], s=16, color=c, marker=m)
        for c, m, text in STRIP_MARKS.values()
    }
    figure.legend(marks.values(), marks, fontsize=8, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize=10)
    return figure


def _worst(group: Any) -> Any:
    """Cells of the patients with the lowest median, and the place of each of these patients."""
    worst = group.groupby("subject")["stated"].median().sort_values().index[:MOST_STRIPS]
    return group[group["subject"].isin(worst)], {name: k for k, name in enumerate(worst)}


def feature_map(places: np.ndarray, table: pd.DataFrame, title: str = "") -> Figure:
    """A map of features twice: coloured by class and by patient."""
    figure, axes = base.new_figure(4.8, columns=2, sharex=True, sharey=True)
    known = table["subject"].fillna("").astype(str)
    largest = known[known != ""].value_counts().index[: len(PALETTE)]
    kinds = {
        "class": (
            table["label"],
            {label: manifests.class_title(label) for label in sorted(set(table["label"]))},
        ),
        "patient": (
            known.where(known.isin(largest), ""),
            {name: f"patient {name}" for name in largest},
        ),
    }
    for ax, (name, (groups, names)) in zip(axes, kinds.items(), strict=True):
        rest = (~groups.isin(list(names))).to_numpy()
        if rest.any():
            ax.scatter(*places[rest].T, s=10, color="#D0D0D0", label="other patients")
        for (group, text), colour, marker in zip(
            names.items(), itertools.cycle(PALETTE), itertools.cycle(SHAPES)
        ):
            rows = (groups == group).to_numpy()
            ax.scatter(
                *places[rows].T,
                s=12,
                color=colour,
                marker=marker,
                alpha=0.7,
                linewidths=0,
                label=text,
            )
        ax.set(title=f"coloured by {name}", xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)")
        ax.legend(
            fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08), markerscale=1.6
        )
    axes[0].set_ylabel("t-SNE 2 (no unit)")
    figure.suptitle(title, fontsize=10)
    return figure


def importance(table: pd.DataFrame, title: str = "", shown: int = 15) -> Figure:
    """The features that a classifier leans on most."""
    table = table.head(shown)
    groups = dict(zip(("shape and size", "colour", "texture"), (GREEN, ORANGE, BLUE), strict=True))
    figure, ax = base.new_figure(0.9 + 0.24 * len(table), width=7.0)
    for group, colour in groups.items():
        rows = table[table["group"] == group]
        ax.barh(
            rows.index,
            rows["importance"],
            xerr=rows["deviation"],
            color=colour,
            label=group,
            capsize=2,
        )
    ax.set_yticks(range(len(table)), table["feature"].str.replace("_", " "), fontsize=8)
    ax.set(
        xlabel="fall of weighted F1 on the validation cells when it is shuffled",
        ylim=(len(table) - 0.5, -0.5),
    )
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.legend(fontsize=8, loc="lower right")
    ax.grid(axis="x", alpha=0.3)
    figure.suptitle(title, fontsize=10)
    return figure
