"""Splits that a table gives itself: a column of its own, or one that holds a rule's result.

Neither is taken unread: its words have to be splits, each split needs each class, and no patient
may be in two of them.
"""

from __future__ import annotations

import re

import pandas as pd

from .._core.errors import InputError, counted, listing
from .manifest import SPLITS

COLUMN, AS_IS = "column", "column:as_is"  # settings.split: the table's own, and with its leaks
WORDS = {
    "train": "train training trn tr learn learning fit",
    "val": "val valid validation validate validating dev development tune tuning",
    "test": "test testing tst holdout heldout",
}
BY_WORD = {word: name for name, words in WORDS.items() for word in words.split()}


def split_of(word: str) -> str:
    """The split that a word means (Training, test_set, val); empty where it means none."""
    plain = re.sub(r"[\W_\d]+", "", word.casefold())
    return BY_WORD.get(plain) or BY_WORD.get(re.sub(r"(set|data|dataset)$", "", plain), "")


def read_splits(values: pd.Series, title: str, *, stored: bool = False) -> pd.Series:
    """train, val and test for a column's words; a stored rule need not use every row."""
    known = {word: split_of(word) for word in values.unique()}
    strange = [word for word, name in known.items() if not name and (word or not stored)]
    if strange:
        raise InputError(
            f"{title} holds {listing(map(repr, strange))} "
            f"({counted(int(values.isin(strange).sum()), 'row')}), and "
            f"each of its values has to be train, val or test: mend it, or {_else(stored)}."
        )
    return values.map(known)


def given(table: pd.DataFrame) -> pd.Series:
    """The splits that the table, or its folders, say themselves."""
    if "given_split" not in table:
        raise InputError(
            "split = column needs a column split (train, val, test) in the table of cells, or "
            "folders of these names, and there is none: choose --split patient."
        )
    return read_splits(table["given_split"], "The column split")


def _else(stored: bool) -> str:
    """What can be done without the column; a stored rule is asked for already."""
    return "remove the column, so that the split is drawn" if stored else "choose --split patient"


def check_splits(
    table: pd.DataFrame, split: pd.Series, title: str, *, stored: bool = False
) -> None:
    """Each split needs cells of each class: else nothing is learnt, chosen or measured there."""
    there = set(zip(split, table["label"], strict=True))
    used = sorted(set(table.loc[split != "", "label"]))
    for name in SPLITS:
        lacking = [label for label in used if (name, label) not in there]
        if lacking or not used:
            what = "no cells" if lacking == used else f"no cells of class {listing(lacking)}"
            raise InputError(
                f"{title} has {what} for {name}: mend it, leave the class out (--classes), or "
                f"{_else(stored)}."
            )


def check_leaks(table: pd.DataFrame, split: pd.Series, title: str, remedy: str) -> None:
    """No patient and no image may be in two splits."""
    for column, what in (("patient", "patient"), ("sha256", "identical image")):
        if leaking := in_two_splits(table[column], split):
            names = (
                leaking if column == "patient" else table.loc[table[column].isin(leaking), "file"]
            )
            raise InputError(
                f"{title} puts {counted(len(leaking), what)} in two splits ({listing(names)}): "
                f"{remedy}."
            )


def in_two_splits(names: pd.Series, split: pd.Series) -> list[str]:
    """Patients, or images, that stand in more than one split, sorted."""
    number = split[split != ""].groupby(names).nunique()
    return number.index[number > 1].tolist()
