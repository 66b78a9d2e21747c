"""A saved model is checked before it is opened, and loaded with what was recorded about it."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from .._core import files
from .._core.errors import InputError
from ..networks import building, hdf5, registry
from ..networks.ensemble import join
from ..runs import Result
from ..settings import TrainingSettings, validate

if TYPE_CHECKING:
    from ..networks.building import Network

# Of a file that Keras has saved.
MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
MOST_CLASSES = 10_000
MOST_RATIO = 20  # weights can hardly be packed
REMEDY = "give a model.keras of a finished run"


def result_of(model: str | Path) -> Result:
    """The result that a model, or its folder, belongs to."""
    path = Path(model)
    return Result(path if path.is_dir() else path.parent)


def load(path: str | Path) -> Network:
    """Load a model of this project without running code from the file.

    The network is rebuilt from the recorded settings by the project's own code; of the file only
    the weights are read, after its SHA-256 has been compared with the run's record.

    Parameters
    ----------
    path : str or Path
        ``model.keras``, or the folder that holds it beside ``parameters.json``.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        If the file is not one that this project has written.

    Examples
    --------
    >>> from allhelpers import training
    >>> from allhelpers.running import Clock
    >>> from allhelpers.runs import Result
    >>> options = {"manifest_sha256": "ab12", "clock": Clock()}
    >>> record = training.describe(network, cells, ["synthetic cells"], **options)
    >>> outcome = {"predictions": predictions, "metrics": {}, "record": record}
    >>> training.finish(network, Result("mobilenet"), **outcome)
    >>> load("mobilenet").classes
    ('all', 'hem')
    """
    result = result_of(path)
    path = result.model_path if Path(path).is_dir() else Path(path)
    record = _record(result, path)
    if record["model"]["sha256"] != files.sha256(path):
        raise InputError(
            f"{path} is not the model that {result.record_path} records (SHA-256 differs): "
            "use an unchanged run."
        )
    _check_members(path)
    name = record["architecture"]
    network = _built(record)
    try:
        network.full.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(
            f"{path} does not hold the weights of {name} ({error}): use an unchanged run."
        ) from error
    return replace(network, threshold=(record.get("calibration") or {}).get("threshold"))


def _built(record: dict[str, Any]) -> Network:
    """The network that a record describes, without its weights."""
    classes = tuple(map(str, record["classes"]))
    members = [_built({**member, "classes": classes}) for member in record.get("members") or ()]
    if record["architecture"] == registry.ENSEMBLE:
        return join(members)
    settings = validate(TrainingSettings, record["settings"])
    return building.build(registry.get(record["architecture"]), settings, None, classes=classes)


def _record(result: Result, path: Path) -> dict[str, Any]:
    """What was recorded of a model, as far as it is needed; the keys are there."""
    if not path.is_file() or not result.record_path.is_file():
        raise InputError(f"{path} with parameters.json beside it does not exist: {REMEDY}.")
    try:
        record = result.record()
        known = record["model"]["sha256"], record["architecture"], record["settings"]
        classes = record["classes"]
        whole = [type(each) for each in known] == [str, str, dict] and isinstance(classes, list)
        if not (whole and 1 < len(classes) <= MOST_CLASSES and len(set(classes)) == len(classes)):
            raise TypeError("not what a training records")
        if not all(isinstance(label, str) and label for label in classes):
            raise TypeError("classes without names")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{result.record_path} is not the record of a finished run: {REMEDY}."
        ) from error
    return record


def _check_members(path: Path) -> None:
    """A forged record fits a forged file; so it must also look like one of this project."""
    try:
        with zipfile.ZipFile(path) as archive:
            problem = _problem_of(archive.infolist(), path)
            if not problem:
                with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stream:
                    hdf5.check_links(stream, path)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, zlib.error):
        problem = "it is no Keras file"
    if problem:
        raise InputError(f"{path} is refused ({problem}): {REMEDY}.")


def _problem_of(members: list[zipfile.ZipInfo], path: Path) -> str | None:
    if len(members) != len(MEMBERS) or {member.filename for member in members} != MEMBERS:
        return "it holds something else than weights and their description"
    if sum(member.file_size for member in members) > MOST_RATIO * path.stat().st_size:
        return "it unpacks to far more than its size"
    return None
