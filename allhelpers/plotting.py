"""Every figure, one function each, returning the matplotlib Figure.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

import itertools

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from sklearn import metrics as sk

from . import RESEARCH_ONLY, comparison, evaluation
from .manifest import title as class_title
from .settings import SYNTHETIC_NOTE

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
PALETTE = (ORANGE, BLUE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
SPLIT_TITLES = {"train": "training", "valid": "validation", "test": "test"}
WIDTH = 9.0  # inches
SHOWN_FEATURES = ("area", "circularity", "solidity", "red_mean", "hue_mean", "contrast_1")


def class_colours(labels):
    """A colour for each class, the same in every figure.

    Parameters
    ----------
    labels : iterable of str
        Classes, once or more often.

    Returns
    -------
    dict of str to str
        In the order of the names.
    """
    return dict(zip(sorted(set(labels)), itertools.cycle(PALETTE), strict=False))


def _figure(height, columns=1, rows=1, width=WIDTH, **options):
    """A figure that is shown once, where a notebook's cell ends with it."""
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    plt.close(figure)
    return figure, axes


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
    colours = {class_title(label): colour for label, colour in class_colours(table["label"]).items()}
    used = table.assign(split=table["split"].map(SPLIT_TITLES), label=table["label"].map(class_title))
    counts = {"cells": used.groupby(["split", "label"]).size()}
    counts["patients"] = used.groupby(["split", "label"])["subject"].nunique()
    for ax, (unit, count) in zip(axes, counts.items(), strict=True):
        sns.barplot(count.rename(unit).reset_index(), y="split", x=unit, hue="label", order=SPLIT_TITLES.values(),
                    hue_order=list(colours), palette=colours, ax=ax)  # fmt: skip
        for bars in ax.containers:
            ax.bar_label(bars, padding=2, fontsize=8)
        ax.set(title=f"{unit.capitalize()} on each side of the split", ylabel="", xlabel=f"number of {unit}")
        ax.margins(x=0.15)
        ax.get_legend().remove()
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=len(colours))
    return figure


def cell_gallery(cells, per_class=6, seed=0):
    """Cells of every class, drawn at random from the training side.

    Parameters
    ----------
    cells : loading.Cells
    per_class : int
    seed : int

    Returns
    -------
    Figure
    """
    figure, axes = _figure(0.2 + 1.6 * len(cells.classes), columns=per_class, rows=len(cells.classes))
    random = np.random.default_rng(seed)
    training = cells.table["split"] == "train"
    for label, line in zip(cells.classes, axes, strict=True):
        rows = np.flatnonzero(training & (cells.table["label"] == label))
        for ax, row in zip(line, random.choice(rows, per_class, replace=len(rows) < per_class), strict=True):
            _picture(ax, cells.pixels[row], f"patient {cells.table['subject'].iloc[row]}")
        line[0].set_title(f"{class_title(label)}\n{line[0].get_title()}", fontsize=8)
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
    figure, ax = _figure(2.2 + 0.7 * len(matrix), width=3.6 + 0.7 * len(matrix))
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
    figure, (left, right) = _figure(4.2, columns=2)
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
    figure, (above, below) = _figure(4.6, rows=2, width=5.0, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
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
    figure, axes = _figure(3.4, columns=len(colours), sharey=True)
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
    """
    figure, axes = _figure(1.3 + 0.35 * len(table), columns=2, sharey=True)
    for ax, metric in zip(axes, comparison.COMPARED, strict=True):
        known = table[table[metric].notna()]
        y = np.array([table.index.get_loc(k) for k in known.index])
        arms = [known[metric] - known[f"{metric}_low"], known[f"{metric}_high"] - known[metric]]
        ax.errorbar(known[metric], y, xerr=np.clip(arms, 0, None), fmt="o", color=BLUE, capsize=3)
        ax.set(xlabel=f"{evaluation.title(metric)}, 95 % over resampled patients", ylim=(len(table) - 0.5, -0.5))
        ax.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(table)), [comparison.title(name) for name in table["method"]], fontsize=8)
    axes[0].axvline(0.5, color=GREY, linestyle=":")
    figure.suptitle(f"{_sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
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
    """
    rows = measured[measured["accuracy"].notna() & (measured["architecture"] != "majority")]
    rows = rows.assign(kind=np.where(rows["split"] == "paper", "by picture", "by patient"))
    both = [title for title, group in rows.groupby("title") if group["kind"].nunique() == 2]
    rows = rows[rows["title"].isin(both)].sort_values(["title", "architecture", "kind", "split"], ascending=False)
    figure, ax = _figure(1.5 + 0.32 * len(rows))
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


def differences(pairs):
    """Difference of weighted F1 between every two methods, with its interval over resampled patients.

    Parameters
    ----------
    pairs : DataFrame
        From `comparison.pairs`.

    Returns
    -------
    Figure
    """
    figure, ax = _figure(1.1 + 0.3 * len(pairs))
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
    called = evaluation.predicted_labels(predictions)
    table = predictions.assign(called=called, sure=evaluation.stated(predictions).max(axis=1))
    wrong = table[table["label"] != called].sort_values("sure", ascending=False).head(most)
    rows = max(1, -(-len(wrong) // 6))
    figure, axes = _figure(0.6 + 1.8 * rows, columns=6, rows=rows, squeeze=False)
    row_of = pd.Series(range(len(cells.table)), index=cells.table["file"])
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, cell in zip(axes.flat, wrong.itertuples(), strict=False):
        true, called = (class_title(label, short=True) for label in (cell.label, cell.called))
        text = f"true {true}, patient {cell.subject}\np({called}) = {cell.sure:.2f}"
        _picture(ax, cells.pixels[row_of[cell.file]], text)
    if wrong.empty:
        axes.flat[0].text(0, 0.5, "no cell is wrong", fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def accuracy_with_intervals(compared, paper=None):
    """Test accuracy of each architecture with its 95 % interval, the paper's beside it.

    Parameters
    ----------
    compared : DataFrame
        From `comparison.compare`.
    paper : DataFrame, optional
        From `comparison.paper_results`.

    Returns
    -------
    Figure
    """
    figure, ax = _figure(1.4 + 0.6 * len(compared))
    names = compared["architecture"].tolist()
    series = [("this run", compared, BLUE, "o", -0.12)]
    if paper is not None:
        series.append(("paper (70 cells)", paper[paper["architecture"].isin(names)], GREY, "s", 0.12))
    for label, table, colour, marker, shift in series:
        y = np.array([names.index(name) for name in table["architecture"]]) + shift
        arms = [table["test_accuracy"] - table["low"], table["high"] - table["test_accuracy"]]
        ax.errorbar(table["test_accuracy"], y, xerr=arms, fmt=marker, color=colour, capsize=3, label=label)
    ax.axvline(0.5, color=GREY, linestyle=":", label="chance")
    ticks = [f"{comparison.title(row.architecture)}\n({row.weights})" for row in compared.itertuples()]
    ax.set_yticks(range(len(names)), ticks, fontsize=8)
    ax.set(xlabel="test accuracy, with 95 % Wilson interval", xlim=(0.3, 1.01), ylim=(len(names) - 0.5, -0.5))
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    ax.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{_sample_note(compared)}{RESEARCH_ONLY}", fontsize=9)
    return figure


def _sample_note(compared):
    synthetic = compared["notes"].str.contains(SYNTHETIC_NOTE, regex=False).any()
    return "Synthetic sample: shows the pipeline only. " if synthetic else ""


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
    """
    figure, (time, *others) = _figure(2.8, columns=3, sharey=True)
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


def collapse(table, found):
    """ResNet50 in four ways: accuracy of each seed, and the spread of each channel of its pooled features.

    Parameters
    ----------
    table : DataFrame
        From `collapse.study`.
    found : dict of (str, str) to ndarray of shape (cells, channels)
        From `collapse.features`.

    Returns
    -------
    Figure
    """
    from .collapse import NORMS, PREPARATIONS  # loads TensorFlow

    figure, (left, right) = _figure(3.8, columns=2)
    ways = [(preparation, norm) for preparation in PREPARATIONS for norm in NORMS]
    for side, colour, shift in (("train", GREY, -0.12), ("test", BLUE, 0.12)):
        for y, (preparation, norm) in enumerate(ways):
            rows = table[(table["preparation"] == preparation) & (table["norm"] == norm)]
            left.plot(rows[f"{side}_accuracy"], [y + shift] * len(rows), "o", color=colour, alpha=0.6,
                      label={"train": "training", "test": "test"}[side] if y == 0 else None)  # fmt: skip
    left.axvline(36 / 70, color=ORANGE, linestyle="--", label="paper, test")
    left.set_yticks(range(len(ways)), [f"{PREPARATIONS[p]},\nbatch norm {NORMS[n]}" for p, n in ways], fontsize=8)
    left.set(xlabel="accuracy, one dot per seed", xlim=(0.35, 1.0), ylim=(len(ways) - 0.5, -0.5))
    for (preparation, title), colour in zip(PREPARATIONS.items(), (BLUE, ORANGE), strict=True):
        deviation = found[preparation, "stored"].std(axis=0)
        right.hist(np.log10(np.maximum(deviation, 1e-6)), bins=40, color=colour, alpha=0.6, label=title)
    right.set(xlabel="standard deviation over the cells (log10)", ylabel="channels of the pooled features")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), fontsize=8, loc="outside lower left", ncols=3)
    right.legend(fontsize=8)
    return figure


def near_pairs(cells, near, most=6):
    """Pairs of pictures that look the same, one above the other.

    Parameters
    ----------
    cells : loading.Cells
    near : DataFrame
        From `audit.near_duplicates`.
    most : int
        How many pairs to show at most.

    Returns
    -------
    Figure
    """
    figure, axes = _figure(3.6, columns=most, rows=2)
    row_of = pd.Series(range(len(cells.table)), index=cells.table["file"])
    for ax in axes.flat:
        ax.set_axis_off()
    closest = near.sort_values("grey_values").drop_duplicates("file_1").head(most)
    for column, pair in zip(axes.T, closest.itertuples(), strict=False):
        for ax, file in zip(column, (pair.file_1, pair.file_2), strict=True):
            _picture(ax, cells.pixels[row_of[file]], file.rsplit("/", 1)[-1].removesuffix(".bmp"))
            ax.title.set_fontsize(6)
    if near.empty:
        axes.flat[0].text(0, 0.5, "no two pictures look the same", fontsize=10)
    return figure


def areas(table, note=""):
    """Area of the cells of each class: a shortcut, and a floor for every network.

    Parameters
    ----------
    table : DataFrame
        Columns label and area, as in `audit.Audit`.
    note : str
        What the cells are.

    Returns
    -------
    Figure
    """
    figure, ax = _figure(3.0, width=6.5)
    bins = np.histogram_bin_edges(table["area"], 40)
    for label, colour in class_colours(table["label"]).items():
        ax.hist(table.loc[table["label"] == label, "area"], bins, color=colour, alpha=0.6, label=class_title(label))
    ax.set(xlabel="area of the cell (pixels of the decoded picture that are not black)", ylabel="cells")
    ax.legend(fontsize=8)
    figure.suptitle(note, fontsize=10)
    return figure


def cells_per_patient(table):
    """Cells of every patient: few patients hold many of the cells.

    Parameters
    ----------
    table : DataFrame
        A manifest.

    Returns
    -------
    Figure
    """
    colours = class_colours(table["label"])
    figure, axes = _figure(3.0, columns=len(colours), sharey=True)
    for ax, label in zip(axes, colours, strict=True):
        counts = table[table["label"] == label]["subject"].value_counts()
        ax.bar(range(len(counts)), counts, color=colours[label])
        ax.set_xticks(range(len(counts)), counts.index, rotation=90, fontsize=5 if len(counts) > 30 else 7)
        ax.set(title=f"{class_title(label)}: {len(counts)} patients", xlabel="patient")
    axes[0].set_ylabel("cells")
    return figure


def feature_distributions(measured, cells, shown=SHOWN_FEATURES):
    """Distribution of some measured features in each class.

    Parameters
    ----------
    measured : DataFrame
        From `classical.features`.
    cells : loading.Cells
    shown : tuple of str
        Six features.

    Returns
    -------
    Figure
    """
    figure, axes = _figure(4.4, columns=3, rows=2)
    for ax, name in zip(axes.ravel(), shown, strict=True):
        bins = np.histogram_bin_edges(measured[name], 40)
        for label, colour in class_colours(cells.classes).items():
            values = measured.loc[(cells.table["label"] == label).to_numpy(), name]
            ax.hist(values, bins, color=colour, alpha=0.6, label=class_title(label))
        ax.set(xlabel=name.replace("_", " "), ylabel="cells")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, fontsize=8, loc="outside lower center", ncols=len(cells.classes))
    figure.suptitle(cells.kind, fontsize=10)
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
    figure, ax = _figure(0.9 + 0.24 * len(table), width=7.0)
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


def choices(found, curves, choice, note=""):
    """Validation by step size, and the training loss of each choice at its best step size.

    Parameters
    ----------
    found, curves : DataFrame
        From `choices.compare_optimisers` or `choices.compare_activations`.
    choice : {"optimiser", "activation"}
    note : str
        What the cells are.

    Returns
    -------
    Figure
    """
    figure, axes = _figure(3.6, columns=2)
    names = list(dict.fromkeys(found[choice]))
    palette = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
    if found["learning_rate"].nunique() > 1:
        sns.lineplot(found, x="learning_rate", y="valid_f1", hue=choice, palette=palette, marker="o", errorbar="sd",
                     ax=axes[0], legend=False)  # fmt: skip
        axes[0].set(xscale="log", xlabel="step size")
    else:
        sns.stripplot(found, x=choice, y="valid_f1", hue=choice, palette=palette, ax=axes[0], legend=False)
        axes[0].set_xlabel("")
    axes[0].set(ylabel="weighted F1, validation")
    means = found.groupby([choice, "learning_rate"])["valid_f1"].mean()
    best = {name: means[name].idxmax() for name in names}
    shown = curves[curves["learning_rate"] == curves[choice].map(best)]
    sns.lineplot(shown, x="epoch", y="loss", hue=choice, palette=palette, errorbar="sd", ax=axes[1])
    axes[1].set(ylabel="training loss at the best step size")
    axes[1].get_legend().remove()
    for ax in axes:
        ax.grid(alpha=0.3)
    figure.legend(*axes[1].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=len(names))
    figure.suptitle(note, fontsize=10)
    return figure
