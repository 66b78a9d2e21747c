"""Metrics, differences and their intervals in words and tables."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .._core.errors import counted
from ..data import manifest as manifests
from ..networks import registry
from .baselines import TITLES
from .metrics import metric_title
from .resampling import METRICS


def in_words(value: float | None, low: float | None, high: float | None, form: str = ".3f") -> str:
    """A metric with its interval over patients."""
    if pd.isna(value):
        return "not defined"
    interval = (
        "no interval: one test patient of a class"
        if pd.isna(low)
        else f"{low:{form}} to {high:{form}}"
    )
    return f"{value:{form}} ({interval})"


def table_of_metrics(metrics: dict, side: str = "test") -> pd.DataFrame:
    """Metrics of one side as a table for a notebook.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    side : str

    Returns
    -------
    DataFrame
        One row per metric: value; low and high (Wilson); patients_low and patients_high (bootstrap); correct, cells.

    Examples
    --------
    >>> table_of_metrics(evaluate(predictions, [])).loc["accuracy", ["value", "low", "high"]].round(2).tolist()
    [0.7, 0.4, 0.89]
    """
    table = pd.DataFrame({metric_title(name): metrics[side][name] for name in METRICS}).T
    columns = ["value", "low", "high", "patients_low", "patients_high", "correct", "cells"]
    return (
        table.reindex(columns=columns).astype(float).astype({"correct": "Int64", "cells": "Int64"})
    )


def table_of_classes(metrics: dict, side: str = "test") -> pd.DataFrame:
    """Each class against all others, as a table for a notebook.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    side : str

    Returns
    -------
    DataFrame
        One row per class: cells, sensitivity and specificity with Wilson's intervals (``_low``, ``_high``), auroc.

    Examples
    --------
    >>> table_of_classes(evaluate(predictions, [])).loc["ALL (leukaemic)", ["cells", "sensitivity"]].round(2).tolist()
    [6.0, 0.83]
    """
    rows = {}
    for label, entry in metrics[side]["classes"].items():
        row = {"cells": entry["sensitivity"]["cells"]}
        for name in ("sensitivity", "specificity"):
            row |= {
                name: entry[name]["value"],
                f"{name}_low": entry[name]["low"],
                f"{name}_high": entry[name]["high"],
            }
        rows[manifests.class_title(label)] = {**row, "auroc": entry["auroc"]["value"]}
    return pd.DataFrame(rows).T.astype(float).astype({"cells": int})


def sentence_of_patients(metrics: dict, side: str = "test") -> str:
    """How many patients an interval rests on, with a warning where they are few.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    side : str

    Returns
    -------
    str

    Examples
    --------
    >>> sentence_of_patients({"test": {"patients": {"all": 30, "hem": 25}}})
    'The bootstrap resamples the patients of the test (30 ALL, 25 HEM).'
    """
    counts = metrics[side]["patients"]
    text = ", ".join(
        f"{count} {manifests.class_title(label, short=True)}" for label, count in counts.items()
    )
    few = min(counts.values()) < FEW_PATIENTS
    return f"The bootstrap resamples the patients of the test ({text})" + (
        f"; fewer than {FEW_PATIENTS} of a class, so the true uncertainty is larger than its interval."
        if few
        else "."
    )


# With fewer clusters percentile intervals are too narrow (Cameron, Gelbach & Miller 2008, "Bootstrap-based
# improvements for inference with clustered errors").
FEW_PATIENTS = 10

SIGNIFICANCE = 0.05


def method_title(method: Any) -> Any:
    """Name of a network or baseline in figures and tables."""
    return TITLES.get(method) or registry.title_of(method)


def sentence_of_result(row: pd.Series) -> str:
    """One row of a comparison in words.

    Parameters
    ----------
    row : Series
        Of `compare`.

    Returns
    -------
    str

    Examples
    --------
    >>> sentence_of_result(compare(run, ["mobilenet"]).iloc[0])
    'MobileNet: 7 of 10 test cells right, 70.0% (95 % interval 39.7% to 89.2%)'
    """
    return (
        f"{method_title(row['architecture'])}: {row['test_correct']} of {row['test_cells']} test cells right, "
        f"{row['test_accuracy']:.1%} (95 % interval {row['low']:.1%} to {row['high']:.1%})"
    )


def row_in_words(row: pd.Series | dict, metric: str, form: str = ".3f") -> str:
    """A metric, or a difference of it, with its interval."""
    return in_words(*(row[f"{metric}{end}"] for end in ("", "_low", "_high")), form)


def sentence_of_pair(row: pd.Series) -> str:
    """One pair in words.

    Parameters
    ----------
    row : Series
        Of `pairs`.

    Returns
    -------
    str

    Examples
    --------
    >>> row = {"first": "svm", "second": "knn", "cells": 70, "patients": 16, "only_first": 9, "only_second": 8}
    >>> row |= {"mcnemar_p": 1.0, "weighted_f1": 0.01, "weighted_f1_low": -0.05, "weighted_f1_high": 0.06}
    >>> sentence_of_pair({**row, "weighted_f1_p": 0.8, "differ": False}).split(" (")[0]
    'support vector machine and k-nearest neighbours cannot be told apart on these 70 cells of 16 patients'
    """
    first, second = method_title(row["first"]), method_title(row["second"])
    where = f"on these {counted(row['cells'], 'cell')} of {counted(row['patients'], 'patient')}"
    evidence = (
        f"{row['only_first']} cells only the first gets right, {row['only_second']} only the second, p = "
        f"{row['mcnemar_p']:.2g}; difference of weighted F1 over resampled patients "
        f"{row_in_words(row, 'weighted_f1', '+.3f')}, p = {row['weighted_f1_p']:.2g}"
    )
    if not row["differ"]:
        return f"{first} and {second} cannot be told apart {where} ({evidence})"
    better, worse = (first, second) if row["weighted_f1"] > 0 else (second, first)
    return f"{better} is better than {worse} {where} ({evidence})"
