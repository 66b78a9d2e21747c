"""What all figures share: colours, sizes, how one is made, and how one is kept for the report.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

from __future__ import annotations

import base64
import io
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image

from .._core.files import atomic
from ..data import manifest as manifests
from ..data.synthetic import SYNTHETIC_NOTE
from ..runs import Result
from . import fonts
from .fitting import FittedFigure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
PALETTE = (ORANGE, BLUE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
WIDTH = 9.0  # inches
DPI = 100  # of figures, in files and in notebooks
WEBP = {"quality": 85, "method": 4}  # 6 takes twice as long for the same size
HAIR_SPACE = "\u200a"
BRIGHT = 235  # grey value to which the brightest parts of cells are raised for display
MOST_GAIN = 3.0
MARGIN = 0.06  # of an image's side, left around the largest cell

log = logging.getLogger(__name__)

# Names of classes and patients are text, not formulas: $ is a dollar sign.
plt.rcParams["text.parse_math"] = False


class DrawnOnce(FittedFigure):
    """A figure whose picture is drawn once: the notebook shows what was kept for the report."""

    __module__ = Figure.__module__  # by which the page's library knows a figure of matplotlib
    _picture: Image.Image | None = None

    def picture(self) -> Image.Image:
        """The figure as pixels; drawn again if it was changed since."""
        if self._picture is None or self.stale:
            self._picture = fonts.legibly(self, self._draw)
            self.stale = False
        return self._picture

    def _draw(self) -> Image.Image:
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())

    def _ipython_display_(self) -> None:
        """Show it in a notebook, whose own way with figures would draw it twice more."""
        from IPython.display import display

        stream = io.BytesIO()
        self.picture().save(stream, "png")
        png = base64.b64encode(stream.getvalue()).decode()
        display({"image/png": png, "text/plain": str(self)}, raw=True)


def class_title(label: str, short: bool = False) -> str:
    """Name of a class as a figure shows it: matplotlib hides from legends what begins with _."""
    title = manifests.class_title(label, short)
    return HAIR_SPACE + title if title.startswith("_") else title


def class_colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each class, the same in every figure."""
    return dict(zip(sorted(set(labels)), itertools.cycle(PALETTE), strict=False))


def new_figure(
    height: float, columns: int = 1, rows: int = 1, *, width: float = WIDTH, **options: Any
) -> tuple[Figure, Any]:
    """A figure that is shown once, where a notebook's cell ends with it."""
    options |= {"figsize": (width, height), "dpi": DPI, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, FigureClass=DrawnOnce, **options)
    plt.close(figure)
    return figure, axes


def new_gallery(height: float, columns: int, rows: int) -> tuple[Figure, np.ndarray]:
    """A figure of images: rows and columns of places without axes."""
    figure, axes = new_figure(height, columns, rows, squeeze=False)
    for ax in axes.flat:
        without_axes(ax)
    return figure, axes


def without_axes(ax: Axes) -> None:
    """An image's place; axes that are only switched off are measured at every layout."""
    ax.set_axis_off()
    ax.xaxis.set_visible(False)
    ax.yaxis.set_visible(False)


def legend_below(figure: Figure, ax: Axes, columns: int) -> None:
    """One legend for all axes, under them."""
    entries = ax.get_legend_handles_labels()
    figure.legend(*entries, fontsize=8, loc="outside lower center", ncols=columns)


def name_rows(ax: Axes, names: Sequence[str] | pd.Series) -> None:
    """A name for each row of a figure, the first at the top."""
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)


def arms(table: pd.DataFrame | Mapping, metric: str) -> np.ndarray:
    """Lengths of an interval's two arms; resampling may leave the value outside of it.

    Where a class has one test patient there is no interval, and no arm.
    """
    columns = (table[f"{metric}{end}"] for end in ("", "_low", "_high"))
    value, low, high = (np.atleast_1d(np.asarray(column, float)) for column in columns)
    return np.clip(np.array([value - low, high - value], float), 0, None)


def sample_note(compared: pd.DataFrame) -> str:
    """What the title of a comparison says of synthetic cells."""
    synthetic = compared["notes"].str.contains(SYNTHETIC_NOTE, regex=False).any()
    return "Synthetic sample: shows the pipeline only. " if synthetic else ""


def for_display(images: Sequence[np.ndarray], *, crop: bool = True) -> tuple[list[np.ndarray], str]:
    """Cells as they are drawn, all alike: the empty border cut off, and brightened, which is said.

    Cells keep their sizes among each other, and nothing but the display is changed.
    """
    if not len(images):
        return [], ""
    stack = np.stack([np.asarray(each) for each in images])
    lit = stack.max(axis=-1)
    seen = (lit > 0).any(axis=0)
    if crop:
        stack = stack[(slice(None), *_square_around(seen))]
    bright = np.percentile(lit[lit > 0], 99) if seen.any() else BRIGHT
    gain = round(float(np.clip(BRIGHT / max(bright, 1), 1, MOST_GAIN)), 1)
    note = f", brightened {gain:g} times for display" if gain > 1 else ""
    return list(np.clip(stack * gain, 0, 255).astype(np.uint8)), note


def _square_around(seen: np.ndarray) -> tuple[slice, slice]:
    """The square around the middle that holds everything that is not black, with a margin."""
    side = len(seen)
    if seen.shape != (side, side) or not seen.any():
        return slice(None), slice(None)
    places = np.argwhere(seen)
    nearest = min(places.min(), side - 1 - places.max())
    cut = max(0, int(nearest - MARGIN * side))
    return slice(cut, side - cut), slice(cut, side - cut)


def of_patient(name: object, unit: str = "patient") -> str:
    """A patient by name, the word not said twice."""
    return str(name) if unit in str(name).lower() else f"{unit} {name}"


def show_image(ax: Axes, pixels: np.ndarray, title: str = "") -> None:
    """Show one cell without axes."""
    ax.imshow(pixels)
    ax.set_title(title, fontsize=8)
    without_axes(ax)


def overlay(ax: Axes, pixels: np.ndarray, heat: np.ndarray) -> ScalarMappable:
    """Evidence over a grey cell: the stronger, the less of the cell shows through."""
    grey = np.asarray(pixels, float).mean(axis=-1)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=max(1, grey.max()))
    image = ax.imshow(heat, cmap="viridis", vmin=0, vmax=1, alpha=0.75 * heat)
    without_axes(ax)
    return ScalarMappable(image.norm, image.cmap)


def encoded(figure: Figure) -> bytes:
    """A figure as a WebP image, which every browser reads and which is half as large as PNG."""

    stream = io.BytesIO()
    picture_of(figure).save(stream, "webp", **WEBP)
    return stream.getvalue()


def picture_of(figure: Figure) -> Image.Image:
    """A figure as pixels."""
    if isinstance(figure, DrawnOnce):
        return figure.picture()

    def draw() -> Image.Image:  # one that somebody else has made
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DPI)
        return Image.open(stream).convert("RGB")

    return fonts.legibly(figure, draw)


def keep(
    draw: Figure | Callable[[], Figure], folder: str | Path, name: str, *, wanted: bool = True
) -> Figure | None:
    """Leave a figure in the folder of a run, or of a method's results, for the report.

    One that cannot be drawn costs itself and a sentence, and no result.

    Parameters
    ----------
    draw : Figure, or a function that draws one
    folder : str or Path
        Gets ``figures/<name>.webp``.
    name : str
        The report shows those that it knows, by the name of the function that draws them.
    wanted : bool
        False where the settings ask for the main figures only: nothing is drawn then.

    Returns
    -------
    Figure or None
        The figure, so that a notebook shows it.

    Examples
    --------
    >>> from allhelpers import plotting
    >>> _ = keep(lambda: plotting.data.cells_per_split(table), "first", "cells_per_split")
    >>> Path("first/figures/cells_per_split.webp").is_file()
    True
    """
    path = Result(folder).figure_path(name)
    path.unlink(missing_ok=True)  # of an earlier training
    if not wanted:
        log.info("* %s is left out: figures = main.", name)
        return None

    def draw_and_write(figure: Figure) -> None:
        content = encoded(figure)
        with atomic(path) as partial:
            partial.write_bytes(content)

    return _spared(draw, draw_and_write, name)


def show(draw: Callable[[], Figure]) -> Figure | None:
    """A figure for the notebook alone; one that cannot be drawn costs itself and a sentence.

    Parameters
    ----------
    draw : function that draws one

    Returns
    -------
    Figure or None

    Examples
    --------
    >>> from allhelpers import plotting
    >>> figure = show(lambda: plotting.data.cells_per_split(table))
    """
    return _spared(draw, picture_of, "a figure")


def _spared(
    draw: Figure | Callable[[], Figure], finish: Callable[[Figure], object], name: str
) -> Figure | None:
    try:
        figure = draw() if callable(draw) else draw
        finish(figure)
    except OSError:  # a full disk is no matter of the figure
        raise
    except Exception as error:  # matplotlib's are of all kinds
        text = " ".join(str(error).split())[:200]
        log.warning("* %s is not drawn (%s): results do not depend on it.", name, text)
        return None
    return figure
