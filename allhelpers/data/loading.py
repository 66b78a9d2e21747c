"""The cells of a run: found, checked, split and decoded, once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._core.errors import InputError, counted, listing
from .._core.files import sha256, write_csv, write_json, write_text
from .._core.renaming import former_table
from ..runs import Run
from . import decoding, matching, plausibility, sources, splitting, tables, walking
from . import manifest as manifests
from .given_splits import AS_IS, COLUMN
from .images import areas
from .manifest import SPLITS
from .own_cells import FOLDERS, UNKNOWN_NOTE
from .splitting import DEFAULT_SEED
from .synthetic import SYNTHETIC_NOTE

if TYPE_CHECKING:
    from ..settings import DataSettings

OWN_CELLS_HELP = (
    "; for cells of your own, give a table of them (--manifest cells.csv), or --manifest folders "
    "where each class has its folder"
)


@dataclass(frozen=True)
class Cells:
    """The cells of a run.

    Attributes
    ----------
    table : DataFrame
        Manifest rows that are used, with a column ``split`` of train, val and test.
    pixels : ndarray of shape (cells, size, size, 3), uint8
        RGB, memory-mapped; row i belongs to row i of ``table``.
    notes : list of str
        What every output must say about these cells.
    key : str
        Identifies the pixels.
    classes : tuple of str
        Of the whole manifest, the positive one first.
    manifest : DataFrame
        The whole manifest, also of cells that the split does not use; by default ``table``.
    nuisances : DataFrame
        What is measured of each cell beside its class (`nuisances.NAMES`); row i belongs to row i
        of ``table``. Empty where images were not at hand.

    Examples
    --------
    >>> cells.classes, len(cells.rows("test")), cells.kind
    (('all', 'hem'), 70, 'synthetic sample')
    """

    table: pd.DataFrame
    pixels: np.ndarray
    notes: list[str]
    key: str
    classes: tuple[str, ...]
    manifest: pd.DataFrame = field(default_factory=pd.DataFrame)
    nuisances: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        if self.manifest.empty:
            object.__setattr__(self, "manifest", self.table)

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split.

        Parameters
        ----------
        split : {"train", "val", "test"}

        Returns
        -------
        ndarray of int
        """
        return np.flatnonzero(self.table["split"] == split)

    def take(self, rows: np.ndarray) -> Cells:
        """Some of the cells, in the order of their row numbers.

        Parameters
        ----------
        rows : ndarray of int

        Returns
        -------
        Cells
            With pixels in memory and a key of their own.
        """
        rows = np.asarray(rows, int)
        key = hashlib.sha256(f"{self.key} {rows.tolist()}".encode()).hexdigest()
        table = self.table.iloc[rows].reset_index(drop=True)
        measured = self.nuisances
        if len(measured):
            measured = measured.iloc[rows].reset_index(drop=True)
        return replace(self, table=table, pixels=self.pixels[rows], key=key, nuisances=measured)

    @property
    def areas(self) -> np.ndarray:
        """Area of each cell in pixels of its image; of the decoded cell if that is unknown."""
        return self.nuisances["area"].to_numpy() if len(self.nuisances) else areas(self.pixels)

    @property
    def kind(self) -> str:
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
        labels = self.table["label"].to_numpy()
        return (labels[:, np.newaxis] == np.array(self.classes, object)).astype(np.float32)


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
        If images are missing and no subset is allowed, or if more are refused than may be.

    Examples
    --------
    >>> prepare(training_settings).pixels.shape
    (160, 64, 64, 3)
    """
    source = sources.open_images(settings)
    manifest = matching.read_manifest(settings, source)
    notes = list(manifest.attrs.get("notes", []))
    members = matching.match(manifest, source)
    unlisted = _unlisted(members, source, settings)
    manifest, left_out = manifests.keep_classes(manifest, settings.classes)
    members = members[manifest.index]
    classes = manifests.classes(manifest, settings.positive, settings.classes)
    chosen, more = choose_cells(manifest, members.notna(), settings, unlisted=unlisted)
    notes += left_out + more + walking.left_out(source.passed_over)
    if unlisted:
        what = f"{counted(len(unlisted), 'image')} ({walking.kinds(unlisted)})"
        notes.append(f"not listed in {Path(settings.manifest).name}, and not used: {what}")
    known: dict[str, np.ndarray] = {}
    table, pixels, key, rejected = decoding.decode_usable(
        chosen, members[chosen.index], source, settings, measured=known
    )
    measured = decoding.measure_cells(table, members[table.index], source, settings, known=known)
    notes += rejected + plausibility.doubts(table["file"].tolist(), measured)
    table = table.reset_index(drop=True)
    return Cells(table, pixels, notes, key, classes, manifest, measured)


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
    >>> Run("runs/first").data()["classes"]
    ['all', 'hem']
    """
    run, content = Run(settings.run_folder), cells.table.to_csv(index=False)
    former = former_table(cells.table).to_csv(index=False)
    if run.trained_on_others(content) and not run.trained_on_others(former):
        content = former  # an earlier version's: what it has left refers to this very file
    elif run.trained_on_others(content) and not settings.overwrite:
        raise InputError(
            f"{run.manifest_path} holds other cells, labels or another split than these settings "
            "give, and what was trained on them would no longer fit: choose another run_folder "
            "(--output), or replace the run (overwrite = True, --overwrite)."
        )
    write_text(run.manifest_path, content)
    origin = {name: getattr(settings, name) for name in ("images", "manifest", "split", "seed")}
    facts = {"classes": cells.classes, "cells": len(cells.table), "notes": cells.notes}
    write_json(run.data_path, {**origin, **facts})
    run.reseal([run.manifest_path, run.data_path])
    return sha256(run.manifest_path)


def choose_cells(
    table: pd.DataFrame,
    there: pd.Series,
    settings: DataSettings,
    *,
    unlisted: Sequence[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Keep the rows that the split uses, and draw it where the manifest does not hold it."""
    notes = [SYNTHETIC_NOTE] if settings.synthetic else []
    notes += [UNKNOWN_NOTE] if not tables.patients_known(table) else []
    whole = f"{settings.split}_split" in table and settings.seed == DEFAULT_SEED
    if whole and not settings.classes:
        split = splitting.stored(table, settings.split)
    else:
        split = splitting.draw(table, settings.split, settings.seed)
    missing = table[(split != "") & ~there]
    Run(settings.run_folder).missing_path.unlink(missing_ok=True)  # of an earlier attempt
    if len(missing):
        _report_missing(missing, int((split != "").sum()), settings, unlisted)
        table = table[there]
        split = splitting.draw(table, settings.split, settings.seed)
        notes.append(_subset_note(there, split, settings))
    notes += _notes_on_given_splits(table, split, settings)
    table = table.assign(split=split)
    return table[table["split"] != ""], notes


def _notes_on_given_splits(
    table: pd.DataFrame, split: pd.Series, settings: DataSettings
) -> list[str]:
    """What has to be said where cells bring splits of their own."""
    own = settings.split in (COLUMN, AS_IS)
    if "given_split" in table and not own:
        return [
            "the cells say themselves who trains and who tests (column or folders train, test), "
            f"and that is not used with split = {settings.split}: choose --split column for it"
        ]
    if own and (number := len(splitting.shared_patients(table.assign(split=split)))):
        return [f"{counted(number, 'patient')} in two splits as given, kept as they are"]
    return []


def _unlisted(members: pd.Series, source: sources.Source, settings: DataSettings) -> list[str]:
    """Images that a table of the user's own does not name."""
    if settings.manifest in ("", FOLDERS):
        return []
    listed = set(members)
    return [source.name(member) for member in source.members if member not in listed]


def _report_missing(
    missing: pd.DataFrame, needed: int, settings: DataSettings, unlisted: Sequence[str]
) -> None:
    path = Run(settings.run_folder).missing_path
    write_csv(path, missing)
    some_are_there = len(missing) < needed
    if settings.allow_subset and some_are_there:
        return
    remedy = ", or allow a subset (--allow-subset)" if some_are_there else ", or another folder"
    remedy += "" if some_are_there or settings.manifest else OWN_CELLS_HELP
    others = f"; there, but in no row: {listing(unlisted, 3)}" if unlisted else ""
    raise InputError(
        f"{len(missing):,} of the {needed:,} images that the split needs are not in "
        f"{settings.images} ({listing(missing['file'], 3)}; all in "
        f"{path}{_ending(missing['file'])}{others}): complete them{remedy}."
    )


def _ending(files: pd.Series) -> str:
    """A word on names that cannot be files, as they lack their ending."""
    has = files.str.contains(r"\.[A-Za-z]\w*$")
    return "" if has.any() else "; the table gives names without an ending such as .png"


def _subset_note(there: pd.Series, split: pd.Series, settings: DataSettings) -> str:
    counts = split.value_counts()
    sizes = " / ".join(f"{counts.get(name, 0):,}" for name in SPLITS)
    return (
        f"subset: {there.sum():,} of the manifest's {len(there):,} images are there, and the "
        f"rule of the {settings.split} split was drawn on them ({sizes} cells for training, "
        "validation and test)"
    )
