"""What is asked becomes a plan: which notebooks run, with which parameters, into which folder."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from .._core.packaged import home, packaged
from ..data.own_cells import FOLDERS
from ..data.synthetic import SYNTHETIC_NOTE
from ..networks import pretrained, registry
from ..networks.pretrained import RANDOM_NOTE
from ..networks.registry import CLASSICAL
from ..settings import (
    PER_ARCHITECTURE,
    ClassicalSettings,
    ComparisonSettings,
    DataSettings,
    RunSettings,
    TrainingSettings,
    validate,
)
from .parameters import per_architecture

ROOT = home()

NOTEBOOKS = packaged("notebooks")


def _steps(
    common: Any, per_name: dict[str, TrainingSettings | ClassicalSettings], folder: Path
) -> Any:
    """Notebooks of a run, in order, with their parameters."""
    chosen = {"run_folder": str(folder), **_paths(common)}
    steps = [("1_data_split", _only(DataSettings, chosen))]
    networks = {name: own for name, own in per_name.items() if name not in CLASSICAL}
    steps += [
        (f"2_{name}", _only(TrainingSettings, {**chosen, **own})) for name, own in networks.items()
    ]
    if classifiers := [name for name in per_name if name in CLASSICAL]:
        parameters = {**chosen, **per_name[classifiers[0]], "classifiers": ",".join(classifiers)}
        steps += [("2_classical", _only(ClassicalSettings, parameters))]
    return [*steps, ("3_comparison", _only(ComparisonSettings, chosen))]


def settings_of(values: dict) -> tuple[DataSettings, dict[str, TrainingSettings]]:
    """Settings that the notebooks of a run will have."""
    common, per_name = _plan(values)
    steps = dict(_steps(common, per_name, Path(_data(common).run_folder)))
    training = {}
    for name in per_name:
        if name not in CLASSICAL:
            given = steps[f"2_{name}"]
            size = given.get("input_size") or registry.get(name).input_size
            training[name] = TrainingSettings(**{**given, "input_size": size})
    return DataSettings(**steps["1_data_split"]), training


def expand(values: dict) -> list[dict]:
    """Several splits or seeds, separated by commas, as one set of settings each."""
    several = {
        name: values[name].split(",")
        for name in ("split", "seed")
        if isinstance(values.get(name), str)
    }
    try:
        several |= {"seed": [int(seed) for seed in several["seed"]]} if "seed" in several else {}
    except ValueError:
        return [values]  # the settings class says what is wrong with it
    return [
        {**values, **dict(zip(several, choice, strict=True))}
        for choice in itertools.product(*several.values())
    ]


def folder_of(values: dict, output: str | Path | None = None) -> Path:
    """Folder of one of several runs: named after its split and its seed, inside ``output``."""
    data = _data(values)
    return (
        Path(output or ROOT / "runs" / _images_name(data)) / f"{_split_name(data)}-seed{data.seed}"
    )


def check(values: dict) -> None:
    """Validate the settings of a run and find its weights, without running or writing anything.

    Parameters
    ----------
    values : dict
        Settings by name, as for `run`.

    Raises
    ------
    InputError
        If a setting or the weights cannot be used.

    Examples
    --------
    >>> check({"architectures": "mobilenet", "weights": "random", "crop": 10})
    Traceback (most recent call last):
        ...
    allhelpers.errors.InputError: crop = 10 is too small for a cell: choose 64 or more, or 0.
    """
    _plan(values)


def _plan(values: dict[str, Any]) -> Any:
    """Validate everything and find all weights before any work."""
    common = {k: v for k, v in values.items() if k not in PER_ARCHITECTURE}
    own = {k: v for k, v in values.items() if k in PER_ARCHITECTURE}
    base = validate(RunSettings, per_architecture(values, None))
    per_name = {}
    for name in base.names:
        picked = per_architecture(own, name)
        if name in CLASSICAL:
            per_name[name] = _only(ClassicalSettings, picked)
            continue
        checked = validate(TrainingSettings, {**_only(DataSettings, common), **picked})
        architecture = registry.get(name)
        architecture.cut(checked.unfreeze)
        source = pretrained.locate(architecture, checked.weights, checked.synthetic)
        found = str(source.path.absolute()) if source.source == "file" else source.source
        per_name[name] = {**picked, "weights": found}
    return {**common, "architectures": ",".join(base.names)}, per_name


def default_folder(common: Any) -> Any:
    """Folder of a run that names none: after its images and its split."""
    data = _data(common)
    return ROOT / "runs" / f"{_images_name(data)}-{_split_name(data)}"


def _images_name(data: Any) -> Any:
    """The images as a part of a folder's name."""
    return Path(data.images.replace(":", "-")).stem


def _split_name(data: Any) -> Any:
    """The split as a part of a folder's name."""
    return data.split.replace(":", "-").replace("/", "of")


def _data(common: Any) -> Any:
    return DataSettings(**_only(DataSettings, common))


def _only(kind: Any, values: dict[str, Any]) -> Any:
    return {name: value for name, value in values.items() if name in kind.model_fields}


def _paths(common: Any) -> Any:
    """Paths as seen from the user's folder, made absolute for the notebooks' kernels."""
    data = _data(common)
    absolute = {"cache_folder": str(Path(data.cache_folder).absolute())}
    if data.manifest and data.manifest != FOLDERS:
        absolute["manifest"] = str(Path(data.manifest).absolute())
    if not data.synthetic and not data.images.startswith("kaggle"):
        absolute["images"] = str(Path(data.images).absolute())
    return {**common, **absolute}


def _notes(common: Any, per_name: dict[str, TrainingSettings | ClassicalSettings]) -> Any:
    data = _data(common)
    random = [
        registry.get(name).title for name, own in per_name.items() if own.get("weights") == "random"
    ]
    notes = [f"{RANDOM_NOTE} ({', '.join(random)})"] if random else []
    return notes + ([SYNTHETIC_NOTE] if data.synthetic else [])


def _recorded(common: Any, per_name: dict[str, TrainingSettings | ClassicalSettings]) -> Any:
    """Settings as a file that gives the same run again."""
    names = sorted({key for own in per_name.values() for key in own})
    return {
        **_paths(common),
        **{k: {n: own[k] for n, own in per_name.items() if k in own} for k in names},
    }
