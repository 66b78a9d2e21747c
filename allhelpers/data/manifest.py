"""The table of cells: one row per image, with its label, patient, official fold and SHA-256.

Labels, patients and splits are read from it, never from folder order.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from .._core.errors import InputError, counted, listing
from .._core.files import sha256
from .._core.packaged import packaged
from .._core.renaming import renamed_table
from . import short_tables, spelling, walking

OFFICIAL_CLASSES = ("all", "hem")  # of C-NMC 2019
MOST_LETTERS = 50  # of the name of a class
TITLES = {"all": "ALL (leukaemic)", "hem": "HEM (normal)"}
SHORT_TITLES = {"all": "ALL", "hem": "HEM"}

COLUMNS = short_tables.OFFICIAL
PARTS = {"training", "preliminary_test"}  # of C-NMC 2019; own cells are all training
SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test"}
SPLITS = tuple(SPLIT_TITLES)
PROJECT_MANIFEST = packaged("data_manifest.csv")

# Official names: UID_<patient>_<image>_<cell>_<label>.bmp; copies may have another suffix.
# IGNORECASE keeps patient h3.
OFFICIAL_NAME = re.compile(
    r"UID_(?P<patient>H?\d+)_\d+_\d+_(?P<label>all|hem)\.[a-z]+", re.IGNORECASE
)
# Says what a label was before somebody has corrected it; empty elsewhere.
CORRECTED_FROM = "corrected_from"
PRELIMINARY_TABLE = "C-NMC_test_prelim_phase_data_labels.csv"
PRELIMINARY_LABELS = {"1": "all", "0": "hem"}  # the reverse of the folders' alphabetical order


def read(path: str | Path) -> pd.DataFrame:
    """Read and check a manifest: all columns as text, empty where there is no value."""
    return check(short_tables.read(path), path)


def keep_classes(table: pd.DataFrame, wanted: str) -> tuple[pd.DataFrame, list[str]]:
    """Keep the cells of some classes (separated by commas; all where empty), and say what goes."""
    if not wanted:
        return table, []
    chosen, there = named_classes(wanted), table["label"].value_counts()
    if unknown := [name for name in chosen if name not in there]:
        raise InputError(
            f"classes = {wanted!r} names {listing(map(repr, unknown))}, which the cells do not "
            f"have: choose from {listing(sorted(there.index), 20)}."
        )
    gone = [name for name in sorted(there.index) if name not in chosen]
    out = [f"{name} ({counted(int(there[name]), 'cell')})" for name in gone]
    note = [f"classes left out as asked: {listing(out, 20)}"] if out else []
    return table[table["label"].isin(chosen)], note


def named_classes(wanted: str) -> list[str]:
    """Names of classes separated by commas; one that holds a comma stands in quotation marks."""
    return list(dict.fromkeys(filter(None, map(spelling.tidy, next(csv.reader([wanted]), [])))))


def classes(table: pd.DataFrame, positive: str = "", wanted: str = "") -> tuple[str, ...]:
    """Classes of a manifest, the positive one first: the order of probabilities everywhere."""
    names = named_classes(wanted) or sorted(set(table["label"]))
    if len(names) < 2:
        raise InputError(
            f"The manifest knows one class only ({listing(names)}): add cells of another class."
        )
    if positive and positive not in names:
        raise InputError(
            f"positive = {positive!r} is not a class of the manifest: "
            f"choose from {', '.join(names)}."
        )
    return tuple(sorted(names, key=lambda name: name != positive) if positive else names)


def class_title(label: str, short: bool = False) -> str:
    """Name of a class in figures and tables: the official classes in words, others as they are."""
    return (SHORT_TITLES if short else TITLES).get(label, label)


def check(table: pd.DataFrame, where: str | Path = "the manifest") -> pd.DataFrame:
    """Check a manifest and return it unchanged."""
    if missing := [column for column in COLUMNS if column not in table]:
        raise InputError(
            f"{where} lacks the column {listing(missing)}: "
            f"its columns must include {', '.join(COLUMNS)}."
        )
    if table.empty:
        raise InputError(f"{where} lists no cells: add one row per image.")
    files = table["file"].tolist()
    official = [OFFICIAL_NAME.fullmatch(base_name(file)) for file in files]
    _check_values(table, official, where)
    # What may stand once: an official name in any folder, another file's path.
    names = pd.Series(
        [name[0] if name else tidy_path(file) for file, name in zip(files, official, strict=True)]
    )
    if (twice := names.duplicated()).any():
        raise InputError(
            f"{where} lists {listing(names[twice].unique())} more than once: "
            "keep one row per file name."
        )
    return table


def _check_values(
    table: pd.DataFrame, official: list[re.Match[str] | None], where: str | Path
) -> None:
    """Refuse what cannot be a file, a class, a patient or an official part."""
    for column in ("file", "label", "patient"):
        if (empty := table[column] == "").any():
            raise InputError(
                f"{where} names no {column} for {listing(table.loc[empty, 'file'])} "
                f"({counted(int(empty.sum()), 'row')}): fill the column {column}."
            )
    labels = table["label"].tolist()
    earlier = table.get(CORRECTED_FROM, table["label"]).tolist()
    sound = {
        label: label.isprintable() and label == label.strip() and len(label) <= MOST_LETTERS
        for label in set(labels)
    }
    for row, (label, was, name) in enumerate(zip(labels, earlier, official, strict=True)):
        # A slip, or a label against an official name, makes no new class.
        if not sound[label] or (name and name["label"].lower() not in (label, was)):
            raise InputError(
                f"{where} holds the impossible label {label!r} (file {table['file'].iloc[row]}): a "
                "label is the name of a class, and official files carry theirs in their names "
                f"(where that is wrong, name it in a column {CORRECTED_FROM})."
            )
    spelling.refuse_twins(sorted(sound), "classes", where)
    own = table["patient"][[name is None for name in official]]
    patients = own[own != table.loc[own.index, "file"]]
    spelling.refuse_twins(sorted(patients.unique()), "patients", where)
    if unknown := sorted(set(table["part"]) - PARTS):
        raise InputError(
            f"{where} has {listing(map(repr, unknown))} in the column part, which tells the parts "
            f"of C-NMC 2019 ({listing(sorted(PARTS))}): rename the column (split, if it says who "
            "trains and who tests), or leave it out."
        )


def tidy_path(file: str) -> str:
    """A path as it is compared: slashes, no ``./``, one form of each letter."""
    path = spelling.tidy_path(file)
    return posixpath.normpath(path) if ".." in path or path.endswith("/") else path


def is_official(table: pd.DataFrame) -> bool:
    """Whether a manifest holds cells of C-NMC 2019, told by the official names."""
    return any(OFFICIAL_NAME.fullmatch(base_name(file)) for file in table["file"])


def base_name(file: str) -> str:
    """Name of a file without its folders, whichever slash was used."""
    return file.replace("\\", "/").rsplit("/", 1)[-1]


def from_folder(
    folder: str | Path, digests: Callable[[list[Path]], list[str]] | None = None
) -> pd.DataFrame:
    """Make a manifest of official files that lie under a folder; ``digests`` may know SHA-256s."""
    folder = Path(folder)
    found = walking.walk(folder)
    rows = [_training_row(path) for path in found.images if OFFICIAL_NAME.fullmatch(path.name)]
    tables = [name for name in found.passed_over if base_name(name) == PRELIMINARY_TABLE]
    for table in sorted(tables):
        rows += _preliminary_rows(folder / table, found.images, folder)
    if not rows:
        raise InputError(
            f"There are no official files (UID_*.bmp) under {folder}: give the folder that holds "
            "them; cells of your own need no manifest but --manifest folders, or a table."
        )
    facts = pd.DataFrame(rows, columns=["file", "part", "fold", "label", "patient"])
    files = facts["file"].tolist()
    names = [walking.spelled(path.relative_to(folder)) for path in files]
    return _tidy(facts.assign(file=names, sha256=(digests or _digests)(files)), folder)


def _digests(files: list[Path]) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(sha256, files))


def left_out(folder: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """Images under a folder that its manifest does not list, and what is no image for a run."""
    found, listed = walking.walk(Path(folder)), set(table["file"])
    files = [walking.spelled(path.relative_to(folder)) for path in found.images]
    reason = (
        f"neither an official name (UID_*_all.bmp, UID_*_hem.bmp) nor a row of {PRELIMINARY_TABLE}"
    )
    rows = [{"file": file, "reason": reason} for file in files if file not in listed]
    missed = sorted((n, rule) for n, rule in found.passed_over.items() if rule in walking.MISSED)
    return pd.DataFrame(rows + [{"file": name, "reason": rule} for name, rule in missed])


def _training_row(path: Path) -> tuple[Path, str, str, str, str]:
    """Path, part, fold, label and patient of an official file."""
    name = OFFICIAL_NAME.fullmatch(path.name)
    assert name  # the caller takes official names only
    label, parent = name["label"].lower(), path.parent.name.lower()
    if parent in OFFICIAL_CLASSES and parent != label:
        raise InputError(
            f"{path} lies in the folder of {parent} but is named {label}: move or rename it."
        )
    fold = next((p.name for p in path.parents if re.fullmatch(r"fold_\d+", p.name)), "")
    return path, "training", fold, label, name["patient"]


def _preliminary_rows(
    table: Path, files: list[Path], folder: Path
) -> Iterator[tuple[Path, str, str, str, str]]:
    """The same of the preliminary test: files are called 1.bmp, and the table knows the rest."""
    rows, columns = short_tables.read_plain(table), ["Patient_ID", "new_names", "labels"]
    if not set(columns) <= set(rows):
        raise InputError(f"{table} lacks one of {listing(columns)}: download it again.")
    # Beside the table or in the folder called like it: other tests have files of the same names.
    images, own = defaultdict(list), table.stem.removesuffix("_labels")
    for path in files:
        if path.parent == table.parent or own in path.relative_to(folder).parts:
            images[path.name].append(path)
    for official, file, code in rows[columns].itertuples(index=False):
        original = OFFICIAL_NAME.fullmatch(official)
        label = PRELIMINARY_LABELS.get(code)
        if label is None or original is None or original["label"].lower() != label:
            raise InputError(
                f"{table} codes {official} as {code}: expected 1 for all and 0 for hem."
            )
        if len(images[file]) != 1:
            there = f"twice ({listing(images[file])})" if images[file] else "not"
            raise InputError(
                f"{table} names {file}, which is {there} beside it or in a folder of its name in "
                f"{folder}: complete the download, or remove the copy."
            )
        yield images[file][0], "preliminary_test", "", label, original["patient"]


def from_listing(path: str | Path) -> pd.DataFrame:
    """Make a manifest of a CSV list that already holds all of its columns."""
    table = renamed_table(short_tables.read_plain(path))
    return _tidy(table[table["label"] != ""] if "label" in table else table, path)


def _tidy(table: pd.DataFrame, where: str | Path) -> pd.DataFrame:
    table = check(table, where)[list(COLUMNS)]
    # The training part first, then alphabetical: stable whatever the order of the source.
    return table.sort_values(["part", "file"], ascending=[False, True], ignore_index=True)
