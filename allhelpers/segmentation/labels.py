"""Whose cells a photograph shows: class and patient, from its folders or from a table."""

import re
from pathlib import Path

import pandas as pd

from ._seam import InputError, legible, listing
from .writing import LABELS, SHEETS

UNLABELLED = "unlabelled"
UNKNOWN = "unknown-patient_"  # and the field's name: cells of one field are never in two splits
SCALE = "micrometres_per_pixel"
COLUMNS = ("field", "path", "name", "label", "patient", SCALE, "problem")
FORBIDDEN = re.compile(r"[/\\:*?\"<>|\x00-\x1f]|^\.|^\s|\s$")


def of_fields(
    paths: list[Path], source: str | Path, *, label: str = "", table: str | Path | None = None
) -> pd.DataFrame:
    """One row per field, with the columns `COLUMNS`; a problem is why it is left out."""
    root = Path(source) if Path(source).is_dir() else Path(source).parent
    names = [legible(path.relative_to(root).as_posix()) for path in paths]
    where = pd.Series([str(path) for path in paths], dtype=object)  # pandas' own text is UTF-8
    fields = pd.DataFrame({"field": names, "path": where})
    if table is not None:
        return _from_table(fields, Path(table), label)
    parts = [name.split("/")[:-1] for name in names]
    if len({len(above) for above in parts}) > 1 or max(map(len, parts)) > 2:
        raise InputError(
            f"Photographs lie at different depths or too deep in {source}: use CLASS/PATIENT/, "
            "CLASS/ or one folder for all, or give a table of field, label and patient."
        )
    if label:  # what lies above is then the patient
        fields["label"], fields["patient"] = label, ["-".join(above) for above in parts]
    else:
        fields["label"] = [above[0] if above else UNLABELLED for above in parts]
        fields["patient"] = [above[1] if len(above) == 2 else "" for above in parts]
    return _finished(fields)


def _from_table(fields: pd.DataFrame, table: Path, label: str) -> pd.DataFrame:
    """Class, patient and scale from a CSV file; fields that it does not list have a problem."""
    rows = _read_table(table)
    rows = rows.set_index(rows["field"].str.strip().str.replace("\\", "/").str.removeprefix("./"))
    if (twice := rows.index.duplicated()).any():
        raise InputError(f"{table} lists {listing(rows.index[twice])} more than once.")
    known = rows.to_dict("index")
    found = [known.get(name) or known.get(Path(name).name) or {} for name in fields["field"]]
    used = {row.get("field") for row in found}
    if unseen := [name for name in rows["field"] if name not in used]:
        raise InputError(f"{table} lists {listing(unseen)}, which is not there: correct the name.")
    for column in ("label", "patient", SCALE):
        fields[column] = [row.get(column, "") for row in found]
    fields["label"] = fields["label"].replace("", label or UNLABELLED)
    fields["problem"] = ["" if row else f"not in the table {table.name}" for row in found]
    return _finished(fields)


def _read_table(table: Path) -> pd.DataFrame:
    """The table as text, its columns under the names that are used here."""
    try:
        rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise InputError(f"The table {table} cannot be read ({error}): give a CSV file.") from error
    rows = rows.rename(columns=lambda name: name.strip().lower())
    other = {"file": "field", "subject": "patient"}
    rows = rows.rename(columns={name: ours for name, ours in other.items() if ours not in rows})
    if "field" not in rows:
        raise InputError(f"The table {table} has no column field: name the photographs in it.")
    return rows


def _finished(fields: pd.DataFrame) -> pd.DataFrame:
    """All columns, and names that can be folders."""
    fields = fields.reindex(columns=list(COLUMNS), fill_value="")
    # a field's name without folders and ending, where no other has the same
    stems = fields["field"].map(lambda name: Path(name).stem)
    whole = fields["field"].str.replace(r"[/.]", "-", regex=True)
    fields["name"] = stems.mask(stems.duplicated(keep=False), whole)
    fields["patient"] = fields["patient"].mask(fields["patient"] == "", UNKNOWN + fields["name"])
    fields[SCALE] = [
        _scale(value, name) for value, name in zip(fields[SCALE], fields["field"], strict=True)
    ]
    for name in pd.concat([fields["label"], fields["patient"]]).unique():
        if FORBIDDEN.search(name) or len(name) > 100 or name in (SHEETS, LABELS):
            raise InputError(
                f"{name!r} cannot be the name of a folder: rename the class or patient."
            )
    return fields


def _scale(value: str, name: str) -> float | None:
    """Micrometres per pixel of a field; ``None``: unknown."""
    if not value:
        return None
    try:
        scale = float(value)
    except ValueError:
        scale = 0.0
    if not 0.005 < scale < 5:
        raise InputError(f"{name} cannot have {value!r} micrometres per pixel: correct the table.")
    return scale
