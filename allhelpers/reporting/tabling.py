"""Tables of the report: names in words, each figure with its interval in one cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from ..data import manifest as manifests
from ..data import splitting
from ..evaluation import published, words
from ..evaluation.definitions import METRICS
from ..networks import registry

if TYPE_CHECKING:
    from ..runs import Result

# The metrics that a reader looks for first, beside the share of cells that are correct.
SHOWN = {
    "weighted_f1": "weighted F1",
    "auroc": "AUROC, all cells",
    "auroc_equal_size": "AUROC, cells of equal size",
    "auroc_by_patient": "AUROC, patients weigh the same",
}
NO_INTERVAL = "no interval"


class Cell(NamedTuple):
    """What stands in one place of a table: a figure, and smaller what it is worth."""

    text: str
    more: str = ""


class Table(NamedTuple):
    """A table whose first column names its rows."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def _table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    cells = [[Cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    return Table(caption, columns, cells)


def _cell(value: Any, low: Any = None, high: Any = None, form: str = ".3f") -> Cell:
    """A figure above its interval."""
    if value is None or pd.isna(value):
        return Cell("not defined")
    known = low is not None and pd.notna(low)
    return Cell(f"{value:{form}}", f"{low:{form}} to {high:{form}}" if known else NO_INTERVAL)


def _of_row(row: Mapping[Any, Any], name: str, form: str = ".3f") -> Cell:
    """A column of a table of results with its interval's."""
    return _cell(row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high"), form)


def _interval(low: Any, high: Any, form: str = ".3f") -> str:
    return "" if low is None or pd.isna(low) else f"{low:{form}} to {high:{form}}"


def methods(table: pd.DataFrame, compared: pd.DataFrame) -> Table:
    """What each method came to, networks first, then the trivial ones as a floor."""
    counted = compared.set_index("architecture")
    verdict = {True: "yes", False: "not shown"}
    rows = []
    for row in table.to_dict("records"):
        name = row["method"]
        correct = Cell(f"{row['accuracy']:.1%}")
        if name in counted.index:
            one = counted.loc[name]
            share = f"{one['test_accuracy']:.1%} ({_interval(one['low'], one['high'], '.1%')})"
            correct = Cell(f"{one['test_correct']} of {one['test_cells']}", share)
        shown = [_of_row(row, key) for key in SHOWN]
        floor = {"area": "the ruler", "majority": ""}.get(name, NO_INTERVAL)
        beats = verdict.get(row["beats_area"], floor)
        rows.append([words.method_title(name), correct, *shown, beats])
    columns = ["method", "cells correct", *SHOWN.values(), "better than cell area?"]
    return _table("What each method came to on the test cells", columns, rows)


def pairs(table: pd.DataFrame) -> Table:
    """Every two methods, and whether they can be told apart."""
    rows = []
    for row in table.to_dict("records"):
        first, second = (words.method_title(row[name]) for name in ("first", "second"))
        better = first if row["weighted_f1"] > 0 else second
        p = [f"{row[name]:.2g}" if pd.notna(row[name]) else "" for name in P_VALUES]
        difference = _of_row(row, "weighted_f1", "+.3f")
        alone = f"{row['only_first']} against {row['only_second']}"
        verdict = f"{better} is better" if row["differ"] else "cannot be told apart"
        rows.append([f"{first} and {second}", verdict, alone, p[0], difference, p[1]])
    columns = ["methods", "verdict", "cells that one alone predicts correctly", "McNemar’s p"]
    columns += ["difference of weighted F1", "its p"]
    return _table("Every two methods compared", columns, rows)


P_VALUES = ("mcnemar_p", "weighted_f1_p")


def beside_paper(compared: pd.DataFrame) -> Table:
    """Accuracy and loss of each method, the paper's first where it compares."""
    rows = []
    for row in published.beside_paper(compared).reset_index().to_dict("records"):
        figures = [_plain(row[f"{split}_accuracy"]) for split in ("train", "val")]
        losses = [_plain(row[f"{split}_loss"]) for split in ("train", "val")]
        test = Cell(f"{row['test_accuracy']:.1%}", _interval(row["low"], row["high"], ".1%"))
        name = words.method_title(row["architecture"])
        rows.append([name, row["source"], *figures, *losses, row["correct"], test])
    columns = ["method", "figures of", "training accuracy", "validation accuracy"]
    columns += ["training loss", "validation loss", "test cells correct", "test accuracy"]
    return _table("Accuracy and loss at the epoch that was kept", columns, rows)


def _plain(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.3f}"


def splits(cells: pd.DataFrame, known: bool) -> Table:
    """Cells and patients in each split."""
    counted = ["cells", "patients"] if known else ["cells"]
    rows = [
        [manifests.SPLIT_TITLES[row["split"]], manifests.class_title(row["label"])]
        + [f"{row[name]:,}" for name in counted]
        for row in splitting.describe_splits(cells).to_dict("records")
    ]
    return _table("Cells in each split", ["split", "class", *counted], rows)


def metrics(measured: Mapping[str, Any], unit: str) -> Table:
    """All metrics of one method."""
    rows = []
    for name, metric in METRICS.items():
        entry = measured.get(name)
        if entry is None:
            continue
        correct = f"{entry['correct']} of {entry['cells']}" if "correct" in entry else ""
        over_patients = _interval(entry.get("patients_low"), entry.get("patients_high"))
        over_cells = _interval(entry.get("low"), entry.get("high"))
        rows.append([metric.title, _cell(entry["value"]).text, over_patients, over_cells, correct])
    columns = ["metric", "value", f"95 % over {unit}", "95 % over cells", "cells correct"]
    return _table("All metrics of the test", columns, rows)


def classes(measured: Mapping[str, Any]) -> Table:
    """Each class against all others."""
    rows = []
    for label, entry in measured["classes"].items():
        found = [
            _cell(*(entry[name][key] for key in ("value", "low", "high")))
            for name in ("sensitivity", "specificity")
        ]
        title, auroc = manifests.class_title(label), _cell(entry["auroc"]["value"]).text
        rows.append([title, str(entry["sensitivity"]["cells"]), *found, auroc])
    columns = ["class", "cells", "sensitivity", "specificity", "AUROC"]
    return _table("Each class against all others, with Wilson’s intervals", columns, rows)


def settings(results: Sequence[Result]) -> tuple[dict[str, Any], Table | None]:
    """Settings that all methods have alike, and a table of the others."""
    given = {registry.title_of(result.name): result.record()["settings"] for result in results}
    names = list(dict.fromkeys(name for each in given.values() for name in each))
    values = {name: [each.get(name, "") for each in given.values()] for name in names}
    alike = {name: each[0] for name, each in values.items() if each.count(each[0]) == len(each)}
    rows = [[name, *map(str, each)] for name, each in values.items() if name not in alike]
    own = _table("Settings in which the methods differ", ["setting", *given], rows)
    return alike, own if rows else None
