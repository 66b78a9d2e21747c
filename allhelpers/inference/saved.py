"""A saved model is checked before it is opened, and loaded with what was recorded about it."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator

from .._core import files
from .._core.errors import InputError
from ..networks import registry
from ..runs import Result
from ..settings import TrainingSettings, validate
from ..training.familiarity import COMPARED, Familiarity

if TYPE_CHECKING:
    from ..networks.building import Network

# Of a file that Keras has saved.
MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
MOST_RATIO = 20  # weights can hardly be packed
# More than any training makes; the network is built before its weights are read.
MOST_CLASSES, MOST_UNITS, MOST_SEED, MOST_SAMPLE = 1000, 65536, 2**32 - 1, 100_000
REMEDY = "give a model.keras of a finished run"


class _File(BaseModel):
    """A file beside the record."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Familiar(_File):
    """What the training cells are like, but for their features, which are the file."""

    farthest: Annotated[float, Field(ge=0, le=2)]
    ranges: dict[str, Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]]

    @field_validator("ranges")
    @classmethod
    def _of_nuisances(cls, ranges: dict[str, list[float]]) -> dict[str, list[float]]:
        if not set(ranges) <= set(COMPARED):
            raise ValueError(f"names of {', '.join(COMPARED)}")
        return ranges


class _Member(BaseModel):
    """A network of an ensemble."""

    architecture: str
    settings: dict[str, Any]


class _Calibration(BaseModel):
    """What predictions need of it; the temperature is in the model."""

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class Record(BaseModel):
    """What parameters.json must hold before a model is used; it holds more."""

    model_config = ConfigDict(extra="allow", strict=True)

    architecture: str
    classes: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=MOST_CLASSES)]
    notes: list[str] = []
    settings: dict[str, Any]
    model: _File
    familiar: _Familiar | None = None
    members: list[_Member] = []
    calibration: _Calibration = _Calibration()

    @field_validator("classes")
    @classmethod
    def _several_and_different(cls, classes: list[str]) -> list[str]:
        if len(set(classes)) < max(2, len(classes)):
            raise ValueError("two names or more, each once")
        return classes


@dataclass(frozen=True)
class SavedModel:
    """A model whose file and record belong together; nothing has been built yet."""

    path: Path  # model.keras
    record: Record
    settings: TrainingSettings

    @property
    def classes(self) -> tuple[str, ...]:
        """What the probabilities are of, in this order."""
        return tuple(self.record.classes)

    @property
    def threshold(self) -> float | None:
        """Probability of the positive class from which on a cell is predicted positive."""
        return self.record.calibration.threshold

    def familiar(self) -> Familiarity | None:
        """What the model's training cells were like; nothing for a model of an older version."""
        if self.record.familiar is None:
            return None
        path, known = Result(self.path.parent).familiar_path, self.record.familiar
        if not path.is_file() or files.sha256(path) != known.sha256:
            raise InputError(f"{path} is not the file that was written with {self.path}: {REMEDY}.")
        return Familiarity.read(
            path, known.farthest, {name: (low, high) for name, (low, high) in known.ranges.items()}
        )

    def network(self) -> Network:
        """Build the network or the ensemble, and load its weights."""
        from ..networks import building, ensemble

        _check_members(self.path)
        name = self.record.architecture
        each = [
            building.build(registry.get(part), settings, None, classes=self.classes)
            for part, settings in self._parts()
        ]
        network = ensemble.join(each) if name == registry.ENSEMBLE else each[0]
        try:
            network.full.load_weights(self.path)
        except (ValueError, KeyError, OSError) as error:
            raise InputError(
                f"{self.path} does not hold the weights of {name} ({error}): use an unchanged run."
            ) from error
        if not all(np.isfinite(array).all() for array in network.full.get_weights()):
            raise InputError(f"{self.path} holds weights that are not finite: train it again.")
        return replace(network, threshold=self.threshold)

    def _parts(self) -> list[tuple[str, TrainingSettings]]:
        """Architectures and settings of what it is built from."""
        if self.record.architecture != registry.ENSEMBLE:
            return [(self.record.architecture, self.settings)]
        return [
            (each.architecture, _settings(each.settings, self.path)) for each in self.record.members
        ]


def result_of(model: str | Path) -> Result:
    """The result that a model, or its folder, belongs to."""
    path = Path(model)
    return Result(path if path.is_dir() else path.parent)


def find(path: str | Path) -> SavedModel:
    """Check a model's file and record, without building the network."""
    result = result_of(path)
    path = result.model_path if Path(path).is_dir() else Path(path)
    if not path.is_file() or not result.record_path.is_file():
        raise InputError(f"{path} with parameters.json beside it does not exist: {REMEDY}.")
    record = _record(result)
    if record.model.sha256 != files.sha256(path):
        raise InputError(
            f"{path} is not the model that {result.record_path} records (SHA-256 differs): "
            "use an unchanged run."
        )
    registry.title_of(record.architecture)
    model = SavedModel(path, record, _settings(record.settings, path))
    for name, _ in model._parts():
        registry.get(name)
    return model


def _settings(recorded: Mapping[str, Any], path: Path) -> TrainingSettings:
    """Settings that a training can have had."""
    settings = validate(TrainingSettings, recorded)
    limits = {"hidden_units": MOST_UNITS, "seed": MOST_SEED, "sample_cells": MOST_SAMPLE}
    for name, most in limits.items():
        if (said := getattr(settings, name)) > most:
            raise InputError(
                f"The record of {path} says {name} = {said}, more than {most}, "
                f"which no training has: {REMEDY}."
            )
    return settings


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
    return find(path).network()


def _record(result: Result) -> Record:
    """What was recorded of a model, as far as it is needed, each of its type."""
    try:
        content = files.read_json(result.record_path)
        if not isinstance(content, Mapping):
            raise ValueError("it is no table of names and values")
        return Record(**content)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        problem = str(error)
    raise InputError(
        f"{result.record_path} is not the record of a finished run ({problem}): {REMEDY}."
    )


def _check_members(path: Path) -> None:
    """A forged record fits a forged file; so it must also look like one of this project."""
    import h5py

    from ..networks import hdf5

    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            problem = ""
            if sorted(member.filename for member in members) != sorted(MEMBERS):
                problem = "it holds something else than weights and their description"
            elif sum(member.file_size for member in members) > MOST_RATIO * path.stat().st_size:
                problem = "it unpacks to far more than its size"
            else:
                with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stream:
                    hdf5.check_links(stream, path)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, zlib.error):
        problem = "it is no Keras file"
    if problem:
        raise InputError(f"{path} is refused ({problem}): {REMEDY}.")
