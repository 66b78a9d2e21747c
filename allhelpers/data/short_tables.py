"""A table of cells as people write it: any usual separator, encoding and name of a column.

What is safe is read, and said in one line (`pandas.DataFrame.attrs`, ``notes``); what can mean two
things is refused in one sentence, which speaks of the columns file, label and patient.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from .._core.errors import InputError, counted, listing
from . import spelling

# What a column is called here, and what others call it, without case, blanks and signs.
MEANINGS = {
    "file": "file files filename filepath path image images imagename imagefile imagefilename "
    "imagepath imageid img imgname imgpath picture pictures picturename photo",
    "label": "label labels class classes classname classlabel category diagnosis diagnoses "
    "celltype groundtruth",
    "patient": "patient patients patientid patientno patientnr subject subjects subjectid "
    "patientnumber patientname patientcode pid mrn case caseid casenumber donor donorid person "
    "personid individual",
    "given_split": "split givensplit side sides set subset partition phase usage traintest",
    "part": "part",
    "fold": "fold folds foldid",
    "sha256": "sha256 sha256sum sha",
    "corrected_from": "correctedfrom",
}
BY_NAME = {name: meaning for meaning, names in MEANINGS.items() for name in names.split()}
ASKED_ABOUT = [
    name for name, meaning in BY_NAME.items() if meaning not in ("part", "fold", "corrected_from")
]
TITLES = {"given_split": "split"}  # what a user calls them
ALIKE = 0.79  # share of letters in common from which a name looks like another
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
WANTED = "its first line must name the columns file, label and, where known, patient"
OFFICIAL = ("file", "part", "fold", "label", "patient", "sha256")
Lines = Iterator[tuple[int, list[str]]]
BYTE_ORDERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read(path: str | Path) -> pd.DataFrame:
    """Read a table of cells as text: columns by our names, tidy values, notes on what was done."""
    path = Path(path)
    text, said = _text(path)
    separator, header, lines = _layout(text, path)
    if separator != ",":
        said.append(f"separated by {SEPARATORS[separator]}")
    names, unused = _columns(header, path)
    said += [
        f"{header[place]} as {TITLES.get(name, name)}"
        for place, name in sorted(names.items())
        if header[place].casefold() not in (name, TITLES.get(name))
    ]
    if "sha256" in names.values():  # a whole manifest keeps what it holds beside
        names |= {place: header[place] for place in unused}
    elif unused:
        said.append(f"not used: {listing(header[place] for place in unused)}")
    rows = _rows(lines, len(header), path)
    columns = {name: [row[place] for row in rows] for place, name in sorted(names.items())}
    columns["file"] = [*map(spelling.tidy_path, columns["file"])]
    table = pd.DataFrame(columns, dtype=str)
    table.attrs["notes"] = [f"{path.name} was read so: {'; '.join(said)}"] if said else []
    return _tidy_values(table)


def read_plain(path: str | Path) -> pd.DataFrame:
    """Read any table of such files as text, by its own columns."""
    path = Path(path)
    _, header, lines = _layout(_text(path)[0], path)
    return pd.DataFrame(_rows(lines, len(header), path), columns=header, dtype=str)


def check_there(path: Path) -> None:
    """Refuse what is no file."""
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise InputError(f"The table {path} {what}: give the path of a CSV file.")


def _text(path: Path) -> tuple[str, list[str]]:
    check_there(path)
    content, said = path.read_bytes(), []
    try:
        if content.startswith(BYTE_ORDERS):
            text = content.decode("utf-16")
            said.append("UTF-16")
        else:
            text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"The table {path} is not in UTF-8 ({error.reason} at byte {error.start:,}): save it "
            "as 'CSV UTF-8', so that no letter of a name has to be guessed."
        ) from error
    if "\0" in text:
        raise InputError(f"The table {path} is not text (it holds NUL): save it as CSV (UTF-8).")
    return text, said


def _layout(text: str, path: Path) -> tuple[str, list[str], Lines]:
    """The separator under which the first line names file and label, its names, and the rest."""
    candidates = tuple(SEPARATORS)
    if told := re.match(r"[\r\n]*\"?sep=([,;\t|])\"?[ ,;]*(\r\n|\n|\r)", text):  # Excel's
        candidates, text = (told[1],), text[told.end() :]

    def open_with(separator: str) -> tuple[list[str], Lines]:
        lines = _lines(text, separator, path)
        first = next(lines, None)
        if first is None:
            raise InputError(
                f"The table {path} is empty: {WANTED}, and there is a line for each image."
            )
        return [*map(spelling.tidy, first[1])], lines

    def fit(separator: str) -> tuple[int, int]:
        names, _ = open_with(separator)
        return len({"file", "label"} & {BY_NAME.get(_key(name)) for name in names}), len(names)

    best = max(candidates, key=fit)  # of equals the first
    return best, *open_with(best)


def _lines(text: str, separator: str, path: Path) -> Lines:
    """Every line that holds anything, with its number."""
    lines = csv.reader(io.StringIO(text, ""), delimiter=separator, strict=True)
    try:
        for line in lines:
            if any(map(str.strip, line)):
                yield lines.line_num, line
    except csv.Error as error:
        raise InputError(
            f"The table {path} is not a readable CSV file ({error}): look for a quotation mark "
            "that is never closed, and save it as UTF-8 CSV."
        ) from error


def _key(name: str) -> str:
    """The name of a column without case, blanks and signs."""
    return re.sub(r"[\W_]+", "", spelling.tidy(name).casefold())


def _columns(header: list[str], path: Path) -> tuple[dict[int, str], list[int]]:
    """Our name for each column that has a meaning, and the places of the others."""
    # The columns that this project adds to its own tables go by exactly these names.
    own = {name: name for name in ("paper_split", "patient_split")}
    meant = [own.get(name) or BY_NAME.get(_key(name), "") for name in header]
    for meaning in filter(None, dict.fromkeys(meant)):
        if meant.count(meaning) > 1:
            several = [name for name, its in zip(header, meant, strict=True) if its == meaning]
            raise InputError(
                f"{path} has {len(several)} columns that can be the {TITLES.get(meaning, meaning)} "
                f"({listing(several)}): keep one, or rename the others."
            )
    unused = [place for place, its in enumerate(meant) if not its and header[place]]
    _check_names(header, {*filter(None, meant)}, unused, path)
    return {place: its for place, its in enumerate(meant) if its}, unused


def _check_names(header: list[str], meant: set[str], unused: list[int], path: Path) -> None:
    """Ask about names that look like one of ours, and say which columns are missing."""
    for name in (header[place] for place in unused):
        near = difflib.get_close_matches(_key(name), ASKED_ABOUT, 1, ALIKE)
        if near and BY_NAME[near[0]] not in meant:
            meaning = BY_NAME[near[0]]
            raise InputError(
                f"{path} has a column {name!r}, which looks like {TITLES.get(meaning, meaning)}: "
                "rename it so, or give it a name that does not."
            )
    if missing := [name for name in ("file", "label") if name not in meant]:
        raise InputError(
            f"{path} has no column {listing(missing)} among {listing(map(repr, header), 8)}: "
            f"{WANTED} (separated by commas, semicolons or tabs)."
        )
    if "sha256" in meant and (missing := [name for name in OFFICIAL if name not in meant]):
        raise InputError(
            f"{path} has a column sha256 but no {listing(missing)}: a whole manifest has the "
            f"columns {', '.join(OFFICIAL)}; for cells of your own leave sha256 out."
        )


def _rows(lines: Lines, width: int, path: Path) -> list[list[str]]:
    """The other lines, each as long as the first one."""
    rows = []
    for number, row in lines:
        if any(map(str.strip, row[width:])):
            raise InputError(
                f"Line {number:,} of {path} has {counted(len(row), 'value')} but there are "
                f"{counted(width, 'column')}: put quotation marks around a value that holds the "
                "separator."
            )
        rows.append((row + [""] * width)[:width])
    return rows


def _tidy_values(table: pd.DataFrame) -> pd.DataFrame:
    """Names as they are meant; a column of patients or splits that is empty is none."""
    if "sha256" in table:
        table = table.assign(sha256=table["sha256"].str.strip().str.lower())
    else:
        may_lack = table.columns.intersection(["patient", "given_split", "fold", "part"])
        table = table.drop(columns=[c for c in may_lack if not table[c].str.strip().any()])
    return spelling.tidied(table, ("label", "patient", "given_split", "fold", "part"))
