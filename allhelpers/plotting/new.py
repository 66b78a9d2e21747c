"""New images beside what the verdict on them rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import base, galleries

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from ..inference.similar import Explanation, ReferenceCells

SHOWN = 8  # images in one figure


def new_cells(explanation: Explanation, known: ReferenceCells | None = None) -> Figure:
    """New images, the evidence for the predicted class, and the training cells most like each.

    Parameters
    ----------
    explanation : Explanation
        From `inference.explain`.
    known : ReferenceCells, optional
        Training cells that are shown beside each new one.

    Returns
    -------
    Figure

    Examples
    --------
    On the page and in notebook 5::

        plotting.new_cells(explanation, known)
    """
    rows = min(SHOWN, len(explanation.table))
    nearest = None if known is None else explanation.neighbours
    neighbours = 0 if nearest is None else nearest.shape[1]
    figure, axes = base.new_gallery(0.4 + 1.9 * rows, 2 + neighbours, rows)
    for number, line in enumerate(axes):
        row, pixels = explanation.table.iloc[number], explanation.pixels[number]
        predicted = base.class_title(row["predicted"], short=True)
        base.show_image(line[0], pixels, Path(row["file"]).name[:24])
        galleries.overlay(line[1], pixels, explanation.evidence[number])
        line[1].set_title(
            f"{predicted}, probability {row['p_' + row['predicted']]:.2f}", fontsize=8
        )
        if known is not None:
            _neighbours(line[2:], explanation, known, number=number)
    heading = "New picture, evidence for its predicted class (yellow: strongest)"
    heading += ", and the most similar training cells" if neighbours else ""
    figure.suptitle(heading, fontsize=10)
    return figure


def _neighbours(
    line: np.ndarray, explanation: Explanation, known: ReferenceCells, *, number: int
) -> None:
    """The training cells most like one new cell, with their distances."""
    assert explanation.neighbours is not None
    assert explanation.distances is not None
    places, distances = explanation.neighbours[number], explanation.distances[number]
    for ax, place, distance in zip(line, places, distances, strict=True):
        row = known.table.iloc[place]
        label = base.class_title(row["label"], short=True)
        base.show_image(ax, known.pixels[place], f"{label}, patient {str(row['subject'])[:12]}")
        style = {"transform": ax.transAxes, "fontsize": 7, "ha": "center", "va": "top"}
        ax.text(0.5, -0.02, f"distance {distance:.2f}", **style)
