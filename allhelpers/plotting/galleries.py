"""Pictures of cells: which they are, and where a network looks."""

import numpy as np
import pandas as pd

from .. import evaluation
from ..manifest import title as class_title
from .base import new_figure, show_picture


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
    figure, axes = new_figure(0.2 + 1.6 * len(cells.classes), columns=per_class, rows=len(cells.classes))
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
    """
    called = evaluation.predicted_labels(predictions)
    table = predictions.assign(called=called, sure=evaluation.stated(predictions).max(axis=1))
    wrong = table[table["label"] != called].sort_values("sure", ascending=False).head(most)
    rows = max(1, -(-len(wrong) // 6))
    figure, axes = new_figure(0.6 + 1.8 * rows, columns=6, rows=rows, squeeze=False)
    row_of = pd.Series(range(len(cells.table)), index=cells.table["file"])
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, cell in zip(axes.flat, wrong.itertuples(), strict=False):
        true, called = (class_title(label, short=True) for label in (cell.label, cell.called))
        text = f"true {true}, patient {cell.subject}\np({called}) = {cell.sure:.2f}"
        show_picture(ax, cells.pixels[row_of[cell.file]], text)
    if wrong.empty:
        axes.flat[0].text(0, 0.5, "no cell is wrong", fontsize=10)
    figure.suptitle(title, fontsize=10)
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
    figure, axes = new_figure(3.6, columns=most, rows=2)
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
