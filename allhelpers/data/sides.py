"""Sides that a table gives itself: a column of its own, or one that holds a rule's result.

Neither is taken unread: its words have to be sides, each side needs each class, and no patient may
stand on two of them.
"""

from __future__ import annotations

import re

import pandas as pd

from .._core.errors import InputError, counted, listing
from .manifest import SPLITS

COLUMN, AS_IS = "column", "column:as_is"  # settings.split: the table's own, and with its leaks
WORDS = {
    "train": "train training trn tr learn learning fit",
    "valid": "valid val validation validate validating dev development tune tuning",
    "test": "test testing tst holdout heldout",
}
BY_WORD = {word: side for side, words in WORDS.items() for word in words.split()}


def side_of(word: str) -> str:
    """The side that a word means (Training, test_set, val); empty where it means none."""
    plain = re.sub(r"[\W_\d]+", "", word.casefold())
    return BY_WORD.get(plain) or BY_WORD.get(re.sub(r"(set|data|dataset)$", "", plain), "")


def read_sides(values: pd.Series, title: str, *, stored: bool = False) -> pd.Series:
    """train, valid and test for a column's words; a stored rule need not use every row."""
    known = {word: side_of(word) for word in values.unique()}
    strange = [word for word, side in known.items() if not side and (word or not stored)]
    if strange:
        raise InputError(
            f"{title} holds {listing(map(repr, strange))} "
            f"({counted(int(values.isin(strange).sum()), 'row')}), and "
            f"each of its values has to be train, valid or test: mend it, or {_else(stored)}."
        )
    return values.map(known)


def given(table: pd.DataFrame) -> pd.Series:
    """The sides that the table, or its folders, say themselves."""
    if "side" not in table:
        raise InputError(
            "split = column needs a column split (train, valid, test) in the table of cells, or "
            "folders of these names, and there is none: choose --split patient."
        )
    return read_sides(table["side"], "The column split")


def _else(stored: bool) -> str:
    """What can be done without the column; a stored rule is asked for already."""
    return "remove the column, so that the split is drawn" if stored else "choose --split patient"


def check_sides(table: pd.DataFrame, split: pd.Series, title: str, *, stored: bool = False) -> None:
    """Each side needs cells of each class: else nothing is learnt, chosen or measured there."""
    there = set(zip(split, table["label"], strict=True))
    used = sorted(set(table.loc[split != "", "label"]))
    for side in SPLITS:
        lacking = [label for label in used if (side, label) not in there]
        if lacking or not used:
            what = "no cells" if lacking == used else f"no cells of class {listing(lacking)}"
            raise InputError(
                f"{title} has {what} for {side}: mend it, leave the class out (--classes), or "
                f"{_else(stored)}."
            )


def check_leaks(table: pd.DataFrame, split: pd.Series, title: str, remedy: str) -> None:
    """No patient and no picture may stand on two sides."""
    used = split != ""
    for column, what in (("subject", "patient"), ("sha256", "identical picture")):
        sides = split[used].groupby(table.loc[used, column]).nunique()
        leaking = sides.index[sides > 1]
        if len(leaking):
            by_file = table.loc[table["sha256"].isin(leaking), "file"].tolist()
            names = by_file if column == "sha256" else leaking.tolist()
            raise InputError(
                f"{title} puts {counted(len(leaking), what)} on two sides ({listing(names)}): "
                f"{remedy}."
            )


def leaking_patients(table: pd.DataFrame, split: pd.Series) -> int:
    """How many patients stand on two sides."""
    used = split != ""
    return int((split[used].groupby(table.loc[used, "subject"]).nunique() > 1).sum())
