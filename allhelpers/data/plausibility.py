"""Images that pass the gate and yet look like no single cell: they are named, not left out."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from .._core.errors import counted, listing

# Single cells are cut out at about 70 to 600 pixels a side, and about square.
LEAST_SIDE = 40
MOST_SIDE = 1000
MOST_STRETCHED = 1.3


def doubts(files: Sequence[str], measured: pd.DataFrame) -> list[str]:
    """One note for each thing that is odd, with the files that have it."""
    if measured.empty:
        return []
    shorter = measured[["height", "width"]].min(axis=1)
    longer = measured[["height", "width"]].max(axis=1)
    fields = longer > MOST_SIDE
    odd = {
        f"smaller than {LEAST_SIDE} pixels: too little to learn from": shorter < LEAST_SIDE,
        f"larger than {MOST_SIDE:,} pixels: whole fields, to be cut into cells first?": fields,
        "far from square and will be stretched": (longer > MOST_STRETCHED * shorter) & ~fields,
        "of one colour throughout: is there a cell?": measured["sharpness"] == 0,
    }
    notes = []
    for what, rows in odd.items():
        if names := [file for file, is_so in zip(files, rows, strict=True) if is_so]:
            verb = "is" if len(names) == 1 else "are"
            notes.append(f"{counted(len(names), 'image')} {verb} {what} ({listing(names, 3)})")
    return notes
