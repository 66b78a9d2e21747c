"""A training's place in a run: its folder is claimed, what it leaves is described and written."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.errors import InputError
from .._core.files import sha256, write_csv
from .._core.machine import versions
from ..networks import building
from ..runs import Result, Run
from ..settings import PLACES
from . import checkpoints, engines

if TYPE_CHECKING:
    import pandas as pd

    from .._core.machine import Clock
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..settings import TrainingSettings
    from .familiarity import Familiarity

log = logging.getLogger(__name__)


def claim(run_folder: str | Path, name: str, settings: TrainingSettings) -> Result:
    """Take the folder of an architecture's results, which must not hold those of other settings.

    Parameters
    ----------
    run_folder : str or Path
    name : str
        Of the architecture.
    settings : TrainingSettings
        With ``overwrite`` what lies there is removed.

    Returns
    -------
    Result
        The files of this training; ``result.folder`` is there.

    Raises
    ------
    InputError
        If there are results of other settings, which are named.

    Examples
    --------
    >>> claim("runs/first", "mobilenet", training_settings).folder.as_posix()
    'runs/first/mobilenet'
    """
    result = Run(run_folder).result(name)
    earlier = checkpoints.settings_in(result.checkpoint_path)
    result.claim(settings.deciding(), earlier, ignoring=PLACES, overwrite=settings.overwrite)
    return result


def identify(network: Network, cells: Cells, weights: np.ndarray | None = None) -> str:
    """Identify a training by all that decides it, but for the machine and versions of packages."""
    recipe = [
        network.architecture.name,
        network.source and network.source.record(),
        cells.key,
        cells.table[["sha256", "split", "label"]].to_csv(index=False),
        network.classes,
        network.settings.deciding(),
    ]
    if weights is not None:
        recipe.append(np.asarray(weights, float).tolist())
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def reopen(network: Network, result: Result, identity: str) -> pd.DataFrame | None:
    """Load the weights of a training that has ended, if this very one has; its history."""
    if not all(map(Path.is_file, (result.record_path, result.model_path, result.history_path))):
        return None
    if network.settings.refit_all:  # what is saved has met the test cells
        return None
    try:
        record, history = result.record(), result.history()
        stale = record["model"]["sha256"] != sha256(result.model_path)
    except (InputError, KeyError, TypeError):  # damaged, as `claim` has said
        return None
    if record.get("training") != identity or stale:
        log.info(
            "%s holds another training, or an earlier version's: it is trained anew.", result.folder
        )
        return None
    network.full.load_weights(result.model_path)
    log.info(
        "%s holds this very training: it is not repeated (overwrite = True repeats it).",
        result.folder,
    )
    return history


def describe(
    network: Network,
    cells: Cells,
    notes: list[str],
    *,
    manifest_sha256: str,
    clock: Clock,
    calibration: Mapping[str, Any] | None = None,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """What parameters.json records of a training, but for the saved model.

    Parameters
    ----------
    network : Network
    cells : Cells
    notes : list of str
        What must be said beside every figure.
    manifest_sha256 : str
        Of the run's manifest.csv.
    clock : Clock
    calibration : mapping, optional
        Temperature and threshold, from `evaluation.calibrate`.
    weights : ndarray of shape (cells,), optional
        As for `train`.

    Returns
    -------
    dict

    Examples
    --------
    >>> from allhelpers._core.machine import Clock
    >>> notes = ["synthetic cells"]
    >>> record = describe(network, cells, notes, manifest_sha256="ab12", clock=Clock())
    >>> record["architecture"], record["cut"], record["parameters"]["trained"]
    ('mobilenet', 'pooled', 2050)
    """
    frozen = network.cut != "pixels"
    return {
        "architecture": network.architecture.name,
        "classes": network.classes,
        "notes": notes,
        "training": identify(network, cells, weights),
        "settings": network.settings.model_dump(),
        "weights": network.source and network.source.record(),
        "cut": network.cut,
        "parameters": network.parameters(),
        "manifest_sha256": manifest_sha256,
        "calibration": dict(calibration or {}),
        "device": building.device(),
        "engine": engines.choose(network.settings.engine) if frozen else "none: nothing is frozen",
        "versions": versions(),
        "seconds": clock.seconds,
    }


def finish(
    network: Network,
    result: Result,
    *,
    predictions: pd.DataFrame,
    metrics: dict[str, Any],
    record: dict[str, Any],
    held_out: pd.DataFrame | None = None,
    judged: pd.DataFrame | None = None,
    familiar: Familiarity | None = None,
) -> None:
    """Write what a finished training leaves; files.json comes last and makes it finished.

    Parameters
    ----------
    network : Network
    result : Result
        From `claim`.
    predictions : DataFrame
        From `predict_cells`.
    metrics : dict
        From `evaluation.evaluate`.
    record : dict
        From `describe`.
    held_out : DataFrame, optional
        From `held_out_predictions`, for held_out.csv.
    judged : DataFrame, optional
        From `judge_labels`, for judged.csv.
    familiar : Familiarity, optional
        From `familiar_cells`: without it the model cannot say which images are unlike its cells.

    Examples
    --------
    >>> result = claim("first", "mobilenet", training_settings)
    >>> finish(network, result, predictions=predictions, metrics={}, record={})
    >>> sorted(path.name for path in result.folder.iterdir())
    ['files.json', 'metrics.json', 'model.keras', 'parameters.json', 'predictions.csv']
    """
    if held_out is not None and len(held_out):
        write_csv(result.held_out_path, held_out)
    if judged is not None:
        write_csv(result.judged_path, judged)
    if familiar is not None:
        record = {**record, "familiar": familiar.write(result.familiar_path)}
    result.finish(predictions, metrics, record, save=network.full.save)
