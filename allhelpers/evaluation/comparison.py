"""Several methods on the same test cells: what each can do, and whether they can be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar

from .._core.errors import InputError
from ..data import tables
from . import metrics, resampling, words
from .baselines import METHODS
from .definitions import METRICS
from .resampling import LIMITS

SIGNIFICANCE = 0.05
COMPARED = ("auroc", "weighted_f1")
# Whose differences are measured as well: the two by which to choose.
DIFFERED = (*COMPARED, "auroc_by_patient", "auroc_equal_size")


class Compared(dict[str, pd.DataFrame]):
    """Test predictions by method, each resampled and measured once, whoever asks for it.

    Parameters
    ----------
    predictions : mapping of str to DataFrame

    Examples
    --------
    >>> tested = Compared({"mobilenet": predictions[:10]})
    >>> tested.resampled("mobilenet") is tested.resampled("mobilenet")
    True
    """

    def __init__(self, predictions: Mapping[str, pd.DataFrame]) -> None:
        super().__init__(predictions)
        self._resampled: dict[str, pd.DataFrame] = {}
        self._measured: dict[str, dict] = {}

    def resampled(self, name: str) -> pd.DataFrame:
        """Metrics on resampled patients, from `bootstrap`."""
        if name not in self._resampled:
            self._resampled[name] = resampling.bootstrap(self[name])
        return self._resampled[name]

    def measured(self, name: str) -> dict:
        """Metrics with their intervals, from `measure`."""
        if name not in self._measured:
            self._measured[name] = metrics.measure(self[name], resampled=self.resampled(name))
        return self._measured[name]


def _compared(predictions: Mapping[str, pd.DataFrame]) -> Compared:
    return predictions if isinstance(predictions, Compared) else Compared(predictions)


def compare_methods(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Metrics of networks and baselines on the same test cells.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        From `predictions_of`.

    Returns
    -------
    DataFrame
        One row per method: method, every metric with ``<metric>_low`` and ``<metric>_high`` from
        the bootstrap of patients, and beats_area: whether its AUROC lies above the cell area's,
        with the whole interval of the difference above 0 (empty for the baselines themselves, and
        where there is no interval).

    Examples
    --------
    >>> from allhelpers.evaluation import predictions_of
    >>> table = compare_methods(predictions_of(run, ["mobilenet"]))
    >>> table[["method", "accuracy"]].values.tolist()
    [['mobilenet', 0.7], ['majority', 0.6], ['area', 0.6]]
    """
    tested = _compared(predictions)
    area = tested.resampled("area")["auroc"]
    rows = []
    for name in tested:
        ahead = (tested.resampled(name)["auroc"] - area).quantile(LIMITS[0])
        beats = None if name in METHODS or np.isnan(ahead) else bool(ahead > 0)
        columns = metric_columns(tested.measured(name))
        rows.append({"method": name, **columns, "beats_area": beats})
    return pd.DataFrame(rows)


def metric_columns(entries: dict) -> dict[str, float | None]:
    """Each metric of `measure` with its interval over patients, as columns of a table."""
    ends = {"": "value", "_low": "patients_low", "_high": "patients_high"}
    return {
        f"{metric}{end}": entries[metric][key] for metric in METRICS for end, key in ends.items()
    }


def compare_pairs(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare every two methods on the same test cells.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Test predictions of the same cells, from `predictions_of`.

    Returns
    -------
    DataFrame
        One row per pair: first, second, cells, patients; only_first and only_second (cells that
        one alone predicts correctly) with mcnemar_p (McNemar 1947, exact); for AUROC (plain, by
        patient, at equal size) and weighted F1 the difference, first less second, with the interval
        and the two-sided p of a paired bootstrap that resamples patients. All p are corrected for
        the number of pairs (Holm 1979); ``differ`` says whether both McNemar's test and the
        bootstrap of weighted F1 are below .05.

    Raises
    ------
    InputError
        If two methods were tested on different cells.

    Examples
    --------
    >>> from allhelpers.evaluation import predictions_of
    >>> table = compare_pairs(predictions_of(run, ["mobilenet"]))
    >>> table[["first", "second", "only_first", "only_second", "mcnemar_p"]].values.tolist()[0]
    ['mobilenet', 'majority', 2, 1, 1.0]
    """
    tested = _compared(predictions)
    table = pd.DataFrame([_pair(tested, *names) for names in combinations(tested, 2)])
    if table.empty:
        return table
    for column in ("mcnemar_p", *(f"{metric}_p" for metric in DIFFERED)):
        known = table[column].notna()  # AUROC has no p where the test has one class only
        table.loc[known, column] = holm(table.loc[known, column].to_numpy())
    significant = table[["mcnemar_p", "weighted_f1_p"]] < SIGNIFICANCE
    return table.assign(differ=significant.all(axis=1))


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p for their number (Holm 1979); statsmodels' collects all garbage, for seconds."""
    order = np.argsort(p)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1)[np.argsort(order)]


def _pair(tested: Compared, first: str, second: str) -> dict:
    if tested[first]["file"].tolist() != tested[second]["file"].tolist():
        raise InputError(
            f"{words.method_title(first)} and {words.method_title(second)} were tested on "
            "different cells: run both again."
        )
    correct_first, correct_second = (
        tested[name]["label"].to_numpy() == tables.predicted_labels(tested[name]).to_numpy()
        for name in (first, second)
    )
    only_first = int((correct_first & ~correct_second).sum())
    only_second = int((correct_second & ~correct_first).sum())
    return {
        "first": first,
        "second": second,
        "cells": len(tested[first]),
        "patients": tables.patients_of(tested[first]).nunique(),
        "only_first": only_first,
        "only_second": only_second,
        "mcnemar_p": mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue,
        **_differences(tested, first, second),
    }


def differences(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, float]:
    """How far one method is ahead of another on the same cells, as in a row of `compare_pairs`."""
    return _differences(Compared({"first": first, "second": second}), "first", "second")


def gains(own: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """The same as columns of a table of variants: ``<metric>_gain`` with its interval."""
    found = differences(own, reference)
    ends = ("", "_low", "_high")
    return {f"{metric}_gain{end}": found[f"{metric}{end}"] for metric in DIFFERED for end in ends}


def _differences(tested: Compared, first: str, second: str) -> dict[str, float]:
    columns = {}
    for metric in DIFFERED:
        values = [tested.measured(name)[metric]["value"] for name in (first, second)]
        columns[metric] = np.nan if values[0] is None else values[0] - values[1]
        resampled = tested.resampled(first)[metric] - tested.resampled(second)[metric]
        interval = _interval(resampled.to_numpy())
        columns |= {f"{metric}_{end}": value for end, value in interval.items()}
    return columns


def _interval(resampled: np.ndarray) -> dict[str, float]:
    """Percentile interval of a difference, and how unlikely it is if there is none."""
    if np.isnan(resampled).all():
        return dict.fromkeys(["low", "high", "p"], np.nan)
    low, high = np.nanquantile(resampled, LIMITS)
    # Never 0: n resamples show nothing below 1 / (n + 1) (Davison & Hinkley 1997, section 4.2.3).
    beyond = min((resampled <= 0).sum(), (resampled >= 0).sum()) + 1
    return {"low": low, "high": high, "p": min(1.0, 2 * beyond / (len(resampled) + 1))}
