"""An ensemble of the networks of a run: their predictions' mean, and one model that gives it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._core.errors import InputError
from .._core.machine import versions
from ..data import tables
from ..networks import building, registry
from ..networks.ensemble import join
from ..networks.registry import ENSEMBLE
from ..runs import Result, Run
from ..training import records
from . import saved

if TYPE_CHECKING:
    from ..evaluation.operating import Calibration
    from ..networks.building import Network
    from ..settings import EnsembleSettings


def open_members(settings: EnsembleSettings) -> Network:
    """Load the trained networks of a run and join them.

    Parameters
    ----------
    settings : EnsembleSettings
        Its ``members`` have left results in its ``run_folder``.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        If one has not been trained, or they do not fit together.

    Examples
    --------
    Of a finished run::

        open_members(EnsembleSettings(run_folder="runs/first", members="mobilenet,vgg16"))
    """
    results = _results(settings)
    for result in results:
        if not result.model_path.is_file():
            raise InputError(
                f"{result.folder} holds no trained model: run notebook "
                f"{registry.notebook_of(result.name)} first, or leave {result.name} out of members."
            )
    return join([saved.load(result.folder) for result in results])


def _results(settings: EnsembleSettings) -> list[Result]:
    """What the members have left."""
    return [Run(settings.run_folder).result(name) for name in settings.names]


def member_notes(settings: EnsembleSettings) -> list[str]:
    """What must be said beside every figure of the members, and so of the ensemble.

    Parameters
    ----------
    settings : EnsembleSettings

    Returns
    -------
    list of str
        Each once, for instance that a member's weights were random.

    Examples
    --------
    Of a finished run::

        member_notes(EnsembleSettings(run_folder="runs/first", members="mobilenet,vgg16"))
    """
    each = [result.record().get("notes", []) for result in _results(settings)]
    return list(dict.fromkeys(note for notes in each for note in notes))


def mean_predictions(settings: EnsembleSettings, *, held_out: bool = False) -> pd.DataFrame:
    """Mean of the members' probabilities for the cells that all of them have predicted.

    Parameters
    ----------
    settings : EnsembleSettings
    held_out : bool
        Of the cells whose patients a member had not met when it judged them, for calibration, else
        of validation and test.

    Returns
    -------
    DataFrame
        With the columns of predictions.csv.

    Examples
    --------
    Of a finished run::

        mean_predictions(EnsembleSettings(run_folder="runs/first", members="mobilenet,vgg16"))
    """
    results = _results(settings)
    if not held_out:
        each = [result.predictions() for result in results]
    elif all(result.held_out_path.is_file() for result in results):
        each = [result.held_out() for result in results]
    else:
        each = [result.predictions("val") for result in results]
    return mean_of(each)


def mean_of(each: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Mean of several networks' predictions of the cells that all of them have."""
    keys = ["file", "split"]
    common = functools.reduce(pd.merge, [table[keys] for table in each])
    aligned = [common.merge(table, on=keys, how="left") for table in each]
    columns = [f"p_{label}" for label in tables.classes_of(aligned[0])]
    mean = np.mean([table[columns].to_numpy() for table in aligned], axis=0).round(6)
    return aligned[0].assign(**dict(zip(columns, mean.T, strict=True)))


def write(
    network: Network,
    settings: EnsembleSettings,
    *,
    predictions: pd.DataFrame,
    metrics: Mapping[str, Any],
    held_out: pd.DataFrame,
    calibration: Calibration,
    manifest_sha256: str,
    seconds: Mapping[str, float],
) -> None:
    """Write what an ensemble leaves in the run's folder, its model among it.

    Parameters
    ----------
    network : Network
        From `open_members`.
    settings : EnsembleSettings
    predictions, held_out : DataFrame
        From `mean_predictions`.
    metrics : mapping
        From `evaluation.evaluate`.
    calibration : Calibration
        From `evaluation.calibrate`.
    manifest_sha256 : str
        Of the run's manifest.csv.
    seconds : mapping of str to float
        Of the stages of the run.

    Examples
    --------
    At the end of its notebook::

        outcome = {"predictions": predictions, "metrics": metrics, "held_out": held_out}
        recorded = {"manifest_sha256": manifest_sha256, "seconds": clock.seconds}
        write(network, settings, calibration=calibration, **outcome, **recorded)
    """
    record = {
        "architecture": ENSEMBLE,
        "title": registry.title_of(ENSEMBLE),
        "classes": network.classes,
        "notes": metrics["notes"],
        "settings": {
            **network.settings.model_dump(),
            "calibrate": settings.calibrate,
            "sensitivity": settings.sensitivity,
        },
        "members": [
            {"architecture": member.architecture.name, "settings": member.settings.model_dump()}
            for member in network.members
        ],
        "weights": {"label": "those of its members: " + ", ".join(settings.names)},
        "cut": "mean",
        "calibration": calibration.record(),
        "parameters": network.parameters(),
        "manifest_sha256": manifest_sha256,
        "device": building.device(),
        "versions": versions(),
        "seconds": dict(seconds),
    }
    records.finish(
        network,
        Run(settings.run_folder).result(ENSEMBLE),
        predictions=predictions,
        metrics=dict(metrics),
        record=record,
        held_out=held_out,
        # An image is unlike the cells where the first member finds it so.
        familiar=saved.find(_results(settings)[0].folder).familiar(),
    )
