"""Cells whose label may be wrong: what says so, in one order, and a corrected table of cells.

A confident mistake is a wrong network or a wrong label, and only a person can tell which. So cells
are ranked, shown and marked by hand; what is written is a new table, never the user's own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from .._core.errors import InputError, counted, listing
from .._core.files import read_json, write_csv
from ..data import loading, manifest, short_tables, tables
from ..networks import registry
from ..runs import Run
from ..settings import DataSettings, validate
from . import words
from .operating import Calibration

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..runs import Result

# Other cells of a patient, from which on what is usual for them counts for more than half.
ENOUGH = 10
CERTAIN = 1e-3  # a method is never surer than this that a label is right, or wrong
TAKEN = ("x", "yes", "1")  # marks that take what is suggested
LEFT_OUT = "out"


def find_suspects(run_folder: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """Rank the cells of a run whose label may be wrong; see `write_suspects`."""
    run = Run(run_folder)
    asked = [name for name in names if name != registry.ENSEMBLE] or [registry.ENSEMBLE]
    cells = run.manifest().set_index("file", drop=False).rename_axis(None)
    unmet = {name: _unmet(run.result(name)) for name in asked}
    found = _doubted(pd.concat(unmet, names=["method"]).reset_index("method"))
    found = found[found.index.isin(cells.index)].rename_axis(None)
    pairs = _pairs_with_two_labels(run, cells)
    found = found.reindex(found.index.union(sorted({file for pair in pairs for file in pair})))
    found = found.join(cells[["file", "patient", "split", "label"]])
    doubt = (1 - found["label_p"]).fillna(0.5)
    found["odds"] = logit(doubt.clip(CERTAIN, 1 - CERTAIN))
    found["score"] = _beside_patient(found)
    _settle_pairs(found, pairs)
    found = found[(found["suggested_p"] > found["label_p"]) | (found["twin"] != "")]
    found = found.sort_values(["score", "file"], ascending=[False, True], ignore_index=True)
    columns = {
        "rank": found.index + 1,
        "file": found["file"],
        "patient": found["patient"],
        "split": found["split"],
        "label": found["label"],
        "suggested": found["suggested"],
        "probability": found["suggested_p"].round(4),
        "score": found["score"].round(4),
        "against": found["against"].fillna(0).astype(int),
        "methods": found["methods"].fillna(0).astype(int),
        "why": [_why(row) for row in found.to_dict("records")],
        "mark": "",
    }
    return pd.DataFrame(columns)


def _unmet(result: Result) -> pd.DataFrame:
    """Predictions of cells that a method was not trained on."""
    if not result.predictions_path.is_file():
        raise InputError(words.no_result(result))
    record = result.record()
    refit = bool(record.get("settings", {}).get("refit"))
    if result.judged_path.is_file():
        return result.judged()
    predictions = result.predictions()
    predictions = predictions[predictions["split"].isin(["test"] if refit else ["val", "test"])]
    if result.held_out_path.is_file():
        found = Calibration(record.get("calibration", {}).get("temperature", 1.0))
        held_out = found.apply(result.held_out())  # as predictions are
        predictions = pd.concat(
            [held_out, predictions[~predictions["file"].isin(held_out["file"])]]
        )
    return predictions.reset_index(drop=True)


def _doubted(predictions: pd.DataFrame) -> pd.DataFrame:
    """Mean over the methods that were asked about a cell, one row per file."""
    classes = np.array(tables.classes_of(predictions), dtype=object)
    predictions = predictions.assign(
        otherwise=tables.predicted_labels(predictions) != predictions["label"]
    )
    each = predictions.groupby("file")
    means = each[[f"p_{label}" for label in classes]].mean().to_numpy(float)
    own = classes == each["label"].first().to_numpy()[:, np.newaxis]
    best = np.where(own, -1.0, means).argmax(axis=1)
    said = predictions["method"].where(predictions["otherwise"]).groupby(predictions["file"])
    return pd.DataFrame(
        {
            "label_p": means[own],
            "suggested": classes[best],
            "suggested_p": means[np.arange(len(means)), best],
            "against": each["otherwise"].sum(),
            "methods": each["otherwise"].size(),
            "who": said.agg(lambda names: [*names.dropna()]),
        },
        index=each.size().index,
    )


def _beside_patient(found: pd.DataFrame) -> pd.Series:
    """Doubt beyond that of the patient's other cells: a network that fails on a patient doubts them
    all, and a slip stands out among cells that it has right.
    """
    each = found.groupby("patient")["odds"]
    others = each.transform("size") - 1
    return expit(found["odds"] - each.transform("median") * others / (others + ENOUGH))


def _pairs_with_two_labels(run: Run, cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Images that look the same under two labels, as the audit has found them."""
    audit = read_json(run.audit_path) if run.audit_path.is_file() else {}
    pairs = [(str(first), str(second)) for first, second in audit.get("two_labels", [])]
    return [pair for pair in pairs if set(pair) <= set(cells.index)]


def _settle_pairs(found: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> None:
    """One of two labels of like images is wrong: which, by how much each is doubted."""
    found["twin"] = ""
    odds = found["odds"].to_dict()
    label, unknown = found["label"].to_dict(), found["suggested"].isna().to_dict()
    for file, twin in [two for pair in pairs for two in (pair, pair[::-1])]:
        found.loc[[file], "twin"] = twin
        beside = float(expit(odds[file] - odds[twin]))
        found.loc[[file], "score"] = found.loc[[file], "score"].clip(lower=beside)
        if beside >= 0.5 or unknown[file]:
            found.loc[[file], "suggested"] = label[twin]


def _why(row: Mapping) -> str:
    """What speaks against a label, in words."""
    reasons = []
    if row["twin"]:
        reasons.append(f"looks like {row['twin']}, which has another label")
    if isinstance(row["who"], list) and row["who"]:
        titles = listing(map(registry.title_of, row["who"]), 8)
        more = f" ({len(row['who'])} of {int(row['methods'])})" if row["methods"] > 1 else ""
        reasons.append(f"predicted {row['suggested']} by {titles}{more}")
    elif not row["twin"]:
        reasons.append(f"{row['suggested']} is more probable on average")
    return "; ".join(reasons)


def write_suspects(run_folder: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """Rank the cells of a run whose label may be wrong, by methods that have not met them.

    Written as suspects.csv into the run's folder; marks that somebody has set there are kept.

    Parameters
    ----------
    run_folder : str or Path
    names : iterable of str
        Methods of the run. Of each counts what it says of cells that it has not met: all of
        judged.csv (setting ``suspects``); else test cells, validation cells if it was not trained
        on them, and held_out.csv (setting ``calibrate``).

    Returns
    -------
    DataFrame
        Columns rank, file, patient, split, label; suggested: the class that is most probable
        instead, and its mean probability; score: how probable the methods hold it that the label is
        wrong, beside what they say of the patient's other cells, and of two like images with two
        labels beside the other's (0 to 1); against and methods:
        how many methods call it otherwise, of how many that were asked; why: in words; mark: empty,
        for the user. Cells that are doubted, and pairs of like images with two labels.

    Raises
    ------
    InputError
        If a method has no finished result, or a cell that somebody has marked is no longer suspect.

    Examples
    --------
    >>> found = write_suspects(run, ["mobilenet"])
    >>> found[["file", "label", "suggested", "probability"]].head(1).values.tolist()
    [['5.bmp', 'all', 'hem', 0.9]]
    """
    path, suspects = Run(run_folder).suspects_path, find_suspects(run_folder, names)
    if path.is_file():
        marks = read_marked(path).set_index(["file", "label"])["mark"]
        here = pd.MultiIndex.from_frame(suspects[["file", "label"]])
        lost = marks[(marks != "") & ~marks.index.isin(here)]
        if len(lost):
            listed = listing([file for file, _ in lost.index])
            raise InputError(
                f"{path} has marks of cells that are no longer suspects ({listed}): move the file "
                "elsewhere, and use it from there."
            )
        suspects = suspects.assign(mark=marks.reindex(here).fillna("").to_numpy())
    write_csv(path, suspects)
    return suspects


def read_marked(path: str | Path) -> pd.DataFrame:
    """A table of suspects that somebody has marked, all as text."""
    table = short_tables.read_plain(path)
    if missing := [name for name in ("file", "label", "suggested", "mark") if name not in table]:
        raise InputError(f"{path} lacks the column {listing(missing)}: mark rows of suspects.csv.")
    return table.assign(mark=table["mark"].str.strip())


def write_corrected(run_folder: str | Path, marked: pd.DataFrame, path: Path) -> str:
    """Write a run's manifest with the labels that somebody has corrected; says what changed."""
    run = Run(run_folder)
    cells, classes = run.manifest(), run.data()["classes"]
    marked = marked[marked["mark"] != ""]
    was = cells.set_index("file")["label"]
    if len(other := marked["file"][marked["file"].map(was) != marked["label"]]):
        raise InputError(f"{listing(other)} has another label in {run.manifest_path}: mark anew.")
    if len(twice := marked["file"][marked["file"].duplicated()]):
        raise InputError(f"{listing(twice)} is marked twice: keep one row.")
    wanted = marked["mark"].where(~marked["mark"].str.lower().isin(TAKEN), marked["suggested"])
    if odd := sorted(set(wanted) - {*classes, LEFT_OUT}):
        raise InputError(
            f"The mark {odd[0]!r} means nothing: write x, {LEFT_OUT}, or one of "
            f"{', '.join(classes)}."
        )
    label = cells["file"].map(dict(zip(marked["file"], wanted, strict=True)))
    label = label.fillna(cells["label"])
    earlier = cells.get(manifest.CORRECTED_FROM, pd.Series("", index=cells.index))
    first = earlier.where(earlier != "", cells["label"])  # of a table that was corrected before
    corrected = cells.assign(
        label=label, **{manifest.CORRECTED_FROM: first.where(first != label, "")}
    )[label != LEFT_OUT]
    write_csv(path, corrected)
    changed = int((corrected["label"] != cells["label"][corrected.index]).sum())
    return (
        f"{counted(changed, 'label')} changed, {counted(len(cells) - len(corrected), 'cell')} left "
        f"out, {len(corrected):,} cells written"
    )


def cells_of_run(run_folder: str | Path, name: str) -> Cells:
    """Open the cells of a run again, as one of its methods has seen them.

    Parameters
    ----------
    run_folder : str or Path
    name : str
        Of a finished method.

    Returns
    -------
    Cells

    Raises
    ------
    InputError
        If the images are no longer there.

    Examples
    --------
    In the notebook of the comparison::

        cells = evaluation.cells_of_run(settings.run_folder, settings.names[0])
    """
    recorded = Run(run_folder).result(name).record()["settings"]
    known = {key: recorded[key] for key in DataSettings.model_fields if key in recorded}
    settings = validate(DataSettings, known)
    with tempfile.TemporaryDirectory(prefix="allhelpers-") as scratch:
        return loading.prepare(
            settings.model_copy(update={"run_folder": scratch, "overwrite": False})
        )
