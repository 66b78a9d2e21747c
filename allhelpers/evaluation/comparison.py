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


class Evaluated:
    """What a method predicts of the test cells, resampled and measured once."""

    def __init__(self, predictions: pd.DataFrame) -> None:
        self.predictions = predictions
        self.resampled = resampling.bootstrap(predictions)
        self.measured = metrics.measure(predictions, resampled=self.resampled)


def table_of_methods(tested: Mapping[str, Evaluated]) -> pd.DataFrame:
    """Metrics of each method, with `beats_area`; see `compare_methods`."""
    area = tested["area"].resampled["auroc"]
    rows = []
    for name, test in tested.items():
        ahead = (test.resampled["auroc"] - area).quantile(LIMITS[0])
        beats = None if name in METHODS or np.isnan(ahead) else bool(ahead > 0)
        rows.append({"method": name, **metric_columns(test.measured), "beats_area": beats})
    return pd.DataFrame(rows)


def metric_columns(entries: dict) -> dict[str, float | None]:
    """Each metric of `measure` with its interval over patients, as columns of a table."""
    ends = {"": "value", "_low": "patients_low", "_high": "patients_high"}
    return {
        f"{metric}{end}": entries[metric][key] for metric in METRICS for end, key in ends.items()
    }


def table_of_pairs(tested: Mapping[str, Evaluated]) -> pd.DataFrame:
    """Every two methods compared; see `compare_methods`."""
    table = pd.DataFrame([_pair(tested, *names) for names in combinations(tested, 2)])
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


def _pair(tested: Mapping[str, Evaluated], first: str, second: str) -> dict:
    each = [tested[name].predictions for name in (first, second)]
    if each[0]["file"].tolist() != each[1]["file"].tolist():
        raise InputError(
            f"{words.method_title(first)} and {words.method_title(second)} were tested on "
            "different cells: run both again."
        )
    correct = [(table["label"] == tables.predicted_labels(table)).to_numpy() for table in each]
    only_first = int((correct[0] & ~correct[1]).sum())
    only_second = int((correct[1] & ~correct[0]).sum())
    return {
        "first": first,
        "second": second,
        "cells": len(each[0]),
        "patients": tables.patients_of(each[0]).nunique(),
        "only_first": only_first,
        "only_second": only_second,
        "mcnemar_p": mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue,
        **_differences(tested[first], tested[second]),
    }


def gains(own: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """How far one method is ahead on the same cells: ``<metric>_gain`` with its interval."""
    found = _differences(Evaluated(own), Evaluated(reference))
    ends = ("", "_low", "_high")
    return {f"{metric}_gain{end}": found[f"{metric}{end}"] for metric in DIFFERED for end in ends}


def _differences(first: Evaluated, second: Evaluated) -> dict[str, float]:
    columns = {}
    for metric in DIFFERED:
        values = [test.measured[metric]["value"] for test in (first, second)]
        columns[metric] = np.nan if values[0] is None else values[0] - values[1]
        interval = _interval((first.resampled[metric] - second.resampled[metric]).to_numpy())
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
