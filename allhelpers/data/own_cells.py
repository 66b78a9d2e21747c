"""The user's own cells: a manifest from the folders that the images lie in, or from a short table.

Folders: one per class, and in them, where patients are known, one per patient. A short table: a CSV
file with the columns ``file`` and ``label`` and, where it is known, ``patient`` (or ``subject``).
What is missing for a whole manifest is filled in here: the SHA-256 of each image, and each image as
a patient of its own where patients are unknown, which every output then says.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from .._core.errors import InputError, listing
from . import hashing, spelling

if TYPE_CHECKING:
    from .sources import Source

FOLDERS = "folders"  # settings.manifest, for labels from folders
PATIENTS_UNKNOWN = (
    "patients unknown: each picture counts as a patient of its own, so that a patient can stand on "
    "several sides of the split and intervals are too narrow"
)
SIDES = {"train", "training", "valid", "val", "validation", "test", "testing"}


def from_folders(source: Source) -> pd.DataFrame:
    """Read class and patient from the folders of the images: columns file, label, perhaps subject.

    Folders above those of the classes, which hold no other images, are passed over:
    ``cells/blast/p1/1.png`` and ``cells/normal/p3/1.png`` are of the classes blast and normal.
    """
    names = [source.name(member) for member in source.members]
    folders = [name.split("/")[:-1] for name in names]
    above = len(os.path.commonprefix(folders))
    inner = [parts[above:] for parts in folders]
    _check_folders(names, inner, source.path)
    table = pd.DataFrame({"file": names, "label": [parts[0] for parts in inner]})
    patients = [parts[1] if len(parts) == 2 else "" for parts in inner]
    if not any(patients):
        return table
    if not all(patients):
        raise InputError(
            f"{names[patients.index('')]} lies in no patient's folder, but others in {source.path} "
            "do: give each picture one, or none."
        )
    return table.assign(subject=patients)


def _check_folders(names: list[str], inner: list[list[str]], path: Path) -> None:
    """Refuse folders that do not tell one class per image."""
    where = f"the folders in {path}"
    if stray := [name for name, parts in zip(names, inner, strict=True) if not parts]:
        raise InputError(
            f"The classes cannot be read from {where}: {listing(stray, 3)} lies in no class folder "
            "or in the only one; make one folder per class, at least two, side by side."
        )
    if sides := {parts[0] for parts in inner if parts[0].lower() in SIDES}:
        raise InputError(
            f"{where.capitalize()} are called {listing(sorted(sides))}, which are sides of a split "
            "and not classes: put one folder per class there (the project draws the split), or "
            "give a CSV of file, label and patient."
        )
    if deeper := [name for name, parts in zip(names, inner, strict=True) if len(parts) > 2]:
        raise InputError(
            f"{deeper[0]} lies deeper than class/patient/picture in {path}: move such pictures up, "
            "or give a CSV of file, label and patient."
        )


def is_short(table: pd.DataFrame) -> bool:
    """Whether a table holds file and label but not all columns of a manifest."""
    return {"file", "label"} <= set(table) and "sha256" not in table


def complete(
    table: pd.DataFrame, members: pd.Series, source: Source, cache: str | Path
) -> pd.DataFrame:
    """Make a whole manifest, not yet checked, of a short table.

    An image that is missing or cannot be read has a note instead of its SHA-256; the loader stops
    at it.
    """
    table = table.rename(columns={"patient": "subject", "split": "side"})
    table = spelling.tidied(table, [n for n in ("label", "subject", "side") if n in table])
    unknown: dict[str, str | pd.Series] = {"part": "training", "fold": "", "subject": table["file"]}
    table = table.assign(**{name: value for name, value in unknown.items() if name not in table})
    there = members.notna()
    digests = hashing.digests(source, members[there].tolist(), cache)
    known = pd.Series(digests, index=table.index[there], dtype=object).reindex(table.index)
    return table.assign(sha256=known.fillna("missing " + table["file"]))


def patients_unknown(table: pd.DataFrame) -> bool:
    """Whether each image of a manifest stands for a patient of its own."""
    return bool((table["subject"] == table["file"]).all())
