"""A trained model as files: saved, loaded without running code from them, used on new pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .._core.files import sha256
from .._core.machine import versions
from ..networks import building
from ..runs import Result, Run
from ..settings import PLACES
from . import checkpoints, engines

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..settings import TrainingSettings

FILE = "model.keras"


def finish(
    network: Network, folder: str | Path, predictions: pd.DataFrame, metrics: dict, record: dict
) -> None:
    """Write what a finished training leaves; parameters.json comes last and makes it finished.

    Parameters
    ----------
    network : networks.Network
    folder : str or Path
        Of the architecture's results.
    predictions : DataFrame
    metrics : dict
        From `evaluation.evaluate`.
    record : dict
        From `describe`.

    Examples
    --------
    >>> finish(network, "mobilenet", predictions, metrics={}, record={})
    >>> sorted(path.name for path in Path("mobilenet").iterdir())
    ['metrics.json', 'model.keras', 'parameters.json', 'predictions.csv']
    """
    Result(folder).finish(predictions, metrics, record, save=network.full.save)


def reopen(network: Network, folder: Path | None, identity: str) -> pd.DataFrame | None:
    """Load the weights of a training that has ended, if there is one."""
    if folder is None:
        return None
    result = Result(folder)
    if not all(map(Path.is_file, (result.record_path, result.model_path, result.history_path))):
        return None
    recorded = result.record()
    stale = recorded["model"]["sha256"] != sha256(result.model_path)
    if recorded.get("training") != identity or stale:
        return None
    network.full.load_weights(result.model_path)
    print(
        f"{folder} holds this very training: it is not repeated (overwrite = True repeats it).",
        flush=True,
    )
    return result.history()


def claim(run_folder: str | Path, name: str, settings: TrainingSettings) -> Path:
    """Folder of an architecture's results, which must not hold those of other settings.

    Parameters
    ----------
    run_folder : str or Path
    name : str
        Of the architecture.
    settings : TrainingSettings
        With ``overwrite`` what lies there is removed.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there are results of other settings, which are named.

    Examples
    --------
    >>> claim("runs/first", "mobilenet", training_settings).as_posix()
    'runs/first/mobilenet'
    """
    result = Run(run_folder).result(name)
    result.claim(
        settings.deciding(),
        checkpoints.settings_in(result.folder),
        ignoring=PLACES,
        overwrite=settings.overwrite,
    )
    return result.folder


def identify(network: Network, cells: Cells) -> str:
    """Identify a training by everything that decides it, but for the machine and the versions of packages."""
    sides = cells.table[["sha256", "split", "label"]].to_csv(index=False)
    weights = network.source and network.source.record()
    recipe = [
        network.architecture.name,
        weights,
        cells.key,
        sides,
        network.classes,
        network.settings.deciding(),
    ]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def describe(
    network: Network, cells: Cells, notes: list[str], manifest_sha256: str, clock: Any
) -> dict:
    """What parameters.json records of a training, but for the saved model.

    Parameters
    ----------
    network : networks.Network
    cells : loading.Cells
    notes : list of str
        What must be said beside every figure.
    manifest_sha256 : str
        Of the run's manifest.csv.
    clock : runs.Clock

    Returns
    -------
    dict

    Examples
    --------
    >>> recorded = describe(network, cells, ["synthetic cells"], "ab12", Clock())
    >>> recorded["architecture"], recorded["cut"], recorded["parameters"]["trained"]
    ('mobilenet', 'pooled', 2050)
    """
    return {
        "architecture": network.architecture.name,
        "classes": network.classes,
        "notes": notes,
        "training": identify(network, cells),
        "settings": network.settings.model_dump(),
        "weights": network.source.record(),
        "cut": network.cut,
        "parameters": network.parameters(),
        "manifest_sha256": manifest_sha256,
        "device": building.device(),
        "engine": "none: nothing is frozen"
        if network.cut == "pixels"
        else engines.choose(network.settings.engine),
        "versions": versions(),
        "seconds": clock.seconds,
    }
