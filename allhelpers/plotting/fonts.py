"""Letters of any script in figures: an installed font that has them, or a sentence."""

from __future__ import annotations

import functools
import logging
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from matplotlib import font_manager, ft2font, rcParams
from matplotlib.text import Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = re.compile(r"Glyph (\d+) ")  # as matplotlib warns
Drawn = TypeVar("Drawn")
log = logging.getLogger(__name__)

# What is missing is said here, once; the notebook that shows a figure draws it again.
warnings.filterwarnings("ignore", message="Glyph [0-9]+ ")


def legibly(figure: Figure, draw: Callable[[], Drawn]) -> Drawn:
    """Draw a figure, and once more with other fonts where the usual one lacks letters."""
    drawn, missing = _draw(draw)
    if not missing:
        return drawn
    families, still_missing = families_with(frozenset(missing))
    if still_missing:
        _say_missing("".join(map(chr, sorted(still_missing)))[:20])
    for text in figure.findobj(Text) if families else ():
        text.set_fontfamily([*rcParams["font.family"], *families])
    return _draw(draw)[0] if families else drawn


def _draw(draw: Callable[[], Drawn]) -> tuple[Drawn, set[int]]:
    """What is drawn, and the letters that its fonts lack; other warnings are passed on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drawn = draw()
    missing = set()
    for warning in caught:
        if found := MISSING.match(str(warning.message)):
            missing.add(int(found[1]))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return drawn, missing


@functools.lru_cache(64)
def families_with(letters: frozenset[int]) -> tuple[tuple[str, ...], frozenset[int]]:
    """Families of installed fonts that together have letters, and the letters that none has."""
    families = []
    for font in sorted(font_manager.fontManager.ttflist, key=_plainness):
        if font.name.startswith("Last Resort"):  # a box for every letter
            continue
        try:
            held = letters & set(ft2font.FT2Font(font.fname).get_charmap())
        except (OSError, RuntimeError):
            continue
        if held:
            families.append(font.name)
            letters = letters - held
        if not letters:
            break
    return tuple(families), letters


def _plainness(font: font_manager.FontEntry) -> tuple[bool, bool, str]:
    """Upright fonts of usual weight without serifs first."""
    upright = font.style == "normal" and font.weight in (400, "normal", "regular")
    return not upright, "Sans" not in font.name, font.name


@functools.cache  # once, however many figures there are
def _say_missing(letters: str) -> None:
    log.warning(
        "* No installed font has the letters %s: figures show boxes in their place (on Debian and "
        "in Colab: apt-get install fonts-noto-cjk or fonts-noto); tables and texts are right.",
        letters,
    )
