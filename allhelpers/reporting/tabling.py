"""Tables of the report: names in words, each figure with its interval in one cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ..data import manifest as manifests
from ..data import splitting
from ..evaluation import published
from ..evaluation.words import method_title
from ..networks import registry
from . import sentences

# The metrics that a reader looks for first, beside the share of cells that are correct.
SHOWN = {
    "weighted_f1": "weighted F1",
    "auroc": "AUROC, all cells",
    "auroc_equal_size": "AUROC, cells of equal size",
    "auroc_by_patient": "AUROC, patients weigh the same",
}
NO_INTERVAL = "no interval"


class Cell(NamedTuple):
    """A figure, and smaller what it is worth."""

    text: str
    more: str = ""


class Table(NamedTuple):
    """A table whose first column names its rows."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]  # text or `Cell`


def _of_row(row: Mapping[Any, Any], name: str, form: str = ".3f") -> Cell:
    """A column of a table of results above its interval's."""
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if pd.isna(value):
        return Cell("not defined")
    return Cell(f"{value:{form}}", _interval(low, high, form) or NO_INTERVAL)


def _interval(low: Any, high: Any, form: str = ".3f") -> str:
    return "" if pd.isna(low) else f"{low:{form}} to {high:{form}}"


def _plain(value: Any, missing: str = "") -> str:
    return missing if pd.isna(value) else f"{value:.3f}"


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
        rows.append([method_title(name), correct, *shown, beats])
    columns = ["method", "cells correct", *SHOWN.values(), "better than cell area?"]
    return Table("What each method came to on the test cells", columns, rows)


def pairs(table: pd.DataFrame) -> Table:
    """Every two methods, and whether they can be told apart."""
    rows = []
    for row in table.to_dict("records"):
        first, second = (method_title(row[name]) for name in ("first", "second"))
        better = first if row["weighted_f1"] > 0 else second
        verdict = f"{better} is better" if row["differ"] else "cannot be told apart"
        alone = f"{row['only_first']} against {row['only_second']}"
        p, its_p = (
            f"{row[name]:.2g}" if pd.notna(row[name]) else ""
            for name in ("mcnemar_p", "weighted_f1_p")
        )
        difference = _of_row(row, "weighted_f1", "+.3f")
        rows.append([f"{first} and {second}", verdict, alone, p, difference, its_p])
    columns = ["methods", "verdict", "cells that one alone predicts correctly", "McNemar’s p"]
    columns += ["difference of weighted F1", "its p"]
    return Table("Every two methods compared", columns, rows)


def beside_paper(compared: pd.DataFrame) -> Table:
    """Accuracy and loss of each method, the paper's first where it compares."""
    shown = {
        "train_accuracy": "training accuracy",
        "val_accuracy": "validation accuracy",
        "train_loss": "training loss",
        "val_loss": "validation loss",
    }
    rows = []
    for row in published.beside_paper(compared).reset_index().to_dict("records"):
        test = Cell(f"{row['test_accuracy']:.1%}", _interval(row["low"], row["high"], ".1%"))
        figures = [_plain(row[name]) for name in shown]
        rows.append(
            [method_title(row["architecture"]), row["source"], *figures, row["correct"], test]
        )
    columns = ["method", "figures of", *shown.values(), "test cells correct", "test accuracy"]
    return Table("Accuracy and loss at the epoch that was kept", columns, rows)


def splits(cells: pd.DataFrame, known: bool) -> Table:
    """Cells and patients in each split."""
    counted = ["cells", "patients"] if known else ["cells"]
    rows = [
        [manifests.SPLIT_TITLES[row["split"]], manifests.class_title(row["label"])]
        + [f"{row[name]:,}" for name in counted]
        for row in splitting.describe_splits(cells).to_dict("records")
    ]
    return Table("Cells in each split", ["split", "class", *counted], rows)


def metrics(measured: dict, unit: str) -> Table:
    """All metrics of one method."""
    rows = []
    for title, row in sentences.table_of_metrics(measured).to_dict("index").items():
        value = _plain(row["value"], "not defined")
        over_patients = _interval(row["patients_low"], row["patients_high"])
        over_cells = _interval(row["low"], row["high"])
        correct = "" if pd.isna(row["correct"]) else f"{row['correct']} of {row['cells']}"
        rows.append([str(title), value, over_patients, over_cells, correct])
    columns = ["metric", "value", f"95 % over {unit}", "95 % over cells", "cells correct"]
    return Table("All metrics of the test", columns, rows)


def classes(measured: dict) -> Table:
    """Each class against all others."""
    rows = []
    for title, row in sentences.table_of_classes(measured).to_dict("index").items():
        found = [_of_row(row, name) for name in ("sensitivity", "specificity")]
        auroc = _plain(row["auroc"], "not defined")
        rows.append([str(title), str(row["cells"]), *found, auroc])
    columns = ["class", "cells", "sensitivity", "specificity", "AUROC"]
    return Table("Each class against all others, with Wilson’s intervals", columns, rows)


def settings(records: Mapping[str, dict]) -> tuple[dict[str, Any], Table | None]:
    """Settings that all methods have alike, and a table of the others."""
    given = {registry.title_of(name): record["settings"] for name, record in records.items()}
    names = list(dict.fromkeys(name for each in given.values() for name in each))
    values = {name: [each.get(name, "") for each in given.values()] for name in names}
    alike = {name: each[0] for name, each in values.items() if each.count(each[0]) == len(each)}
    rows = [[name, *map(str, each)] for name, each in values.items() if name not in alike]
    own = Table("Settings in which the methods differ", ["setting", *given], rows)
    return alike, own if rows else None
