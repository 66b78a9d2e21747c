"""Weights of cells under which every patient counts the same, or size no longer tells the classes
apart.

The same weights serve twice: in training they take a shortcut out of what is learnt, in evaluation
they show what a network sees beside it. Any measured nuisance can stand in the place of the size.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd

Balance = Literal["none", "class", "patient", "size", "patient+size"]
BALANCES: tuple[str, ...] = get_args(Balance)

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
    """Give every patient of a class the same total weight, and every class the same.

    Parameters
    ----------
    table : DataFrame
        Columns file, patient and label; where no patient is known a cell stands for itself.

    Returns
    -------
    ndarray of shape (cells,)
        Weights with mean 1.

    Examples
    --------
    >>> cells = pd.DataFrame({"file": list("abc"), "patient": list("112"), "label": "all"})
    >>> patient_weights(cells).tolist()
    [0.75, 0.75, 1.5]
    """
    patient = table["patient"].fillna("").astype(str)
    units = patient.where(patient != "", table["file"].astype(str))
    groups = [table["label"].to_numpy(), units.to_numpy()]
    cells = units.groupby(groups).transform("size")
    patients = units.groupby(groups[0]).transform("nunique")
    return _with_mean_one((1 / (cells * patients)).to_numpy())


def matched_weights(
    nuisance: np.ndarray, labels: np.ndarray, *, base: np.ndarray | None = None
) -> np.ndarray:
    """Overlap weights within strata of a nuisance: with them it has an AUROC of about one half by
    itself.

    In a stratum whose classes have the total weights n_1 .. n_k each class gets 1 / (1 / n_1 + ...
    + 1 / n_k), which for two classes is n_1 n_2 / (n_1 + n_2) (Li, Morgan & Zaslavsky 2018, JASA
    113:390). Strata that lack a class get no weight.

    Parameters
    ----------
    nuisance : ndarray of shape (cells,)
        For instance the area of each cell.
    labels : ndarray of shape (cells,)
    base : ndarray of shape (cells,), optional
        Weights to begin with, for instance `patient_weights`.

    Returns
    -------
    ndarray of shape (cells,)
        Weights with mean 1; all zero where no stratum holds every class.

    Examples
    --------
    >>> area = np.repeat([1, 2], 4)
    >>> matched_weights(area, np.array(list("aaabbbba"))).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0, 0.67, 0.67, 0.67, 2.0]
    """
    base = np.ones(len(labels)) if base is None else np.asarray(base, float)
    strata = strata_of(nuisance)
    totals = pd.Series(base).groupby([strata, np.asarray(labels)]).transform("sum").to_numpy()
    per_stratum = pd.crosstab(strata, np.asarray(labels), values=base, aggfunc="sum").fillna(0)
    with np.errstate(divide="ignore"):
        overlap = 1 / (1 / per_stratum.to_numpy(float)).sum(axis=1)
    each = overlap[np.searchsorted(per_stratum.index.to_numpy(), strata)]
    return _with_mean_one(np.divide(base * each, totals, out=np.zeros(len(base)), where=totals > 0))


def strata_of(nuisance: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The quantile bin of each cell."""
    values = np.asarray(nuisance, float)
    borders = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return np.digitize(values, borders)


def cell_weights(table: pd.DataFrame, balance: str) -> np.ndarray | None:
    """Weights of training cells in the loss.

    Parameters
    ----------
    table : DataFrame
        Training cells: file, patient, label and, for size, area.
    balance : {"none", "class", "patient", "size", "patient+size"}

    Returns
    -------
    ndarray of shape (cells,), or None
        With mean 1; ``None`` where all cells count alike.

    Examples
    --------
    >>> cells = pd.DataFrame({"file": list("abc"), "patient": list("123"), "label": list("aab")})
    >>> cell_weights(cells, "class").tolist()
    [0.75, 0.75, 1.5]
    """
    labels = table["label"].to_numpy()
    if balance == "none":
        return None
    if balance == "class":
        return _with_mean_one(1 / table.groupby("label")["file"].transform("size").to_numpy(float))
    patients = patient_weights(table) if "patient" in balance else None
    if "size" not in balance:
        return patients
    return matched_weights(table["area"].to_numpy(float), labels, base=patients)


def _with_mean_one(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights * len(weights) / total if total > 0 else weights
