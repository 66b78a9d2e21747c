"""What all figures share: colours, sizes, and how one is made.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

import io
import itertools

from matplotlib import pyplot as plt

from .. import runs
from ..settings import SYNTHETIC_NOTE

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
PALETTE = (ORANGE, BLUE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
WIDTH = 9.0  # inches
DPI = 100  # of figures that are kept as files


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

    Examples
    --------
    >>> class_colours(["hem", "all", "hem"])
    {'all': '#D55E00', 'hem': '#0072B2'}
    """
    return dict(zip(sorted(set(labels)), itertools.cycle(PALETTE), strict=False))


def new_figure(height, columns=1, rows=1, width=WIDTH, **options):
    """A figure that is shown once, where a notebook's cell ends with it.

    Parameters
    ----------
    height, width : float
        In inches.
    columns, rows : int
        Of axes.
    **options
        Of `matplotlib.pyplot.subplots`.

    Returns
    -------
    figure, axes

    Examples
    --------
    >>> figure, axes = new_figure(3.0, columns=2)
    >>> figure.get_size_inches().tolist(), len(axes)
    ([9.0, 3.0], 2)
    """
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    plt.close(figure)
    return figure, axes


def sample_note(compared):
    """What the title of a comparison says of synthetic cells.

    Parameters
    ----------
    compared : DataFrame
        From `comparison.compare`.

    Returns
    -------
    str
        Empty for other cells.

    Examples
    --------
    >>> from allhelpers import comparison
    >>> sample_note(comparison.compare(run, ["mobilenet"]))
    'Synthetic sample: shows the pipeline only. '
    """
    synthetic = compared["notes"].str.contains(SYNTHETIC_NOTE, regex=False).any()
    return "Synthetic sample: shows the pipeline only. " if synthetic else ""


def show_picture(ax, pixels, title=""):
    """Show one cell without axes.

    Parameters
    ----------
    ax : matplotlib Axes
    pixels : ndarray of shape (size, size, 3), uint8
    title : str

    Examples
    --------
    >>> figure, ax = new_figure(2.0)
    >>> show_picture(ax, cells.pixels[0], "patient 1")
    >>> ax.get_title(), len(ax.images)
    ('patient 1', 1)
    """
    ax.imshow(pixels)
    ax.set_title(title, fontsize=8)
    ax.set_axis_off()


def encoded(figure):
    """A figure as the bytes of a WebP picture, which every browser reads and which is half as large as PNG.

    Parameters
    ----------
    figure : Figure

    Returns
    -------
    bytes

    Examples
    --------
    >>> encoded(new_figure(3.0)[0])[8:12]
    b'WEBP'
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="webp", dpi=DPI, pil_kwargs={"quality": 85, "method": 6})
    return stream.getvalue()


def keep(figure, folder, name):
    """Leave a figure in the folder of an architecture's results, for the report.

    Parameters
    ----------
    figure : Figure
    folder : Path
    name : str
        One of `report.FIGURES`.

    Returns
    -------
    Figure
        The same.

    Examples
    --------
    >>> from pathlib import Path
    >>> figure = keep(new_figure(3.0)[0], Path("mobilenet"), "mistakes")
    >>> [path.as_posix() for path in Path("mobilenet").rglob("*.webp")]
    ['mobilenet/figures/mistakes.webp']
    """
    with runs.atomic(runs.folder(folder, "figures") / f"{name}.webp") as partial:
        partial.write_bytes(encoded(figure))
    return figure
