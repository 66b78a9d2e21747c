"""New pictures beside what the verdict on them rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..data import manifest as manifests
from . import base, galleries

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..inference.similar import Explanation, ReferenceCells

SHOWN = 8  # pictures in one figure


def new_cells(seen: Explanation, known: ReferenceCells | None = None) -> Figure:
    """New pictures, the evidence for the predicted class, and the training cells most like each."""
    shown, neighbours = (
        min(SHOWN, len(seen.table)),
        0 if known is None else seen.neighbours.shape[1],
    )
    figure, axes = base.new_figure(
        0.4 + 1.9 * shown, columns=2 + neighbours, rows=shown, squeeze=False
    )
    for number, line in enumerate(axes):
        row = seen.table.iloc[number]
        certainty = row[f"p_{row['predicted']}"]
        base.show_picture(line[0], seen.pixels[number], Path(row["file"]).name[:24])
        title = (
            f"{manifests.class_title(row['predicted'], short=True)}, probability {certainty:.2f}"
        )
        galleries.overlay(line[1], seen.pixels[number], seen.evidence[number])
        line[1].set_title(title, fontsize=8)
        for ax, place in zip(line[2:], range(neighbours), strict=True):
            like = known.table.iloc[seen.neighbours[number, place]]
            title = f"{manifests.class_title(like['label'], short=True)}, patient {str(like['subject'])[:12]}"
            base.show_picture(ax, known.pixels[seen.neighbours[number, place]], title)
            ax.text(
                0.5,
                -0.02,
                f"distance {seen.distances[number, place]:.2f}",
                transform=ax.transAxes,
                fontsize=7,
                ha="center",
                va="top",
            )
    heading = "New picture, evidence for its predicted class (yellow: strongest)"
    figure.suptitle(
        heading + (", and the most similar training cells" if neighbours else ""), fontsize=10
    )
    return figure
