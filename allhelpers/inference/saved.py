"""A saved model is checked before it is opened, and loaded with what was recorded about it."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pandas as pd

from .._core import files
from .._core.errors import InputError
from .._core.files import read_json
from ..networks import building, hdf5, registry
from ..settings import TrainingSettings, validate

if TYPE_CHECKING:
    from ..networks.building import Network
MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}  # of a file that Keras has saved

MOST_RATIO = 20  # weights can hardly be packed


def load(path: str | Path) -> Network:
    """Load a model of this project without running code from the file.

    The network is rebuilt from the recorded settings by the project's own code; of the file only the weights are
    read, after its SHA-256 has been compared with the run's record.

    Parameters
    ----------
    path : str or Path
        ``model.keras``, or the folder that holds it beside ``parameters.json``.

    Returns
    -------
    networks.Network

    Raises
    ------
    InputError
        If the file is not one that this project has written.

    Examples
    --------
    >>> recorded = describe(network, cells, ["synthetic cells"], "ab12", Clock())
    >>> finish(network, "mobilenet", predictions, {}, recorded)
    >>> load("mobilenet").classes
    ('all', 'hem')
    """
    path = Path(path)
    path = path / "model.keras" if path.is_dir() else path
    record = path.parent / "parameters.json"
    if not path.is_file() or not record.is_file():
        raise InputError(
            f"{path} with parameters.json beside it does not exist: give a model.keras of a finished run."
        )
    try:
        recorded = read_json(record)
        sha256, name, chosen = (
            recorded["model"]["sha256"],
            recorded["architecture"],
            recorded["settings"],
        )
        classes = tuple(map(str, recorded["classes"]))
    except (ValueError, KeyError, TypeError) as error:
        problem = (
            f"{record} is not the record of a finished run: give a model.keras of a finished run."
        )
        raise InputError(problem) from error
    if sha256 != files.sha256(path):
        raise InputError(
            f"{path} is not the model that {record} records (SHA-256 differs): use an unchanged run."
        )
    _check_members(path)
    network = building.build(
        registry.get(name), validate(TrainingSettings, chosen), None, classes=classes
    )
    try:
        network.full.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(
            f"{path} does not hold the weights of {name} ({error}): use an unchanged run."
        ) from error
    return network


def _check_members(path: Path) -> None:
    """A forged record fits a forged file; so the file must also look like one that this project writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            problem = _problem_of(archive.infolist(), path)
            if not problem:
                with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stream:
                    hdf5.check_links(stream, path)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, zlib.error):
        problem = "it is no Keras file"
    if problem:
        raise InputError(f"{path} is refused ({problem}): give a model.keras of a finished run.")


def _problem_of(members: pd.Series, path: Path) -> Any:
    if len(members) != len(MEMBERS) or {member.filename for member in members} != MEMBERS:
        return "it holds something else than weights and their description"
    if sum(member.file_size for member in members) > MOST_RATIO * path.stat().st_size:
        return "it unpacks to far more than its size"
    return None
