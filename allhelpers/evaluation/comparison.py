"""Several methods side by side: what each can do, and whether they can be told apart at all.

Everything is read from the files of a run. Networks stand beside the paper's figures and beside two trivial
baselines; each pair is compared on the same test cells.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from .._core.errors import InputError
from ..data import tables
from . import gathering, metrics, resampling, words
from .baselines import METHODS
from .resampling import CONFIDENCE
from .words import SIGNIFICANCE

COMPARED = ("auroc", "weighted_f1")


def compare_methods(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Metrics of networks and baselines on the same test cells.

    Parameters
    ----------
    predictions : dict of str to DataFrame
        From `predictions_of`.

    Returns
    -------
    DataFrame
        One row per method: method, every metric with ``<metric>_low`` and ``<metric>_high`` from the bootstrap of
        patients, and beats_area: whether its AUROC lies above the cell area's, with the whole interval of the
        difference above 0 (empty for the baselines themselves, and where there is no interval).

    Examples
    --------
    >>> table = compare_methods(predictions_of(run, ["mobilenet"]))
    >>> table[["method", "accuracy"]].values.tolist()
    [['mobilenet', 0.7], ['majority', 0.6], ['area', 0.6]]
    """
    area = resampling.bootstrap(predictions["area"])["auroc"]
    rows = []
    for name, table in predictions.items():
        ahead = (resampling.bootstrap(table)["auroc"] - area).quantile((1 - CONFIDENCE) / 2)
        beats = None if name in METHODS or np.isnan(ahead) else bool(ahead > 0)
        rows.append(
            {
                "method": name,
                **gathering._metric_columns(metrics.measure(table)),
                "beats_area": beats,
            }
        )
    return pd.DataFrame(rows)


def compare_pairs(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare every two methods on the same test cells.

    Parameters
    ----------
    predictions : dict of str to DataFrame
        Test predictions of the same cells.

    Returns
    -------
    DataFrame
        One row per pair: first, second, cells, patients; only_first and only_second (cells that one alone gets
        right) with mcnemar_p (McNemar 1947, exact); for AUROC and weighted F1 the difference, first less second, with
        the interval and the two-sided p of a paired bootstrap that resamples patients. All p are corrected for the
        number of pairs (Holm 1979); ``differ`` says whether both McNemar's test and the bootstrap of weighted F1 are
        below .05.

    Raises
    ------
    InputError
        If two methods were tested on different cells.

    Examples
    --------
    >>> table = compare_pairs(predictions_of(run, ["mobilenet"]))
    >>> table[["first", "second", "only_first", "only_second", "mcnemar_p"]].values.tolist()[0]
    ['mobilenet', 'majority', 2, 1, 1.0]
    """
    drawn = {name: resampling.bootstrap(table) for name, table in predictions.items()}
    rows = [
        _pair(first, second, predictions, drawn) for first, second in combinations(predictions, 2)
    ]
    table = pd.DataFrame(rows)
    for column in ["mcnemar_p", *(f"{metric}_p" for metric in COMPARED)] if len(table) else []:
        known = table[column].notna()  # AUROC has no p where the test has one class only
        table.loc[known, column] = (
            multipletests(table.loc[known, column], method="holm")[1] if known.any() else None
        )
    if len(table):
        table["differ"] = (table["mcnemar_p"] < SIGNIFICANCE) & (
            table["weighted_f1_p"] < SIGNIFICANCE
        )
    return table


def _pair(first: Any, second: Any, predictions: pd.DataFrame, drawn: Any) -> Any:
    one, two = predictions[first], predictions[second]
    if one["file"].tolist() != two["file"].tolist():
        raise InputError(
            f"{words.method_title(first)} and {words.method_title(second)} were tested on different cells: run both again."
        )
    right = [
        table["label"].to_numpy() == tables.predicted_labels(table).to_numpy()
        for table in (one, two)
    ]
    only = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    row = {
        "first": first,
        "second": second,
        "cells": len(one),
        "patients": tables.patients_of(one).nunique(),
        "only_first": only[0],
        "only_second": only[1],
        "mcnemar_p": mcnemar([[0, only[0]], [only[1], 0]], exact=True).pvalue,
    }
    return row | _differences(one, two, drawn[first], drawn[second])


def differences(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, float]:
    """How much one method is ahead of another on the same test cells.

    Parameters
    ----------
    one, two : DataFrame
        Test predictions of the same cells.

    Returns
    -------
    dict of str to float
        For AUROC and weighted F1 the difference, first less second (``<metric>``), with the interval
        (``<metric>_low``, ``<metric>_high``) and the two-sided p (``<metric>_p``) of a paired bootstrap of patients.

    Examples
    --------
    >>> test = predictions[predictions["split"] == "test"]
    >>> perfect = test.assign(p_all=test["label"].eq("all") * 1.0, p_hem=test["label"].eq("hem") * 1.0)
    >>> round(float(differences(perfect, test)["auroc"]), 2)
    0.42
    """
    return _differences(one, two, resampling.bootstrap(one), resampling.bootstrap(two))


def _differences(one: pd.DataFrame, two: pd.DataFrame, drawn_one: Any, drawn_two: Any) -> Any:
    values = [metrics.measure(table, resamples=0) for table in (one, two)]
    found = {}
    for metric in COMPARED:
        resampled = (drawn_one[metric] - drawn_two[metric]).to_numpy()
        found |= _difference(
            metric, values[0][metric]["value"], values[1][metric]["value"], resampled
        )
    return found


def _difference(metric: str, one: pd.DataFrame, two: pd.DataFrame, resampled: Any) -> Any:
    value = np.nan if one is None else one - two
    if np.isnan(resampled).all():
        return {
            metric: value,
            **dict.fromkeys([f"{metric}_low", f"{metric}_high", f"{metric}_p"], np.nan),
        }
    low, high = np.nanquantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    # Never 0: with n resamples nothing below 1 / (n + 1) can be shown (Davison & Hinkley 1997, section 4.2.3).
    beyond = min((resampled <= 0).sum(), (resampled >= 0).sum()) + 1
    p = min(1.0, 2 * beyond / (len(resampled) + 1))
    return {metric: value, f"{metric}_low": low, f"{metric}_high": high, f"{metric}_p": p}
