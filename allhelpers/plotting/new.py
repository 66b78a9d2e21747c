"""New pictures beside what the verdict on them rests on."""

from pathlib import Path

from ..manifest import title as class_title
from .base import new_figure, show_picture
from .galleries import overlay

SHOWN = 8  # pictures in one figure


def new_cells(seen, known=None):
    """New pictures, the evidence for the predicted class, and the training cells most like each.

    Parameters
    ----------
    seen : new_cells.Seen
        The first 8 are shown.
    known : new_cells.Known, optional
        The training cells that ``seen.neighbours`` points to.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from allhelpers import new_cells as looking
    >>> known = looking.known(network, cells)
    >>> figure = new_cells(looking.some_test_cells(network, cells, known, most=2), known)
    >>> figure.get_suptitle()
    'New picture, evidence for its predicted class (yellow: strongest), and the most similar training cells'
    """
    shown, neighbours = min(SHOWN, len(seen.table)), 0 if known is None else seen.neighbours.shape[1]
    figure, axes = new_figure(0.4 + 1.9 * shown, columns=2 + neighbours, rows=shown, squeeze=False)
    for number, line in enumerate(axes):
        row = seen.table.iloc[number]
        certainty = row[f"p_{row['predicted']}"]
        show_picture(line[0], seen.pixels[number], Path(row["file"]).name[:24])
        title = f"{class_title(row['predicted'], short=True)}, probability {certainty:.2f}"
        overlay(line[1], seen.pixels[number], seen.evidence[number])
        line[1].set_title(title, fontsize=8)
        for ax, place in zip(line[2:], range(neighbours), strict=True):
            like = known.table.iloc[seen.neighbours[number, place]]
            title = f"{class_title(like['label'], short=True)}, patient {str(like['subject'])[:12]}"
            show_picture(ax, known.pixels[seen.neighbours[number, place]], title)
            ax.text(0.5, -0.02, f"distance {seen.distances[number, place]:.2f}", transform=ax.transAxes, fontsize=7,
                    ha="center", va="top")  # fmt: skip
    heading = "New picture, evidence for its predicted class (yellow: strongest)"
    figure.suptitle(heading + (", and the most similar training cells" if neighbours else ""), fontsize=10)
    return figure
