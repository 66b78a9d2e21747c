"""From picture files to pixels: each cell is read, checked, resized and kept on disk, once.

Cells are matched to the manifest by path, or by file name (and SHA-256 where a name occurs twice), so that any
official folder layout will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._core.errors import InputError, listing
from .._core.files import sha256, write_csv, write_json, write_text
from . import decoding, matching, own_cells, sources, splitting
from . import manifest as manifests
from .manifest import SPLITS
from .own_cells import PATIENTS_UNKNOWN
from .splitting import DEFAULT_SEED
from .synthetic import SYNTHETIC_NOTE

if TYPE_CHECKING:
    from ..settings import DataSettings, TrainingSettings


@dataclass(frozen=True)
class Cells:
    """The cells of a run.

    Attributes
    ----------
    table : DataFrame
        Manifest rows that are used, with a column ``split`` of train, valid and test.
    pixels : ndarray of shape (cells, size, size, 3), uint8
        RGB, memory-mapped; row i belongs to row i of ``table``.
    notes : list of str
        What every output must say about these cells.
    key : str
        Identifies the pixels.
    classes : tuple of str
        Of the whole manifest, the positive one first.
    """

    table: pd.DataFrame
    pixels: np.ndarray
    notes: list
    key: str
    classes: tuple

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one side of the split.

        Parameters
        ----------
        split : {"train", "valid", "test"}

        Returns
        -------
        ndarray of int
        """
        return np.flatnonzero(self.table["split"] == split)

    @property
    def kind(self) -> Any:
        """What the cells are, for titles of figures."""
        if SYNTHETIC_NOTE in self.notes:
            return "synthetic sample"
        return "C-NMC cells" if manifests.is_official(self.table) else "own cells"

    def labels(self) -> np.ndarray:
        """One-hot labels in the order of ``classes``.

        Returns
        -------
        ndarray of shape (cells, classes), float32
        """
        return np.stack([self.table["label"] == label for label in self.classes], axis=1).astype(
            np.float32
        )


def prepare(settings: DataSettings) -> Cells:
    """Find, check, split and decode the cells of a run; what is done already is only opened.

    Parameters
    ----------
    settings : DataSettings

    Returns
    -------
    Cells

    Raises
    ------
    InputError
        If pictures are missing and no subset is allowed, or if more are rejected than may be.

    Examples
    --------
    >>> prepare(training_settings).pixels.shape
    (160, 64, 64, 3)
    """
    source = sources.open_images(settings)
    table = matching.read_manifest(settings, source)
    members, classes = matching.match(table, source), manifests.classes(table, settings.positive)
    table, notes = choose_cells(table, members.notna(), settings)
    table, pixels, key, more_notes = decoding.decode_usable(
        table, members[table.index], source, settings
    )
    return Cells(table.reset_index(drop=True), pixels, notes + more_notes, key, classes)


def record_cells(cells: Cells, settings: DataSettings) -> str:
    """Write the run's manifest.csv and data.json, or make sure that they are about the same cells.

    Parameters
    ----------
    cells : Cells
    settings : DataSettings

    Returns
    -------
    str
        SHA-256 of the run's manifest.

    Raises
    ------
    InputError
        If the run folder holds another choice of cells.

    Examples
    --------
    >>> settings = training_settings.model_copy(update={"run_folder": "runs/first"})
    >>> len(record_cells(cells, settings))
    64
    >>> sorted(path.name for path in Path("runs/first").iterdir())
    ['data.json', 'manifest.csv']
    """
    path = Path(settings.run_folder) / "manifest.csv"
    content = cells.table.to_csv(index=False)
    if path.exists() and path.read_text(encoding="utf-8") != content and not settings.overwrite:
        raise InputError(
            f"{path} holds other cells or another split than these settings give: choose another run_folder, or set "
            "overwrite = True."
        )
    write_text(path, content)
    chosen = {name: getattr(settings, name) for name in ("images", "manifest", "split", "seed")}
    chosen["classes"] = cells.classes
    write_json(
        path.with_name("data.json"), {**chosen, "cells": len(cells.table), "notes": cells.notes}
    )
    return sha256(path)


def choose_cells(
    table: pd.DataFrame, there: pd.Series, settings: DataSettings
) -> tuple[pd.DataFrame, list[str]]:
    """Keep the rows that the split uses, and draw the split where the manifest does not hold it."""
    notes = [SYNTHETIC_NOTE] if settings.synthetic else []
    notes += [PATIENTS_UNKNOWN] if own_cells.patients_unknown(table) else []
    column = f"{settings.split}_split"
    if column in table and settings.seed == DEFAULT_SEED:
        split = table[column]
    else:
        split = splitting.draw(table, settings.split, settings.seed)
    missing = table[(split != "") & ~there]
    (Path(settings.run_folder) / "missing.csv").unlink(missing_ok=True)  # of an earlier attempt
    if len(missing):
        _report_missing(missing, (split != "").sum(), settings)
        table = table[there]
        split = splitting.draw(table, settings.split, settings.seed)
        notes.append(_subset_note(there, split, settings))
    table = table.assign(split=split)
    return table[table["split"] != ""], notes


_OTHER_PICTURES = (
    ", or give another folder; for cells of your own, give a table of them (--manifest cells.csv), or --manifest "
    "folders where each class has its folder."
)


def _report_missing(missing: Any, needed: int, settings: TrainingSettings) -> None:
    path = Path(settings.run_folder) / "missing.csv"
    write_csv(path, missing)
    if not settings.allow_subset or len(missing) == needed:
        raise InputError(
            f"{len(missing):,} of the {needed:,} pictures that the split needs are not in {settings.images} "
            f"({listing(missing['file'].map(manifests.base_name), 3)}; all in {path}): complete them"
            + (
                ", or allow a subset (--allow-subset)."
                if len(missing) < needed
                else _OTHER_PICTURES
            )
        )


def _subset_note(there: pd.Series, split: str, settings: TrainingSettings) -> Any:
    counts = split.value_counts()
    sides = " / ".join(f"{counts.get(side, 0):,}" for side in SPLITS)
    return (
        f"subset: {there.sum():,} of the manifest's {len(there):,} pictures are there, and the rule of the "
        f"{settings.split} split was drawn on them ({sides} cells for training, validation and test)"
    )
