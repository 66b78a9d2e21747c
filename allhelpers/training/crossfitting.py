"""The head is trained again on parts of the patients: what it says of cells that it has not met.

A head on features that are there takes seconds. So calibration, thresholds and the search for
suspect labels need not rest on a few patients of validation, which may hold one healthy one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .._core.errors import InputError
from ..data import splitting, tables
from ..networks import building
from . import finetuning

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from .finetuning import Features

FOLDS = 5
STRENGTHS = (0.001, 0.01, 0.1)  # inverse, of the penalty


def held_out_predictions(network: Network, features: Features, cells: Cells) -> pd.DataFrame:
    """Probabilities of cells whose patients the head has not met, for calibration.

    For a head alone they are those of all cells of training and validation, each from a head that
    was trained anew without its part of the patients (five parts); else those of validation.

    Parameters
    ----------
    network : Network
        Trained.
    features : array of shape (orientations, cells, ...)
        From `compute_features`.
    cells : Cells

    Returns
    -------
    DataFrame
        With the columns of predictions.csv; no row where there is no such cell.

    Examples
    --------
    >>> from allhelpers.training import compute_features
    >>> features = compute_features(network, cells)
    >>> len(held_out_predictions(network, features, cells))
    90
    """
    network.set_temperature(1.0)
    known = np.sort(np.concatenate([cells.rows("train"), cells.rows("val")]))
    table = cells.table.iloc[known]
    folds = min(FOLDS, splitting.groups_per_class(table).min())
    if network.cut != "pooled" or folds < 2:  # a class has too few patients
        rows = known[:0] if network.settings.refit else cells.rows("val")
        return tables.tabulate(cells, rows, finetuning.probabilities(network, features, rows))
    parts = splitting.deal(table, folds, seed=network.settings.seed).to_numpy()
    probabilities = np.zeros((len(cells.table), len(cells.classes)))
    for part in np.unique(parts):
        rows = known[parts == part]
        head = _trained_on(network, features, cells, known[parts != part])
        probabilities[rows] = finetuning.probabilities(head, features, rows)
    return tables.tabulate(cells, known, probabilities[known])


def judge_labels(network: Network, features: Features, cells: Cells) -> pd.DataFrame:
    """Probabilities of every cell by heads that have not met it, but may know its patient.

    For the search for wrong labels, not for figures: the patient's other cells, and their labels,
    are what a slip stands out against. The heads are logistic regressions, as strongly held as
    makes the labels of others most probable: one that is held small for the sake of new patients
    hardly hears a few cells of one.

    Parameters
    ----------
    network : Network
        Whose head alone is trained.
    features : array of shape (orientations, cells, ...)
        From `compute_features`.
    cells : Cells

    Returns
    -------
    DataFrame
        With the columns of predictions.csv, of all cells that have a split.

    Raises
    ------
    InputError
        If more than the head is trained, or a class has one cell.

    Examples
    --------
    >>> from allhelpers.training import compute_features
    >>> len(judge_labels(network, compute_features(network, cells), cells))
    160
    """
    rows = np.flatnonzero(cells.table["split"].to_numpy() != "")
    labels = cells.table["label"].iloc[rows].to_numpy(str)
    known, counts = np.unique(labels, return_counts=True)
    if network.cut != "pooled" or counts.min() < 2 or len(known) < len(cells.classes):
        raise InputError(
            "suspects needs a head on frozen blocks and two cells of each class: set unfreeze = "
            "none, or suspects = False."
        )
    folds, seed = min(FOLDS, int(counts.min())), network.settings.seed
    cv = StratifiedKFold(folds, shuffle=True, random_state=seed)
    seen, each = np.asarray(features[0][rows], np.float32), []
    for strength in STRENGTHS:
        head = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
        each.append(cross_val_predict(head, seen, labels, cv=cv, method="predict_proba"))
    best = min(each, key=lambda y_prob: log_loss(labels, y_prob, labels=known))
    return tables.tabulate(cells, rows, best[:, np.searchsorted(known, cells.classes)])


def refit_on_all(network: Network, features: Features, cells: Cells) -> None:
    """Train the head on every cell that has a split, test included, once its figures are known.

    Parameters
    ----------
    network : Network
        Its head is changed in place; its temperature stays.
    features : array of shape (orientations, cells, ...)
        From `compute_features`.
    cells : Cells

    Examples
    --------
    >>> from allhelpers.training import compute_features
    >>> refit_on_all(network, compute_features(network, cells), cells)
    """
    rows = np.flatnonzero(cells.table["split"].to_numpy() != "")
    fresh = _trained_on(network, features, cells, rows).tail
    if network.settings.calibrate:
        decided = network.tail.get_layer(building.TEMPERATURE).get_weights()
        fresh.get_layer(building.TEMPERATURE).set_weights(decided)
    network.tail.set_weights(fresh.get_weights())


def _trained_on(network: Network, features: Features, cells: Cells, rows: np.ndarray) -> Network:
    """A new head of the network's settings, trained on some of the cells."""
    split = np.full(len(cells.table), "", object)
    split[rows] = "train"
    chosen = replace(cells, table=cells.table.assign(split=split))
    settings = network.settings.model_copy(update={"patience": 0})
    head = building.head_alone(
        network.architecture, settings, channels=features.shape[-1], classes=network.classes
    )
    finetuning.train(head, features, chosen, quiet=True)
    return head
