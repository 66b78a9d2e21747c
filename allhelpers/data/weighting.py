"""Weights of cells under which patients count alike, or size no longer tells the classes apart.

In training they take a shortcut out of what is learnt, in evaluation they show what a network sees
beside it. Any measured nuisance can stand in the place of the size.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from .tables import patients_of

Balance = Literal["none", "class", "patient", "size", "patient+size"]

# Figures of validation, by which an epoch or a set of hyper-parameters is chosen.
ChooseBy = Literal[
    "loss",
    "weighted_f1",
    "weighted_f1_by_patient",
    "weighted_f1_equal_size",
    "auroc",
    "auroc_by_patient",
    "auroc_equal_size",
]

# Quantile bins of the nuisance within which classes are matched: enough to take out its effect, few
# enough that bins of some hundred cells hold both classes.
BINS = 12


def patient_weights(table: pd.DataFrame) -> np.ndarray:
    """Give every patient of a class the same total weight, and every class the same."""
    units = patients_of(table)
    groups = [table["label"].to_numpy(), units.to_numpy()]
    cells = units.groupby(groups).transform("size")
    patients = units.groupby(groups[0]).transform("nunique")
    return _with_mean_one((1 / (cells * patients)).to_numpy())


def matched_weights(
    nuisance: np.ndarray, labels: np.ndarray, *, base: np.ndarray | None = None
) -> np.ndarray:
    """Overlap weights (Li, Morgan & Zaslavsky 2018, JASA 113:390) within strata of a nuisance."""
    base = np.ones(len(labels)) if base is None else np.asarray(base, float)
    values = np.asarray(nuisance, float)
    strata = np.digitize(values, np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    totals = pd.Series(base).groupby([strata, np.asarray(labels)]).transform("sum").to_numpy()
    per_stratum = pd.crosstab(strata, np.asarray(labels), values=base, aggfunc="sum").fillna(0)
    # Of classes with the totals n_1 .. n_k each gets 1 / (1/n_1 + ... + 1/n_k): 0 if one lacks.
    with np.errstate(divide="ignore"):
        overlap = 1 / (1 / per_stratum.to_numpy(float)).sum(axis=1)
    each = overlap[np.searchsorted(per_stratum.index.to_numpy(), strata)]
    return _with_mean_one(np.divide(base * each, totals, out=np.zeros(len(base)), where=totals > 0))


def cell_weights(
    table: pd.DataFrame, balance: str, *, size_matching: float = 1.0
) -> np.ndarray | None:
    """Weights of training cells in the loss, with mean 1; None where all count alike."""
    if balance == "none":
        return None
    if balance == "class":
        return _with_mean_one(1 / table.groupby("label")["file"].transform("size").to_numpy(float))
    base = patient_weights(table) if "patient" in balance else np.ones(len(table))
    if "size" not in balance:
        return base
    labels = table["label"].to_numpy()
    matched = matched_weights(table["area"].to_numpy(float), labels, base=base)
    # A geometric mean: below 1 cells whose size is rare in the other class still count a little.
    return _with_mean_one(base ** (1 - size_matching) * matched**size_matching)


def _with_mean_one(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights * len(weights) / total if total > 0 else weights
