"""Titles and labels that keep to their place, however long names of classes and patients are."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase
    from matplotlib.text import Text

SMALLEST = 6.0  # points: below this a name is shortened in its middle
GAP = 0.97  # share of its place that a text may take


class FittedFigure(Figure):
    """A figure whose titles and labels are fitted to their axes whenever it is drawn."""

    def draw(self, renderer: RendererBase) -> None:
        """Lay out, fit, and draw; fitted texts stay as they are."""
        engine = self.get_layout_engine()
        if engine is not None:
            engine.execute(self)
        for ax in self.axes:
            place = ax.get_position(original=True)
            width, height = place.width * self.bbox.width, place.height * self.bbox.height
            _shrink(ax.title, GAP * width, renderer)
            _wrap(ax.xaxis.label, GAP * width, renderer)
            _wrap(ax.yaxis.label, GAP * height, renderer)
        title: Text | None = getattr(self, "_suptitle", None)
        if title is not None:
            _wrap(title, GAP * self.bbox.width, renderer)
        super().draw(renderer)


def _length(text: Text, renderer: RendererBase) -> float:
    """Pixels along the direction of writing."""
    extent = text.get_window_extent(renderer)
    return extent.height if text.get_rotation() == 90 else extent.width


def _shrink(text: Text, room: float, renderer: RendererBase) -> None:
    """Smaller letters; where they would be too small to read, dots in the middle of a line."""
    if not text.get_text() or (length := _length(text, renderer)) <= room:
        return
    text.set_fontsize(max(SMALLEST, float(text.get_fontsize()) * room / length))
    while (length := _length(text, renderer)) > room:
        longest = max(map(len, text.get_text().splitlines()))
        most = min(longest - 1, int(longest * room / length))
        if most < 5:
            return
        text.set_text("\n".join(shortened(line, most) for line in text.get_text().splitlines()))


def shortened(line: str, most: int) -> str:
    """A line of at most so many letters, its beginning and its end kept."""
    if len(line) <= most:
        return line
    tail = (most - 1) // 2
    return f"{line[: most - 1 - tail]}…{line[len(line) - tail :]}"


def _wrap(text: Text, room: float, renderer: RendererBase) -> None:
    """Several lines."""
    if not text.get_text() or (length := _length(text, renderer)) <= room:
        return
    longest = max(map(len, text.get_text().splitlines()))
    lines = text.get_text().splitlines()
    width = max(5, int(longest * room / length))
    text.set_text("\n".join(textwrap.fill(line, width) for line in lines))
