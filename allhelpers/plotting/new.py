"""New images beside what the verdict on them rests on."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from . import base

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from ..inference.similar import Explanation, ReferenceCells

SHOWN = 8  # images in one figure
WIDTH, HEAD, TOP, LOW = 4.6, 0.5, 2.7, 1.9  # inches: all, and the heights of the parts
FONT = 9


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
    shown = min(SHOWN, len(explanation.table))
    nearest = None if known is None else explanation.neighbours
    neighbours = 0 if nearest is None else nearest.shape[1]
    # One above the other, so that a phone shows them as large as it is wide.
    figure = plt.figure(figsize=(WIDTH, HEAD + shown * (TOP + (LOW if neighbours else 0))))
    plt.close(figure)
    heights = [HEAD, *[TOP + (LOW if neighbours else 0)] * shown]
    head, *parts = figure.subfigures(1 + shown, 1, squeeze=False, height_ratios=heights)[:, 0]
    words = "New image, evidence for its predicted class (yellow: strongest)"
    words += ", below: the most similar training cells" if neighbours else ""
    head.text(0.5, 0.5, textwrap.fill(words, 52), fontsize=FONT + 1, ha="center", va="center")
    for number, part in enumerate(parts):
        _one(part, explanation, known if neighbours else None, number)
    return figure


def _one(part: SubFigure, explanation: Explanation, known: ReferenceCells | None, row: int) -> None:
    """One new image, its evidence, and its neighbours."""
    places = 0 if known is None else explanation.neighbours.shape[1]  # type: ignore[union-attr]
    above, below = part, None
    if places:
        above, below = part.subfigures(2, 1, squeeze=False, height_ratios=[TOP, LOW])[:, 0]
    line, pixels = explanation.table.iloc[row], explanation.pixels[row]
    left, right = (above.add_axes((x, 0.02, 0.44, 0.7)) for x in (0.04, 0.52))
    base.show_image(left, pixels)
    base.overlay(right, pixels, explanation.evidence[row])
    right.set_axis_off()
    predicted = base.class_title(line["predicted"], short=True)
    atypical = ", atypical" * (line.get("atypical") == "yes")
    name = _lines(Path(line["file"]).name, 22, 2)
    said = _lines(predicted, 22, 2) + f"\n{line['p_' + line['predicted']]:.2f}{atypical}"
    left.set_title(name, fontsize=FONT)
    right.set_title(said, fontsize=FONT, color=base.ORANGE if atypical else "black")
    if below is None or known is None or explanation.distances is None:
        return
    for column in range(places):
        ax = below.add_axes(((column + 0.06) / places, 0.02, 0.88 / places, 0.62))
        place = explanation.neighbours[row, column]  # type: ignore[index]
        near = known.table.iloc[place]
        label = _lines(base.class_title(near["label"], short=True), 11, 2)
        patient = _lines(str(near["patient"]), 11, 1)
        base.show_image(ax, known.pixels[place])
        distance = explanation.distances[row, column]
        ax.set_title(f"{label}\n{patient}\n{distance:.2f}", fontsize=FONT - 1)


def _lines(text: str, width: int, most: int) -> str:
    """Text in a few lines of so many letters; what does not fit ends in dots."""
    lines = textwrap.wrap(text, width, break_long_words=True)[: most + 1]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: width - 1]}\u2026"]
    return "\n".join(lines)
