"""The table of cells: one row per image, with its label, patient, official fold and SHA-256.

The manifest is the only way in: labels, patients and splits are read from it, never from folder
order. Two traps of C-NMC 2019 are dealt with here. One healthy patient is written in lower case
(``h3``, 36 images), and the table of the preliminary test codes ALL as 1 and HEM as 0, the reverse
of the folders' alphabetical order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from .._core.errors import InputError, listing
from .._core.files import sha256
from .._core.packaged import packaged

OFFICIAL_CLASSES = ("all", "hem")  # of C-NMC 2019
MOST_LETTERS = 50  # of the name of a class
TITLES = {"all": "ALL (leukaemic)", "hem": "HEM (normal)"}
SHORT_TITLES = {"all": "ALL", "hem": "HEM"}

COLUMNS = ("file", "part", "fold", "label", "subject", "sha256")
SPLITS = ("train", "valid", "test")
PROJECT_MANIFEST = packaged("data_manifest.csv")

# Official names: UID_<subject>_<image>_<cell>_<label>.bmp. IGNORECASE keeps subject h3.
OFFICIAL_NAME = re.compile(r"UID_(?P<subject>H?\d+)_\d+_\d+_(?P<label>all|hem)\.bmp", re.IGNORECASE)
PRELIMINARY_TABLE = "C-NMC_test_prelim_phase_data_labels.csv"
PRELIMINARY_LABELS = {1: "all", 0: "hem"}


def read(path: str | Path) -> pd.DataFrame:
    """Read and check a manifest: all columns as text, empty where there is no value."""
    return check(read_table(path), path)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV file as text, without a check of its columns."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"The manifest {path} does not exist: give the path of a CSV file.")
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            f"The manifest {path} is not a readable CSV file ({error}): save it as UTF-8 CSV."
        ) from error


def classes(table: pd.DataFrame, positive: str = "") -> tuple[str, ...]:
    """Classes of a manifest, the positive one first: the order of probabilities everywhere."""
    names = sorted(set(table["label"]))
    if len(names) < 2:
        raise InputError(
            f"The manifest knows one class only ({listing(names)}): add cells of another class."
        )
    if positive and positive not in names:
        raise InputError(
            f"positive = {positive!r} is not a class of the manifest: "
            f"choose from {', '.join(names)}."
        )
    return tuple(sorted(names, key=lambda name: name != positive))


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
        raise InputError(f"{where} lists no cells: add one row per picture.")
    for file, label in zip(table["file"], table["label"], strict=True):
        if not _possible(label, file):
            raise InputError(
                f"{where} holds the impossible label {label!r} (file {file}): a label is the name "
                "of a class, and official files carry theirs in their names."
            )
    names = table["file"].map(_unique_name)
    twice = names[names.duplicated()]
    if len(twice):
        raise InputError(
            f"{where} lists {listing(twice.unique())} more than once: keep one row per file name."
        )
    nobody = table[table["subject"] == ""]
    if len(nobody):
        raise InputError(
            f"{where} names no subject for {listing(nobody['file'])}: fill the column subject."
        )
    return table


def _possible(label: str, file: str) -> bool:
    """Whether a label can be a class: a slip, or one against an official name, makes no new one."""
    official = OFFICIAL_NAME.fullmatch(base_name(file))
    plain = label.isprintable() and label == label.strip() and 0 < len(label) <= MOST_LETTERS
    return plain and (official is None or official["label"].lower() == label)


def _unique_name(file: str) -> str:
    """What may stand once in a manifest: an official name in any folder, another file's path."""
    name = base_name(file)
    return name if OFFICIAL_NAME.fullmatch(name) else file.replace("\\", "/")


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
    paths = sorted(folder.rglob("*.bmp"))
    official = [path for path in paths if OFFICIAL_NAME.fullmatch(path.name)]
    rows = [_training_row(path, folder) for path in official]
    for table in sorted(folder.rglob(PRELIMINARY_TABLE)):
        rows += _preliminary_rows(table, {path.name: path for path in paths}, folder)
    if not rows:
        raise InputError(
            f"There are no official files (UID_*.bmp) under {folder}: "
            "give the folder that holds them."
        )
    files = [folder / row["file"] for row in rows]
    return _tidy(pd.DataFrame(rows).assign(sha256=(digests or _digests)(files)), folder)


def _digests(files: list[Path]) -> list[str]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(sha256, files))


def left_out(folder: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    """Images under a folder that its manifest does not list."""
    folder, listed = Path(folder), set(table["file"])
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() == ".bmp"]
    files = [path.relative_to(folder).as_posix() for path in paths]
    reason = (
        f"neither an official name (UID_*_all.bmp, UID_*_hem.bmp) nor a row of {PRELIMINARY_TABLE}"
    )
    return pd.DataFrame([{"file": file, "reason": reason} for file in files if file not in listed])


def _training_row(path: Path, folder: Path) -> dict[str, str]:
    name = OFFICIAL_NAME.fullmatch(path.name)
    assert name  # the caller takes official names only
    label, parent = name["label"].lower(), path.parent.name.lower()
    if parent in OFFICIAL_CLASSES and parent != label:
        raise InputError(
            f"{path} lies in the folder of {parent} but is named {label}: move or rename it."
        )
    return {
        "file": path.relative_to(folder).as_posix(),
        "part": "training",
        "fold": next((p.name for p in path.parents if re.fullmatch(r"fold_\d+", p.name)), ""),
        "label": label,
        "subject": name["subject"],
    }


def _preliminary_rows(
    table: Path, images: dict[str, Path], folder: Path
) -> Iterator[dict[str, str]]:
    """Rows of the preliminary test: files are called 1.bmp; patient and label are in the table."""
    columns = ["Patient_ID", "new_names", "labels"]
    for official, file, code in pd.read_csv(table)[columns].to_numpy(object).tolist():
        original = OFFICIAL_NAME.fullmatch(official)
        label = PRELIMINARY_LABELS.get(code)
        if label is None or original is None or original["label"].lower() != label:
            raise InputError(
                f"{table} codes {official} as {code}: expected 1 for all and 0 for hem."
            )
        if file not in images:
            raise InputError(
                f"{table} names {file}, which is not under {folder}: complete the download."
            )
        yield {
            "file": images[file].relative_to(folder).as_posix(),
            "part": "preliminary_test",
            "fold": "",
            "label": label,
            "subject": original["subject"],
        }


def from_listing(path: str | Path) -> pd.DataFrame:
    """Make a manifest of a CSV list that already holds all of its columns."""
    table = read_table(path)
    return _tidy(table[table["label"] != ""] if "label" in table else table, path)


def _tidy(table: pd.DataFrame, where: str | Path) -> pd.DataFrame:
    table = check(table, where)[list(COLUMNS)]
    # The training part first, then alphabetical: stable whatever the order of the source.
    return table.sort_values(["part", "file"], ascending=[False, True], ignore_index=True)
