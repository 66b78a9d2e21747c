"""One thing in two spellings: what is safe to make one, and what has to be asked about.

Blanks and the form of accented letters (NFC, NFD) never mean anything: they are mended. Case, full
width, ``6.0`` for ``6`` and letters of two alphabets that look alike can, so that two names that
differ by no more are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import pandas as pd

from .._core.errors import InputError, listing

# Cyrillic and Greek letters that nobody can tell from Latin ones, after `str.casefold`.
LOOK_ALIKE = str.maketrans("асеорхуіјѕԁһκοραυνιτ", "aceopxyijsdhkopauvit")


def tidy(text: str) -> str:
    """A name as it is meant: composed letters, plain single blanks, none around or invisible."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    composed = unicodedata.normalize("NFC", text)
    # Zero-width characters and marks of order are of the category Cf.
    return " ".join("".join(c for c in composed if unicodedata.category(c) != "Cf").split())


def tidy_path(text: str) -> str:
    """A file's path with slashes, without ``./``, in composed letters and without blanks around."""
    path = unicodedata.normalize("NFC", text.strip("\ufeff\u200b \t\r\n\xa0")).replace("\\", "/")
    if path.startswith("./") or "/./" in path or "//" in path[1:]:
        path = path[:1] + re.sub(r"/(\./|/)+", "/", path[1:])
        path = re.sub(r"^(\./)+", "", path)
    return path


def alike(text: str) -> str:
    """What two names have in common that differ only by case, width, alphabet or ``.0``."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = plain if plain.isascii() else plain.translate(LOOK_ALIKE)
    return re.sub(r"^(\d+)\.0+$", r"\1", plain)


def refuse_twins(names: Iterable[str], what: str, where: object) -> None:
    """Refuse names of a kind (classes, patients) that only seem to be different."""
    groups = defaultdict(list)
    for name in names:
        groups[alike(name)].append(name)
    if twins := [sorted(group) for group in groups.values() if len(group) > 1]:
        listed = listing((" and ".join(map(repr, group)) for group in twins), 3)
        raise InputError(
            f"{where} holds {what} that differ only by their spelling ({listed}): if they are one, "
            "write them alike; if they are not, give them names that differ."
        )


def tidied(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The table with tidy names in those of some columns that it has, and a note on each change."""
    notes = list(table.attrs.get("notes", []))
    for column in columns:
        neat = {name: tidy(name) for name in table[column].unique()} if column in table else {}
        if changed := [name for name, plain in neat.items() if plain != name]:
            table = table.assign(**{column: table[column].map(neat)})
            listed = listing(map(repr, changed), 3)
            notes.append(f"blanks or letter forms were mended in the column {column}: {listed}")
    table.attrs["notes"] = notes
    return table
