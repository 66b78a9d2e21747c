"""What all figures share: colours, sizes, and how one is made.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import pyplot as plt

from .. import runs
from .._core.files import atomic
from ..data.synthetic import SYNTHETIC_NOTE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"

PALETTE = (ORANGE, BLUE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")

WIDTH = 9.0  # inches

DPI = 100  # of figures that are kept as files


def class_colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each class, the same in every figure."""
    return dict(zip(sorted(set(labels)), itertools.cycle(PALETTE), strict=False))


def new_figure(
    height: float, columns: int = 1, rows: int = 1, width: float = WIDTH, **options: Any
) -> Any:
    """A figure that is shown once, where a notebook's cell ends with it."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", **options
    )
    plt.close(figure)
    return figure, axes


def sample_note(compared: pd.DataFrame) -> str:
    """What the title of a comparison says of synthetic cells."""
    synthetic = compared["notes"].str.contains(SYNTHETIC_NOTE, regex=False).any()
    return "Synthetic sample: shows the pipeline only. " if synthetic else ""


def show_picture(ax: Any, pixels: np.ndarray, title: str = "") -> None:
    """Show one cell without axes."""
    ax.imshow(pixels)
    ax.set_title(title, fontsize=8)
    ax.set_axis_off()


def encoded(figure: Figure) -> bytes:
    """A figure as the bytes of a WebP picture, which every browser reads and which is half as large as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="webp", dpi=DPI, pil_kwargs={"quality": 85, "method": 6})
    return stream.getvalue()


def keep(figure: Figure, folder: Path, name: str) -> Figure:
    """Leave a figure in the folder of an architecture's results, for the report."""
    with atomic(runs.folder(folder, "figures") / f"{name}.webp") as partial:
        partial.write_bytes(encoded(figure))
    return figure
