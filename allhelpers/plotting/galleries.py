"""Pictures of cells: which they are, and where a network looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from ..data import manifest as manifests
from ..data import tables
from . import base

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..data.loading import Cells
    from ..evaluation.explaining import Evidence

COLUMNS = 6  # of a gallery

STRIP = 10  # cells of a patient's strip


def cell_gallery(cells: Cells, per_class: int = 6, seed: int = 0) -> Figure:
    """Cells of every class, drawn at random from the training side."""
    height = 0.2 + 1.6 * len(cells.classes)
    figure, axes = base.new_figure(
        height, columns=per_class, rows=len(cells.classes), squeeze=False
    )
    random = np.random.default_rng(seed)
    training = cells.table["split"] == "train"
    for label, line in zip(cells.classes, axes, strict=True):
        rows = np.flatnonzero(training & (cells.table["label"] == label))
        for ax, row in zip(
            line, random.choice(rows, per_class, replace=len(rows) < per_class), strict=True
        ):
            base.show_picture(ax, cells.pixels[row], f"patient {cells.table['subject'].iloc[row]}")
        line[0].set_title(f"{manifests.class_title(label)}\n{line[0].get_title()}", fontsize=8)
    figure.suptitle(f"Training cells, one row per class: {cells.kind}", fontsize=10)
    return figure


def mistakes(cells: Cells, predictions: pd.DataFrame, most: int = 12, title: str = "") -> Figure:
    """Gallery of wrongly classified cells, the most confident mistake first."""
    wrong = predictions[predictions["label"] != tables.predicted_labels(predictions)]
    order = np.argsort(-tables.stated(wrong).max(axis=1), kind="stable")[:most]
    return _gallery(cells, wrong.iloc[order], title, "no cell is wrong")


def uncertain(cells: Cells, predictions: pd.DataFrame, most: int = 12, title: str = "") -> Figure:
    """Gallery of the cells whose two most probable classes are closest together, right or wrong."""
    best = np.sort(tables.stated(predictions), axis=1)
    order = np.argsort(best[:, -1] - best[:, -2], kind="stable")[:most]
    return _gallery(cells, predictions.iloc[order], title, "there are no cells")


def _gallery(cells: Cells, shown: Any, title: str, otherwise: Any) -> Any:
    """Cells in the order given, each with its true class, its patient and what it was called."""
    rows = max(1, -(-len(shown) // COLUMNS))
    figure, axes = base.new_figure(0.6 + 1.8 * rows, columns=COLUMNS, rows=rows, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, row, text in zip(axes.flat, _rows_of(cells, shown), _captions(shown), strict=False):
        base.show_picture(ax, cells.pixels[row], text)
    if shown.empty:
        axes.flat[0].text(0, 0.5, otherwise, fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def _rows_of(cells: Cells, predictions: pd.DataFrame) -> Any:
    """Row numbers in ``cells`` of the cells of a table of predictions."""
    return pd.Index(cells.table["file"]).get_indexer(predictions["file"])


def _captions(predictions: pd.DataFrame) -> Any:
    """Truth, patient, and the class that was called with its probability, of each cell."""
    called, sure = (
        tables.predicted_labels(predictions),
        tables.stated(predictions).max(axis=1),
    )
    return [
        f"true {manifests.class_title(true, short=True)}, patient {patient}\np({manifests.class_title(other, short=True)}) = {p:.2f}"
        for true, patient, other, p in zip(
            predictions["label"], predictions["subject"], called, sure, strict=True
        )
    ]


def patient_cells(
    cells: Cells, predictions: pd.DataFrame, patients: int = 3, title: str = ""
) -> Figure:
    """The worst and the best patient of each class, cell by cell, from the least to the most certainly right."""
    table = predictions.assign(
        subject=tables.patients_of(predictions),
        stated=tables.stated_for_truth(predictions),
        right=predictions["label"] == tables.predicted_labels(predictions),
    )
    strips = _strips(table, patients)
    figure, axes = base.new_figure(
        0.5 + 1.15 * len(strips), columns=STRIP, rows=len(strips), squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for line, strip in zip(axes, strips, strict=True):
        order = strip.sort_values("stated")
        places = np.unique(
            np.linspace(0, len(order) - 1, min(STRIP, len(order))).round().astype(int)
        )
        shown = order.iloc[places]
        for ax, row, p in zip(line, _rows_of(cells, shown), shown["stated"], strict=False):
            base.show_picture(ax, cells.pixels[row], f"p = {p:.2f}")
        first = strip.iloc[0]
        name = f"{manifests.class_title(first['label'], short=True)} {first['subject']}\n{strip['right'].mean():.0%} right\n"
        line[0].text(
            -0.1,
            0.5,
            f"{name}of {len(strip)}",
            transform=line[0].transAxes,
            ha="right",
            va="center",
            fontsize=8,
        )
    figure.suptitle(title, fontsize=10)
    return figure


def _strips(table: pd.DataFrame, patients: int) -> Any:
    """Cells of some patients of each class, from the worst to the best."""
    strips = []
    for label in tables.classes_of(table):
        groups = [group for _, group in table[table["label"] == label].groupby("subject")]
        groups.sort(key=lambda group: (group["right"].mean(), group["stated"].median()))
        places = np.unique(
            np.linspace(0, len(groups) - 1, min(patients, len(groups))).round().astype(int)
        )
        strips += [groups[place] for place in places]
    return strips


def grad_cam(
    cells: Cells,
    predictions: pd.DataFrame,
    evidence: dict[str, Evidence],
    title: str = "",
    per_class: int = 5,
) -> Figure:
    """Cells of each class, and over each where the evidence for its true class lies."""
    figure, axes = base.new_figure(
        0.6 + 3.3 * len(evidence), columns=per_class, rows=2 * len(evidence), squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    by_file = predictions.set_index("file", drop=False)
    for (label, found), above, below in zip(evidence.items(), axes[::2], axes[1::2], strict=True):
        shown = by_file.loc[cells.table["file"].iloc[found.rows[:per_class]]]
        for k, text in enumerate(_captions(shown)):
            pixels = cells.pixels[found.rows[k]]
            base.show_picture(above[k], pixels, text)
            image = overlay(below[k], pixels, found.heat[k])
        above[0].text(
            -0.05,
            0.5,
            manifests.class_title(label),
            transform=above[0].transAxes,
            rotation=90,
            ha="right",
            va="center",
            fontsize=9,
        )
    figure.colorbar(
        image,
        ax=axes,
        shrink=0.7,
        label="evidence for the true class (share of the cell's strongest)",
    )
    figure.suptitle(title, fontsize=10)
    return figure


def mean_grad_cam(cells: Cells, evidence: dict[str, Evidence], title: str = "") -> Figure:
    """The mean cell of each class, and over it where the evidence for the class lies on average."""
    figure, axes = base.new_figure(2.9, columns=2 * len(evidence))
    for (label, found), (left, right) in zip(evidence.items(), axes.reshape(-1, 2), strict=True):
        mean = cells.pixels[np.sort(found.rows)].mean(axis=0)
        base.show_picture(
            left,
            mean.astype(np.uint8),
            f"mean of {len(found.rows)} cells\n{manifests.class_title(label)}",
        )
        image = overlay(right, mean, found.heat.mean(axis=0))
        right.set_title(f"mean evidence for\n{manifests.class_title(label)}", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label="mean evidence")
    figure.suptitle(title, fontsize=10)
    return figure


def overlay(ax: Any, pixels: np.ndarray, heat: Any) -> Any:
    """Evidence over a grey cell: the stronger, the less of the cell shows through."""
    grey = np.asarray(pixels, float).mean(axis=-1)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=max(1, grey.max()))
    image = ax.imshow(heat, cmap="viridis", vmin=0, vmax=1, alpha=0.75 * heat)
    ax.set_axis_off()
    return plt.cm.ScalarMappable(image.norm, image.cmap)


def near_pairs(cells: Cells, near: pd.DataFrame, most: int = 6) -> Figure:
    """Pairs of pictures that look the same, one above the other."""
    figure, axes = base.new_figure(3.6, columns=most, rows=2, squeeze=False)
    row_of = pd.Series(range(len(cells.table)), index=cells.table["file"])
    for ax in axes.flat:
        ax.set_axis_off()
    closest = near.sort_values("grey_values").drop_duplicates("file_1").head(most)
    for column, pair in zip(axes.T, closest.itertuples(), strict=False):
        for ax, file in zip(column, (pair.file_1, pair.file_2), strict=True):
            base.show_picture(
                ax, cells.pixels[row_of[file]], file.rsplit("/", 1)[-1].removesuffix(".bmp")
            )
            ax.title.set_fontsize(6)
    if near.empty:
        axes.flat[0].text(0, 0.5, "no two pictures look the same", fontsize=10)
    return figure
