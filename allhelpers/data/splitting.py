"""Who trains and who tests: the paper's split by image, and honest splits by patient.

Drawn by hash and not by scikit-learn's StratifiedGroupKFold: published splits rest on getting the
same one on every machine, with every version of NumPy, and whatever the order of the rows.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .._core.errors import InputError, listing
from . import given_splits
from .given_splits import AS_IS, COLUMN
from .manifest import SPLITS
from .tables import patients_known

log = logging.getLogger(__name__)

DEFAULT_SEED = 2019
# The paper: 6,176 cells, 3,088 per class; of each, 35 for validation, 35 for the test.
PAPER_CELLS = 3088
PAPER_HELD_BACK = 35
# By patient: one of five parts is the test, one of six parts of what is left validates.
TEST_PARTS, VAL_PARTS = 5, 6
LEAST_PATIENTS = 3  # of each class: one for each split


def drawing_order(names: Iterable[str], seed: int) -> list[str]:
    """Put names into a reproducible random order."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}|{name}".encode()).digest())


def paper_split(table: pd.DataFrame, seed: int = DEFAULT_SEED) -> pd.Series:
    """The paper's split: by image, balanced, 35 cells per class for validation, 35 for the test."""
    split = pd.Series("", index=table.index)
    training, labels = table[table["part"] == "training"], sorted(set(table["label"]))
    cells = training["label"].value_counts().reindex(labels, fill_value=0)
    if cells.min() <= 2 * PAPER_HELD_BACK:
        _refuse_papers_split(training, cells)
    per_class = min(PAPER_CELLS, cells.min())
    for label in labels:
        rows = training[training["label"] == label]
        by_file = pd.Series(rows.index, index=rows["file"])
        drawn = by_file.loc[drawing_order(rows["file"], seed)[:per_class]]
        split.loc[drawn] = "train"
        split.loc[drawn.iloc[:PAPER_HELD_BACK]] = "test"
        split.loc[drawn.iloc[PAPER_HELD_BACK : 2 * PAPER_HELD_BACK]] = "val"
    return split


def _refuse_papers_split(training: pd.DataFrame, cells: pd.Series) -> None:
    """Say which class is too small, and what can be done that will work."""
    small = cells.index[cells <= 2 * PAPER_HELD_BACK][0]
    groups = groups_per_class(training).reindex(cells.index, fill_value=0)
    by_patient = ", or choose --split patient" if groups.min() >= LEAST_PATIENTS else ""
    raise InputError(
        f"The paper's split needs more than {2 * PAPER_HELD_BACK} training cells of each class, "
        f"but there are only {cells[small]} of class {small}: add cells"
        f"{_without_small(cells, 2 * PAPER_HELD_BACK + 1)}{by_patient}."
    )


def _without_small(counts: pd.Series, least: int) -> str:
    """How to go on without the classes that are too small, if two are left."""
    left = sorted(counts.index[counts >= least])
    listed = ",".join(f'"{label}"' if "," in label else label for label in left)
    return f", or leave the class out (--classes '{listed}')" if len(left) > 1 else ""


def patient_groups(table: pd.DataFrame) -> pd.Series:
    """Group patients who share a byte-identical image, directly or through others."""
    if table.empty:
        return table["patient"]
    patients, images = (pd.factorize(table[name])[0] for name in ("patient", "sha256"))
    # A graph with a node per patient and per image, and an edge per row: its components are groups.
    images += patients.max() + 1
    nodes = images.max() + 1
    edges = coo_array((np.ones(len(table)), (patients, images)), shape=(nodes, nodes))
    components = connected_components(edges, directed=False)[1][patients]
    return table["patient"].groupby(components).transform("min")


def groups_per_class(table: pd.DataFrame) -> pd.Series:
    """Patients of each class, those who share an image counted as one."""
    return patient_groups(table).groupby(table["label"]).nunique()


def patient_split(table: pd.DataFrame, seed: int = DEFAULT_SEED) -> pd.Series:
    """Draw a split in which no patient, and no two who share an image, are in two splits."""
    _check_patients(table, least=LEAST_PATIENTS)
    groups, split = patient_groups(table), pd.Series("train", index=table.index)
    official = table["part"] == "preliminary_test"
    if official.any():
        # A group of the test stays there, even where one of its patients also has training cells.
        split[groups.isin(groups[official])] = "test"
    else:
        split[last_part(table, TEST_PARTS, seed=seed)] = "test"
    return _hold_out(table, split, seed)


def patient_folds(
    table: pd.DataFrame,
    number: int,
    folds: int,
    *,
    seed: int = DEFAULT_SEED,
    inside: str | None = None,
) -> pd.Series:
    """Cross-validation by patient: of ``folds`` parts of about equal size, one is the test."""
    training = table[table["part"] == "training"]
    if inside:
        _check_fold(table, inside)
        training = table[table["fold"] == inside]
    _check_folds(training, folds)
    part = deal(training, folds, seed=seed)
    split = pd.Series("", index=table.index)
    split[part.index] = np.where(part == number, "test", "train")
    return _hold_out(table, split, seed)


def _check_folds(table: pd.DataFrame, folds: int) -> None:
    least, there = max(folds, LEAST_PATIENTS), groups_per_class(table)
    for label, patients in there.items():
        if patients < least:
            remedy = "choose fewer folds" if patients >= LEAST_PATIENTS else "add patients"
            raise InputError(
                f"{folds} folds need {least} patients or more (after joining those who share an "
                f"image) of class {label}, but there are {patients}: {remedy}"
                f"{_without_small(there, least)}."
            )


def deal(table: pd.DataFrame, parts: int, *, seed: int = DEFAULT_SEED) -> pd.Series:
    """Deal patients, with those who share an image, to parts from 1 on of like cells and patients.

    Both count: a part of one patient with many cells says nothing about patients.
    """
    groups = patient_groups(table)
    dealt: dict[str, int] = {}
    # The class with the fewest patients first: a patient of several classes is dealt once.
    for label in groups.groupby(table["label"]).nunique().sort_values(kind="stable").index:
        rows = table["label"] == label
        held = table[rows].groupby(groups[rows])
        loads = pd.DataFrame({"cells": held.size(), "patients": held["patient"].nunique()})
        load = (loads / loads.sum()).sum(axis=1).to_dict()
        filled = [0.0] * parts
        for group in load:
            if group in dealt:
                filled[dealt[group] - 1] += load[group]
        # The largest first, each to the part that holds least; the seed breaks ties.
        order = drawing_order(map(str, load), seed)
        for group in sorted(order, key=load.__getitem__, reverse=True):
            if group not in dealt:
                dealt[group] = 1 + filled.index(min(filled))
                filled[dealt[group] - 1] += load[group]
    return groups.map(dealt)


def official_folds(
    table: pd.DataFrame, train_fold: str, test_fold: str, *, seed: int = DEFAULT_SEED
) -> pd.Series:
    """Train on one official fold and test on another."""
    for fold in (train_fold, test_fold):
        _check_fold(table, fold)
    both = table[table["fold"].isin([train_fold, test_fold])]
    groups, test = patient_groups(both), both.index[both["fold"] == test_fold]
    split = pd.Series("", index=table.index)
    split[both.index[(both["fold"] == train_fold) & ~groups.isin(groups[test])]] = "train"
    split[test] = "test"
    return _hold_out(table, split, seed)


def _check_fold(table: pd.DataFrame, fold: str) -> None:
    there = sorted(set(table["fold"]) - {""})
    if not there:
        raise InputError(
            f"These cells have no folds, so that there is no {fold}: choose --split patient, "
            "patient:1/5 (cross-validation), or column (the table's own column split)."
        )
    if fold not in there:
        raise InputError(f"The manifest knows no {fold}: choose from {listing(there)}.")


def _hold_out(table: pd.DataFrame, split: pd.Series, seed: int) -> pd.Series:
    """Let some patients of the training cells validate, and check what has been drawn."""
    training, used = table[split == "train"], set(table.loc[split != "", "label"])
    _check_patients(training, least=2, labels=used)
    split[last_part(training, VAL_PARTS, seed=seed)] = "val"
    given_splits.check_leaks(table, split, "The split", "draw it anew (--split patient)")
    return split


def last_part(table: pd.DataFrame, parts: int, *, seed: int = DEFAULT_SEED) -> pd.Index:
    """Rows of one of several parts: the smallest patients' one, where a class has few."""
    part = deal(table, parts, seed=seed)
    return part.index[part == part.groupby(table["label"]).max().min()]


def _check_patients(table: pd.DataFrame, *, least: int, labels: Iterable[str] = ()) -> None:
    """Each split needs a patient of each class."""
    known = table.empty or patients_known(table)
    who = "images" if not known else "patients (after joining those who share an image)"
    there = groups_per_class(table)
    for label, patients in there.reindex(sorted({*there.index, *labels}), fill_value=0).items():
        if patients < least:
            left = "" if least == LEAST_PATIENTS else " beside those of the test"
            by_image = table["label"].value_counts().min() > 2 * PAPER_HELD_BACK
            paper = ", or choose --split paper (by image)" if by_image else ""
            raise InputError(
                f"The split by patient needs at least {least} {who} of class {label}{left}, but "
                f"there are {patients}: add {who.split(' ')[0]}{_without_small(there, least)}"
                f"{paper}."
            )


def column_split(
    table: pd.DataFrame, seed: int = DEFAULT_SEED, *, leaky: bool = False
) -> pd.Series:
    """The table's own splits; where none validates, some patients of the training cells do."""
    split, title = given_splits.given(table), "The column split"
    if not leaky:
        remedy = f"mend it, or keep it as it is by --split {AS_IS}, which every output then says"
        given_splits.check_leaks(table, split, title, remedy)
    if not (split == "val").any():
        training = table[split == "train"]
        if len(training):
            _check_patients(training, least=2)
            split[last_part(training, VAL_PARTS, seed=seed)] = "val"
    given_splits.check_splits(table, split, title)
    return split


def stored(table: pd.DataFrame, rule: str) -> pd.Series:
    """A rule's result that the manifest holds, checked as if it were drawn."""
    title = f"The manifest's column {rule}_split"
    split = given_splits.read_splits(table[f"{rule}_split"], title, stored=True)
    if rule == "patient":
        given_splits.check_leaks(table, split, title, "mend it, or remove the column")
    given_splits.check_splits(table, split, title, stored=True)
    return split


# Rules that need no parameter: the manifest holds their result in a column of its own.
RULES = {"paper": paper_split, "patient": patient_split}

HELP = (
    "paper (by image), patient, patient:2/5 (part 2 of 5 is the test), "
    "fold_0:2/5 (the same in one fold), fold_0:fold_1 (train:test), or column (the table's own)"
)


def parse(split: str) -> Callable[..., pd.Series]:
    """Find the rule that a setting names."""
    if split in RULES:
        return RULES[split]
    if split in (COLUMN, AS_IS):
        return functools.partial(column_split, leaky=split == AS_IS)
    if parts := re.fullmatch(r"(\w+):(\d+)/(\d+)", split):
        number, folds = int(parts[2]), int(parts[3])
        inside = None if parts[1] == "patient" else parts[1]
        if folds > 1 and 1 <= number <= folds:
            return functools.partial(patient_folds, number=number, folds=folds, inside=inside)
    if (parts := re.fullmatch(r"(\w+):(\w+)", split)) and parts[1] != parts[2]:
        return functools.partial(official_folds, train_fold=parts[1], test_fold=parts[2])
    raise InputError(f"split = {split!r} is not a rule: choose {HELP}.")


def draw(table: pd.DataFrame, split: str, seed: int = DEFAULT_SEED) -> pd.Series:
    """Draw a split by its name in the settings: train, val, test or empty for each row."""
    return parse(split)(table, seed=seed)


def add_splits(table: pd.DataFrame, seed: int = DEFAULT_SEED) -> pd.DataFrame:
    """Add a column ``<rule>_split`` for every rule that the cells allow, and say which they do not.

    Parameters
    ----------
    table : DataFrame
        A manifest.
    seed : int

    Returns
    -------
    DataFrame
        A copy with the columns added.

    Examples
    --------
    >>> add_splits(table)[["paper_split", "patient_split"]].eq("test").sum().to_dict()
    {'paper_split': 70, 'patient_split': 20}
    """
    drawn = {}
    for name, rule in RULES.items():
        try:
            drawn[f"{name}_split"] = rule(table, seed)
        except InputError:
            log.warning("These cells are too few for the split %s: it has no column.", name)
    return table.assign(**drawn)


def describe_splits(table: pd.DataFrame) -> pd.DataFrame:
    """Count cells, and patients where they are known, per class and split.

    Parameters
    ----------
    table : DataFrame
        A manifest with a column ``split``.

    Returns
    -------
    DataFrame
        One row per split and class: cells, patients.

    Examples
    --------
    >>> print(describe_splits(table).to_string(index=False))
    split label  cells  patients
    train   all     10         7
    train   hem     10         6
      val   all     35         8
      val   hem     35         8
     test   all     35         8
     test   hem     35         8
    """
    used = table[table["split"] != ""]
    groups = used.groupby(["split", "label"])
    counts = groups.agg(cells=("file", "size"), patients=("patient", "nunique"))
    if len(used) and not patients_known(used):
        counts = counts[["cells"]]
    return counts.reindex(SPLITS, level="split").reset_index()


def shared_patients(table: pd.DataFrame) -> list[str]:
    """Find the patients who stand in more than one split.

    Parameters
    ----------
    table : DataFrame
        A manifest with a column ``split``.

    Returns
    -------
    list of str

    Examples
    --------
    >>> table = pd.DataFrame({"patient": ["1", "1", "2"], "split": ["train", "test", "test"]})
    >>> shared_patients(table)
    ['1']
    """
    return given_splits.in_two_splits(table["patient"], table["split"])
