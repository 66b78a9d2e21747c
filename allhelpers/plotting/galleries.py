"""Images of cells: which they are, and where a network looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..data import tables
from . import base, fitting
from .base import class_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..data.loading import Cells
    from ..evaluation.explaining import Evidence

COLUMNS = 6  # of a gallery
STRIP = 10  # cells of a patient's strip
NAME = 14  # letters beside a strip
ROOM = 24  # letters above a cell


def cell_gallery(cells: Cells, per_class: int = 6, seed: int = 0) -> Figure:
    """Cells of every class, drawn at random from the training cells.

    Parameters
    ----------
    cells : Cells
    per_class : int
        Cells of each class.
    seed : int

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = cell_gallery(cells, per_class=2)
    """
    height = 0.2 + 1.6 * len(cells.classes)
    figure, axes = base.new_gallery(height, per_class, len(cells.classes))
    random = np.random.default_rng(seed)
    training = cells.table["split"] == "train"
    drawn: list[int] = []
    for label in cells.classes:
        rows = np.flatnonzero(training & (cells.table["label"] == label))
        drawn += list(random.choice(rows, per_class, replace=len(rows) < per_class))
    shown, note = base.for_display([cells.pixels[row] for row in drawn])
    for ax, row, pixels in zip(axes.flat, drawn, shown, strict=True):
        base.show_image(ax, pixels, _whose(cells.table.iloc[row].to_dict()))
    for label, line in zip(cells.classes, axes, strict=True):
        _beside(line[0], fitting.shortened(class_title(label), 18), rotation=90, fontsize=8)
    figure.suptitle(f"Training cells, one row per class: {cells.kind}{note}", fontsize=10)
    return figure


def mistakes(cells: Cells, predictions: pd.DataFrame, *, most: int = 12, title: str = "") -> Figure:
    """Gallery of wrongly classified cells, the most confident mistake first.

    Parameters
    ----------
    cells : Cells
    predictions : DataFrame
        Of one split, as in predictions.csv.
    most : int
        Cells that are shown.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers.data import tables
    >>> every = np.arange(len(cells.table))
    >>> y_prob = np.tile([0.9, 0.1], (len(every), 1))
    >>> figure = mistakes(cells, tables.tabulate(cells, every, y_prob))
    """
    wrong = predictions[predictions["label"] != tables.predicted_labels(predictions)]
    order = np.argsort(-tables.y_prob(wrong).max(axis=1), kind="stable")[:most]
    shown = wrong.iloc[order]
    return _gallery(cells, shown, _captions(shown), title=title, otherwise="no cell is wrong")


def uncertain(
    cells: Cells, predictions: pd.DataFrame, *, most: int = 12, title: str = ""
) -> Figure:
    """Gallery of the cells whose two most probable classes are closest, right or wrong.

    Parameters
    ----------
    cells : Cells
    predictions : DataFrame
        Of one split, as in predictions.csv.
    most : int
        Cells that are shown.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers.data import tables
    >>> every = np.arange(len(cells.table))
    >>> y_prob = np.random.dirichlet([1, 1], len(every))
    >>> figure = uncertain(cells, tables.tabulate(cells, every, y_prob))
    """
    best = np.sort(tables.y_prob(predictions), axis=1)
    order = np.argsort(best[:, -1] - best[:, -2], kind="stable")[:most]
    shown = predictions.iloc[order]
    return _gallery(cells, shown, _captions(shown), title=title, otherwise="there are no cells")


def suspects(
    cells: Cells, found: pd.DataFrame, *, most: int = 24, title: str = "Suspect labels"
) -> Figure:
    """Gallery of the cells whose label may be wrong, the most suspect first.

    Parameters
    ----------
    cells : Cells
    found : DataFrame
        From `evaluation.write_suspects`.
    most : int
        Cells that are shown.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> row = {"file": cells.table["file"][0], "patient": "5", "rank": 1, "score": 0.97}
    >>> found = pd.DataFrame([{**row, "label": "all", "suggested": "hem"}])
    >>> figure = suspects(cells, found)
    """
    shown = found[found["file"].isin(cells.table["file"])].head(most)
    captions = [
        f"{row['rank']}: {class_title(row['label'], short=True)} or "
        f"{class_title(row['suggested'], short=True)}?\n{_whose(row)}, {row['score']:.2f}"
        for row in shown.to_dict("records")
    ]
    return _gallery(cells, shown, captions, title=title, otherwise="no label is suspect")


def _gallery(
    cells: Cells, shown: pd.DataFrame, captions: list[str], *, title: str, otherwise: str
) -> Figure:
    """Cells in the order given, each under its caption."""
    rows = max(1, -(-len(shown) // COLUMNS))
    figure, axes = base.new_gallery(0.45 + 1.72 * rows, COLUMNS, rows)
    images, note = base.for_display([cells.pixels[row] for row in _rows_of(cells, shown)])
    for ax, pixels, text in zip(axes.flat, images, captions, strict=False):
        base.show_image(ax, pixels, text)
    if shown.empty:
        axes.flat[0].text(0, 0.5, otherwise, fontsize=10)
    figure.suptitle(f"{title}{note}", fontsize=10)
    return figure


def _rows_of(cells: Cells, predictions: pd.DataFrame) -> np.ndarray:
    """Row numbers in ``cells`` of the cells of a table of predictions."""
    return pd.Index(cells.table["file"]).get_indexer(predictions["file"])


def _whose(row: Mapping) -> str:
    """The patient of a cell, or its file where the patient is not known."""
    if row["patient"] == row["file"]:
        return str(row["file"]).rsplit("/", 1)[-1]
    return base.of_patient(row["patient"])


def _captions(predictions: pd.DataFrame) -> list[str]:
    """Truth, patient, and the predicted class with its probability, of each cell."""
    predicted = tables.predicted_labels(predictions).map(
        lambda label: class_title(label, short=True)
    )
    whose = [_whose(row) for row in predictions[["file", "patient"]].to_dict("records")]
    columns = predictions["label"], whose, predicted
    return [
        f"{_joined(f'true {class_title(label, short=True)}', whose)}\np({other}) = {p:.2f}"
        for label, whose, other, p in zip(
            *columns, tables.y_prob(predictions).max(axis=1), strict=True
        )
    ]


def _joined(first: str, second: str) -> str:
    """On one line where there is room for both."""
    return f"{first}, {second}" if len(first + second) < ROOM else f"{first}\n{second}"


def patient_cells(
    cells: Cells, predictions: pd.DataFrame, *, patients: int = 3, title: str = ""
) -> Figure:
    """The worst and the best patient of each class, cell by cell, the least certain first.

    Parameters
    ----------
    cells : Cells
    predictions : DataFrame
        Of one split, as in predictions.csv.
    patients : int
        Of each class, from the worst to the best.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers.data import tables
    >>> every = np.arange(len(cells.table))
    >>> y_prob = np.random.dirichlet([1, 1], len(every))
    >>> figure = patient_cells(cells, tables.tabulate(cells, every, y_prob))
    """
    table = predictions.assign(
        patient=tables.patients_of(predictions),
        probability=tables.prob_true_class(predictions),
        correct=predictions["label"] == tables.predicted_labels(predictions),
    )
    strips = [
        strip
        for label in tables.classes_of(table)
        for strip in _strips(table[table["label"] == label], patients)
    ]
    figure, axes = base.new_gallery(0.5 + 1.05 * len(strips), STRIP, len(strips))
    shown = [s.sort_values("probability").iloc[_spread(len(s), STRIP)] for s in strips]
    rows = [_rows_of(cells, each) for each in shown]
    images, note = base.for_display([cells.pixels[row] for each in rows for row in each])
    remaining = iter(images)
    for line, strip, each in zip(axes, strips, shown, strict=True):
        for ax, p in zip(line, each["probability"], strict=False):
            base.show_image(ax, next(remaining), f"p = {p:.2f}")
        label, patient = class_title(strip["label"].iloc[0], short=True), strip["patient"].iloc[0]
        name = "\n".join(fitting.shortened(str(part), NAME) for part in (label, patient))
        _beside(line[0], f"{name}\n{strip['correct'].mean():.0%} of {len(strip)}", fontsize=8)
    figure.suptitle(f"{title}{note}", fontsize=10)
    return figure


def _strips(table: pd.DataFrame, patients: int) -> list[pd.DataFrame]:
    """Cells of some patients of one class, from the worst to the best."""
    groups = [group for _, group in table.groupby("patient")]
    groups.sort(key=lambda group: (group["correct"].mean(), group["probability"].median()))
    return [groups[place] for place in _spread(len(groups), patients)]


def _spread(count: int, most: int) -> np.ndarray:
    """At most so many places of a list, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))


def _beside(ax: Axes, text: str, **style: Any) -> None:
    """Text to the left of a row of images, whose axes are off."""
    ax.text(-0.1, 0.5, text, transform=ax.transAxes, ha="right", va="center", **style)


def grad_cam(
    cells: Cells,
    predictions: pd.DataFrame,
    evidence: Mapping[str, Evidence],
    *,
    title: str = "",
    per_class: int = 5,
) -> Figure:
    """Cells of each class, and over each where the evidence for its true class lies.

    Parameters
    ----------
    cells : Cells
    predictions : DataFrame
        Of one split, as in predictions.csv.
    evidence : mapping of str to Evidence
        From `evaluation.evidence`.
    title : str
    per_class : int
        Cells of each class.

    Returns
    -------
    Figure

    Examples
    --------
    In a network's notebook::

        evidence = evaluation.evidence(network, cells, settings.seed)
        plotting.galleries.grad_cam(cells, test, evidence, title=title)
    """
    figure, axes = base.new_gallery(0.6 + 3.1 * len(evidence), per_class, 2 * len(evidence))
    by_file = predictions.set_index("file", drop=False)
    bright, note = _brightened(cells, [seen.rows[:per_class] for seen in evidence.values()])
    for seen, above, below in zip(evidence.values(), axes[::2], axes[1::2], strict=True):
        shown = by_file.loc[cells.table["file"].iloc[seen.rows[:per_class]]]
        for place, text in enumerate(_captions(shown)):
            pixels = cells.pixels[seen.rows[place]]
            base.show_image(above[place], bright[seen.rows[place]], text)
            image = base.overlay(below[place], pixels, seen.heat[place])
    label = "evidence for the true class (share of the cell's strongest)"
    figure.colorbar(image, ax=axes, shrink=0.7, label=label)
    figure.suptitle(f"{title}{note}", fontsize=10)
    return figure


def _brightened(cells: Cells, rows: Sequence[np.ndarray]) -> tuple[dict[int, np.ndarray], str]:
    """Cells brightened together, by their row; whole, as the evidence beside them is."""
    every = [row for each in rows for row in each]
    images, note = base.for_display([cells.pixels[row] for row in every], crop=False)
    return dict(zip(every, images, strict=True)), note


def mean_grad_cam(cells: Cells, evidence: Mapping[str, Evidence], *, title: str = "") -> Figure:
    """The mean cell of each class, and where the evidence for the class lies on average.

    Parameters
    ----------
    cells : Cells
    evidence : mapping of str to Evidence
        From `evaluation.evidence`.
    title : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import evaluation
    >>> evidence = evaluation.evidence(network, cells, seed=1, most=2)
    >>> figure = mean_grad_cam(cells, evidence)
    """
    figure, axes = base.new_figure(2.9, columns=2 * len(evidence))
    means = [cells.pixels[np.sort(seen.rows)].mean(axis=0) for seen in evidence.values()]
    shown, note = base.for_display(means, crop=False)
    pairs = zip(evidence.items(), axes.reshape(-1, 2), means, shown, strict=True)
    for (label, seen), (left, right), mean, bright in pairs:
        name = class_title(label)
        base.show_image(left, bright, f"mean of {len(seen.rows)} cells\n{name}")
        image = base.overlay(right, mean, seen.heat.mean(axis=0))
        right.set_title(f"mean evidence for\n{name}", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label="mean evidence")
    figure.suptitle(f"{title}{note}", fontsize=10)
    return figure


def near_pairs(cells: Cells, near: pd.DataFrame, most: int = 6) -> Figure:
    """Pairs of images that look the same, one above the other.

    Parameters
    ----------
    cells : Cells
    near : DataFrame
        `Audit.near`: file_1, file_2, grey_values.
    most : int
        Pairs that are shown.

    Returns
    -------
    Figure

    Examples
    --------
    >>> files = table["file"]
    >>> near = pd.DataFrame([{"file_1": files[0], "file_2": files[1], "grey_values": 2.0}])
    >>> figure = near_pairs(cells, near)
    """
    figure, axes = base.new_gallery(3.6, most, 2)
    row_of = pd.Series(range(len(cells.table)), index=cells.table["file"])
    closest = near.sort_values("grey_values").drop_duplicates("file_1").head(most)
    files = closest[["file_1", "file_2"]].to_numpy()
    shown, note = base.for_display([cells.pixels[row_of[file]] for file in files.ravel()])
    for ax, file, pixels in zip(axes.T.flat, files.ravel(), shown, strict=False):
        base.show_image(ax, pixels, file.rsplit("/", 1)[-1].removesuffix(".bmp"))
    figure.suptitle(note.removeprefix(", "), fontsize=8)
    if near.empty:
        axes.flat[0].text(0, 0.5, "no two images look the same", fontsize=10)
    return figure
