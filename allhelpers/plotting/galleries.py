"""Pictures of cells: which they are, and where a network looks."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from .. import evaluation
from ..manifest import title as class_title
from .base import new_figure, show_picture

COLUMNS = 6  # of a gallery
STRIP = 10  # cells of a patient's strip


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

    Examples
    --------
    >>> figure = cell_gallery(cells, per_class=4)
    >>> len(figure.axes), figure.get_suptitle()
    (8, 'Training cells, one row per class: synthetic sample')
    """
    height = 0.2 + 1.6 * len(cells.classes)
    figure, axes = new_figure(height, columns=per_class, rows=len(cells.classes), squeeze=False)
    random = np.random.default_rng(seed)
    training = cells.table["split"] == "train"
    for label, line in zip(cells.classes, axes, strict=True):
        rows = np.flatnonzero(training & (cells.table["label"] == label))
        for ax, row in zip(line, random.choice(rows, per_class, replace=len(rows) < per_class), strict=True):
            show_picture(ax, cells.pixels[row], f"patient {cells.table['subject'].iloc[row]}")
        line[0].set_title(f"{class_title(label)}\n{line[0].get_title()}", fontsize=8)
    figure.suptitle(f"Training cells, one row per class: {cells.kind}", fontsize=10)
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

    Examples
    --------
    >>> figure = mistakes(cells, table.assign(p_all=0.9, p_hem=0.1), most=3)
    >>> figure.axes[0].get_title().splitlines()
    ['true HEM, patient H1', 'p(ALL) = 0.90']
    """
    wrong = predictions[predictions["label"] != evaluation.predicted_labels(predictions)]
    order = np.argsort(-evaluation.stated(wrong).max(axis=1), kind="stable")[:most]
    return _gallery(cells, wrong.iloc[order], title, "no cell is wrong")


def uncertain(cells, predictions, most=12, title=""):
    """Gallery of the cells whose two most probable classes are closest together, right or wrong.

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

    Examples
    --------
    >>> figure = uncertain(cells, table.assign(p_all=0.6, p_hem=0.4), most=3)
    >>> figure.axes[0].get_title().splitlines()
    ['true ALL, patient 1', 'p(ALL) = 0.60']
    """
    best = np.sort(evaluation.stated(predictions), axis=1)
    order = np.argsort(best[:, -1] - best[:, -2], kind="stable")[:most]
    return _gallery(cells, predictions.iloc[order], title, "there are no cells")


def _gallery(cells, shown, title, otherwise):
    """Cells in the order given, each with its true class, its patient and what it was called."""
    rows = max(1, -(-len(shown) // COLUMNS))
    figure, axes = new_figure(0.6 + 1.8 * rows, columns=COLUMNS, rows=rows, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, row, text in zip(axes.flat, _rows_of(cells, shown), _captions(shown), strict=False):
        show_picture(ax, cells.pixels[row], text)
    if shown.empty:
        axes.flat[0].text(0, 0.5, otherwise, fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def _rows_of(cells, predictions):
    """Row numbers in ``cells`` of the cells of a table of predictions."""
    return pd.Index(cells.table["file"]).get_indexer(predictions["file"])


def _captions(predictions):
    """Truth, patient, and the class that was called with its probability, of each cell."""
    called, sure = evaluation.predicted_labels(predictions), evaluation.stated(predictions).max(axis=1)
    return [
        f"true {class_title(true, short=True)}, patient {patient}\np({class_title(other, short=True)}) = {p:.2f}"
        for true, patient, other, p in zip(predictions["label"], predictions["subject"], called, sure, strict=True)
    ]


def patient_cells(cells, predictions, patients=3, title=""):
    """The worst and the best patient of each class, cell by cell, from the least to the most certainly right.

    Parameters
    ----------
    cells : loading.Cells
    predictions : DataFrame
        Rows of predictions.csv.
    patients : int
        Patients of each class.
    title : str

    Returns
    -------
    Figure
        One strip per patient: cells spread evenly over all of the patient's, by the probability of their true class.

    Examples
    --------
    >>> figure = patient_cells(cells, table.assign(p_all=0.9, p_hem=0.1), patients=1)
    >>> [text.get_text().split() for ax in figure.axes for text in ax.texts]
    [['ALL', '1', '100%', 'right', 'of', '10'], ['HEM', 'H1', '0%', 'right', 'of', '10']]
    """
    table = predictions.assign(
        subject=evaluation.patients_of(predictions),
        stated=evaluation.stated_for_truth(predictions),
        right=predictions["label"] == evaluation.predicted_labels(predictions),
    )
    strips = _strips(table, patients)
    figure, axes = new_figure(0.5 + 1.15 * len(strips), columns=STRIP, rows=len(strips), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for line, strip in zip(axes, strips, strict=True):
        order = strip.sort_values("stated")
        places = np.unique(np.linspace(0, len(order) - 1, min(STRIP, len(order))).round().astype(int))
        shown = order.iloc[places]
        for ax, row, p in zip(line, _rows_of(cells, shown), shown["stated"], strict=False):
            show_picture(ax, cells.pixels[row], f"p = {p:.2f}")
        first = strip.iloc[0]
        name = f"{class_title(first['label'], short=True)} {first['subject']}\n{strip['right'].mean():.0%} right\n"
        line[0].text(-0.1, 0.5, f"{name}of {len(strip)}", transform=line[0].transAxes, ha="right", va="center",
                     fontsize=8)  # fmt: skip
    figure.suptitle(title, fontsize=10)
    return figure


def _strips(table, patients):
    """Cells of some patients of each class, from the worst to the best."""
    strips = []
    for label in evaluation.classes_of(table):
        groups = [group for _, group in table[table["label"] == label].groupby("subject")]
        groups.sort(key=lambda group: (group["right"].mean(), group["stated"].median()))
        places = np.unique(np.linspace(0, len(groups) - 1, min(patients, len(groups))).round().astype(int))
        strips += [groups[place] for place in places]
    return strips


def grad_cam(cells, predictions, evidence, title="", per_class=5):
    """Cells of each class, and over each where the evidence for its true class lies.

    Parameters
    ----------
    cells : loading.Cells
    predictions : DataFrame
        Rows of predictions.csv.
    evidence : dict of str to explaining.Evidence
        From `explaining.evidence`.
    title : str
    per_class : int
        Cells of each class.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import explaining
    >>> found = explaining.evidence(network, cells, seed=1, most=2)
    >>> figure = grad_cam(cells, table.assign(p_all=0.9, p_hem=0.1), found, per_class=2)
    >>> figure.axes[-1].get_ylabel()
    "evidence for the true class (share of the cell's strongest)"
    """
    figure, axes = new_figure(0.6 + 3.3 * len(evidence), columns=per_class, rows=2 * len(evidence), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    by_file = predictions.set_index("file", drop=False)
    for (label, found), above, below in zip(evidence.items(), axes[::2], axes[1::2], strict=True):
        shown = by_file.loc[cells.table["file"].iloc[found.rows[:per_class]]]
        for k, text in enumerate(_captions(shown)):
            pixels = cells.pixels[found.rows[k]]
            show_picture(above[k], pixels, text)
            image = overlay(below[k], pixels, found.heat[k])
        above[0].text(-0.05, 0.5, class_title(label), transform=above[0].transAxes, rotation=90, ha="right",
                      va="center", fontsize=9)  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.7, label="evidence for the true class (share of the cell's strongest)")
    figure.suptitle(title, fontsize=10)
    return figure


def mean_grad_cam(cells, evidence, title=""):
    """The mean cell of each class, and over it where the evidence for the class lies on average.

    Parameters
    ----------
    cells : loading.Cells
    evidence : dict of str to explaining.Evidence
        From `explaining.evidence`.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import explaining
    >>> figure = mean_grad_cam(cells, explaining.evidence(network, cells, seed=1, most=2))
    >>> [title for ax in figure.axes[:2] for title in ax.get_title().splitlines()]
    ['mean of 2 cells', 'ALL (leukaemic)', 'mean evidence for', 'ALL (leukaemic)']
    """
    figure, axes = new_figure(2.9, columns=2 * len(evidence))
    for (label, found), (left, right) in zip(evidence.items(), axes.reshape(-1, 2), strict=True):
        mean = cells.pixels[np.sort(found.rows)].mean(axis=0)
        show_picture(left, mean.astype(np.uint8), f"mean of {len(found.rows)} cells\n{class_title(label)}")
        image = overlay(right, mean, found.heat.mean(axis=0))
        right.set_title(f"mean evidence for\n{class_title(label)}", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label="mean evidence")
    figure.suptitle(title, fontsize=10)
    return figure


def overlay(ax, pixels, heat):
    """Evidence over a grey cell: the stronger, the less of the cell shows through.

    Examples
    --------
    >>> figure, ax = new_figure(2.0)
    >>> colours = overlay(ax, cells.pixels[0], np.zeros((64, 64)))
    >>> colours.get_clim(), len(ax.images)
    ((0.0, 1.0), 2)
    """
    grey = np.asarray(pixels, float).mean(axis=-1)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=max(1, grey.max()))
    image = ax.imshow(heat, cmap="viridis", vmin=0, vmax=1, alpha=0.75 * heat)
    ax.set_axis_off()
    return plt.cm.ScalarMappable(image.norm, image.cmap)


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

    Examples
    --------
    >>> near = pd.DataFrame([{"file_1": table["file"][0], "file_2": table["file"][1], "grey_values": 2.0}])
    >>> figure = near_pairs(cells, near)
    >>> [ax.get_title() for ax in figure.axes if ax.images]
    ['UID_1_1_1_all', 'UID_1_1_2_all']
    """
    figure, axes = new_figure(3.6, columns=most, rows=2, squeeze=False)
    row_of = pd.Series(range(len(cells.table)), index=cells.table["file"])
    for ax in axes.flat:
        ax.set_axis_off()
    closest = near.sort_values("grey_values").drop_duplicates("file_1").head(most)
    for column, pair in zip(axes.T, closest.itertuples(), strict=False):
        for ax, file in zip(column, (pair.file_1, pair.file_2), strict=True):
            show_picture(ax, cells.pixels[row_of[file]], file.rsplit("/", 1)[-1].removesuffix(".bmp"))
            ax.title.set_fontsize(6)
    if near.empty:
        axes.flat[0].text(0, 0.5, "no two pictures look the same", fontsize=10)
    return figure
