"""Names of methods, notes, and figures with their intervals, as a sentence or a table has them.

What a terminal prints after a run: nothing here waits for statistics to be imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ..networks import registry

if TYPE_CHECKING:
    from ..runs import Result

BASELINES = {"majority": "majority class", "area": "cell area alone"}


def method_title(method: str) -> str:
    """Name of a network or baseline in figures and tables."""
    return BASELINES.get(method) or registry.title_of(method)


def no_result(result: Result) -> str:
    """Of a method that has not finished, for an error."""
    return (
        f"{result.folder} holds no finished result of {method_title(result.name)}: "
        f"run notebook {registry.notebook_of(result.name)} first."
    )


def joined(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def in_words(value: float | None, low: float | None, high: float | None, form: str = ".3f") -> str:
    """A metric with its interval over patients."""
    if pd.isna(value):
        return "not defined"
    known = f"{low:{form}} to {high:{form}}" if pd.notna(low) else ""
    return f"{value:{form}} ({known or 'no interval: a class has but one to resample'})"


def row_in_words(row: Mapping, metric: str, form: str = ".3f") -> str:
    """A metric, or a difference of it, with its interval."""
    return in_words(row[metric], row[f"{metric}_low"], row[f"{metric}_high"], form)


def notes_of(comparison: pd.DataFrame) -> list[str]:
    """Every note of a comparison once, in the order of first appearance.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> notes_of(pd.DataFrame({"notes": ["subset; random weights", "subset", None]}))
    ['subset', 'random weights']
    """
    notes = comparison["notes"].fillna("").str.split("; ").explode()
    return [note for note in dict.fromkeys(notes) if note]
