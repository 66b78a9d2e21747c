"""Results in sentences and tables, for notebooks, the report and the model card."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from .._core.errors import counted
from ..data import manifest as manifests
from ..data.own_cells import PATIENTS_UNKNOWN
from ..evaluation.definitions import METRICS, metric_title
from ..evaluation.words import method_title, row_in_words

# With fewer clusters percentile intervals are too narrow (Cameron, Gelbach & Miller 2008,
# "Bootstrap-based improvements for inference with clustered errors").
FEW_PATIENTS = 10
LEAST_LOST = 0.03  # of AUROC: less is not worth a warning


def table_of_metrics(metrics: dict, split: str = "test") -> pd.DataFrame:
    """Metrics of one split as a table for a notebook.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    split : str

    Returns
    -------
    DataFrame
        One row per metric: value; low and high (Wilson); patients_low and patients_high
        (bootstrap); correct, cells.

    Examples
    --------
    >>> from allhelpers.evaluation import evaluate
    >>> table = table_of_metrics(evaluate(predictions, []))
    >>> table.loc["accuracy", ["value", "low", "high"]].round(2).tolist()
    [0.7, 0.4, 0.89]
    """
    columns = ["value", "low", "high", "patients_low", "patients_high", "correct", "cells"]
    known = [name for name in METRICS if name in metrics[split]]  # an older run has fewer
    table = pd.DataFrame({metric_title(name): metrics[split][name] for name in known}).T
    table = table.reindex(columns=columns).astype(float)
    return table.astype({"correct": "Int64", "cells": "Int64"})


def table_of_classes(metrics: dict, split: str = "test") -> pd.DataFrame:
    """Each class against all others, as a table for a notebook.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    split : str

    Returns
    -------
    DataFrame
        One row per class: cells, sensitivity and specificity with Wilson's intervals (``_low``,
        ``_high``), auroc.

    Examples
    --------
    >>> from allhelpers.evaluation import evaluate
    >>> table = table_of_classes(evaluate(predictions, []))
    >>> table.loc["ALL (leukaemic)", ["cells", "sensitivity"]].round(2).tolist()
    [6.0, 0.83]
    """
    ends = {"": "value", "_low": "low", "_high": "high"}
    rows = {}
    for label, entry in metrics[split]["classes"].items():
        intervals = {
            f"{name}{end}": entry[name][key]
            for name in ("sensitivity", "specificity")
            for end, key in ends.items()
        }
        cells, auroc = entry["sensitivity"]["cells"], entry["auroc"]["value"]
        rows[manifests.class_title(label)] = {"cells": cells, **intervals, "auroc": auroc}
    return pd.DataFrame(rows).T.astype(float).astype({"cells": int})


def sentence_of_patients(metrics: dict, split: str = "test") -> str:
    """How many patients an interval rests on, with a warning where they are few.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    split : str

    Returns
    -------
    str

    Examples
    --------
    >>> sentence_of_patients({"test": {"patients": {"all": 30, "hem": 25}}})
    'The bootstrap resamples the patients of the test (30 ALL, 25 HEM).'
    """
    counts = metrics[split]["patients"]
    unknown = any(note.startswith(PATIENTS_UNKNOWN) for note in metrics.get("notes", ()))
    unit = "images" if unknown else "patients"
    text = ", ".join(
        f"{count} {manifests.class_title(label, short=True)}" for label, count in counts.items()
    )
    sentence = f"The bootstrap resamples the {unit} of the test ({text})"
    if unit == "images":
        return f"{sentence}: patients are unknown, so that the true uncertainty is larger."
    if min(counts.values()) >= FEW_PATIENTS:
        return f"{sentence}."
    return (
        f"{sentence}; fewer than {FEW_PATIENTS} of a class, so the true uncertainty is larger "
        "than its interval."
    )


def sentence_of_result(row: Mapping) -> str:
    """One row of a comparison in words.

    Parameters
    ----------
    row : Series or mapping
        Of `compare`.

    Returns
    -------
    str

    Examples
    --------
    >>> from allhelpers.evaluation import compare
    >>> sentence_of_result(compare(run, ["mobilenet"]).iloc[0])
    'MobileNet: 7 of 10 test cells correct, 70.0% (95 % interval 39.7% to 89.2%)'
    """
    return (
        f"{method_title(row['architecture'])}: {row['test_correct']} of {row['test_cells']} test "
        f"cells correct, {row['test_accuracy']:.1%} "
        f"(95 % interval {row['low']:.1%} to {row['high']:.1%})"
    )


def sentence_of_size(measured: dict) -> str:
    """What of a method's AUROC is left on cells of equal size, and between patients.

    Parameters
    ----------
    measured : dict
        What metrics.json holds of the test.

    Returns
    -------
    str
        Empty where there is no figure at equal size.

    Examples
    --------
    >>> sentence_of_size({"auroc": {"value": 0.89}, "auroc_equal_size": {"value": 0.71}})
    "On cells of equal size the AUROC is 0.71, not 0.89: much of the figure is the cell's size."
    """
    plain, equal = (measured.get(name, {}) for name in ("auroc", "auroc_equal_size"))
    if plain.get("value") is None or equal.get("value") is None:
        return ""
    lost = plain["value"] - equal["value"]
    gained = max(plain["value"] - 0.5, 1e-9)
    at_equal_size = f"On cells of equal size the AUROC is {_with_interval(equal)}"
    if lost < LEAST_LOST:
        return f"{at_equal_size}: size is not what counts."
    share = "most" if lost > gained / 2 else "much"
    return f"{at_equal_size}, not {plain['value']:.2f}: {share} of the figure is the cell's size."


def _with_interval(entry: Mapping) -> str:
    if entry.get("patients_low") is None:
        return f"{entry['value']:.2f}"
    low, high = entry["patients_low"], entry["patients_high"]
    return f"{entry['value']:.2f} ({low:.2f} to {high:.2f} over patients)"


def sentence_of_calibration(record: Mapping, measured: Mapping) -> str:
    """What was decided on cells that the network had not met, and what it costs on the test."""
    decided = record.get("calibration") or {}
    if not decided.get("cells"):
        return ""
    text = (
        f"Calibrated on {counted(decided['cells'], 'cell')} of "
        f"{counted(decided['patients'], 'patient')} that the network had not met: temperature "
        f"{decided['temperature']:.2f}."
    )
    point = measured.get("operating_point")
    if point is None:
        return text
    return (
        f"{text} For a wanted sensitivity of {decided['wanted']:.2f} a cell is predicted positive "
        f"from {point['threshold']:.2f} on; on the test that gives sensitivity "
        f"{_with_interval(point['sensitivity'])} and specificity "
        f"{_with_interval(point['specificity'])}."
    )


def sentence_of_pair(row: Mapping) -> str:
    """One pair in words, the better method first where one is better.

    Parameters
    ----------
    row : Series or mapping
        Of the pairs of `compare_methods`.

    Returns
    -------
    str

    Examples
    --------
    >>> row = {"first": "svm", "second": "knn", "cells": 70, "patients": 16, "only_first": 9}
    >>> row |= {"only_second": 8, "mcnemar_p": 1.0, "weighted_f1": 0.01, "weighted_f1_low": -0.05}
    >>> row |= {"weighted_f1_high": 0.06, "weighted_f1_p": 0.8, "differ": False}
    >>> sentence_of_pair(row).split(" on ")[0]
    'support vector machine and k-nearest neighbours cannot be told apart'
    """
    row, verdict = _better_first(row), verdict_of_pair(row)
    # Where patients are unknown each cell counts as one.
    known = row["patients"] != row["cells"]
    what = "patients" if known else "cells"
    of_patients = f" of {counted(row['patients'], 'patient')}" if known else ""
    return (
        f"{verdict} on these {counted(row['cells'], 'cell')}{of_patients} ({row['only_first']} "
        f"cells only the first predicts correctly, {row['only_second']} only the second, "
        f"{_p(row['mcnemar_p'])}; difference of weighted F1 over resampled {what} "
        f"{row_in_words(row, 'weighted_f1', '+.3f')}, {_p(row['weighted_f1_p'])})"
    )


def verdict_of_pair(row: Mapping) -> str:
    """Which of two methods is better, or that they cannot be told apart."""
    row = _better_first(row)
    first, second = method_title(row["first"]), method_title(row["second"])
    if row["differ"]:
        return f"{first} is better than {second}"
    return f"{first} and {second} cannot be told apart"


def _better_first(row: Mapping) -> Mapping:
    """The same pair, second less first where the second is better."""
    if not row["differ"] or row["weighted_f1"] >= 0:
        return row
    return {
        **row,
        "first": row["second"],
        "second": row["first"],
        "only_first": row["only_second"],
        "only_second": row["only_first"],
        "weighted_f1": -row["weighted_f1"],
        "weighted_f1_low": -row["weighted_f1_high"],
        "weighted_f1_high": -row["weighted_f1_low"],
    }


def _p(value: float | None) -> str:
    return "no p" if pd.isna(value) else f"p = {value:.2g}"
