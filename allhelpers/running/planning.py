"""What is asked becomes a plan: which notebooks run, with which parameters, into which folder."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import RESEARCH_ONLY
from .._core.errors import InputError
from .._core.files import sha256
from .._core.packaged import home, named, packaged
from .._core.renaming import renamed
from ..data import own_cells, short_tables, sources
from ..data.own_cells import FOLDERS
from ..data.synthetic import SYNTHETIC_NOTE
from ..networks import pretrained, registry
from ..networks.pretrained import RANDOM_NOTE
from ..networks.registry import CLASSICAL, ENSEMBLE
from ..runs import Run
from ..settings import (
    PER_ARCHITECTURE,
    ClassicalSettings,
    ComparisonSettings,
    DataSettings,
    EnsembleSettings,
    MethodSettings,
    RunSettings,
    TrainingSettings,
    as_meant,
    validate,
)
from . import estimates, notebooks
from .parameters import per_architecture

if TYPE_CHECKING:
    from pydantic import BaseModel

ROOT = home()
NOTEBOOKS = packaged("notebooks")
ENSEMBLE_NOTEBOOK = f"2_{ENSEMBLE}"
CELLS = "1_data_split"  # the notebook that reads them

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """One run: settings validated and weights found, once.

    Attributes
    ----------
    common : dict
        Settings of all notebooks, with absolute paths.
    methods : dict of str to dict
        For each network and classifier what it is given beside them.
    place : str
        The folder that the settings name, if they do.
    overwrite : bool
        Whether the settings ask for an earlier run to be deleted.

    Examples
    --------
    >>> plan = plan_run({"architectures": "mobilenet", "weights": "random", "epochs": 5})
    >>> plan.settings_of("mobilenet").epochs, plan.is_finished("runs/nothing")
    (5, False)
    """

    common: dict[str, Any]
    methods: dict[str, dict[str, Any]]
    place: str = ""
    overwrite: bool = False

    @cached_property
    def data(self) -> DataSettings:
        """Which cells, and who trains and who tests."""
        return validate(DataSettings, _only(DataSettings, self.common))

    @cached_property
    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Notebooks, in order, with their parameters, but for the run's folder."""
        steps = [(CELLS, _only(DataSettings, self.common))]
        steps += [(f"2_{name}", self._given(name)) for name in self.networks]
        if ENSEMBLE in self.methods:
            members = ",".join(self.networks)
            steps.append((ENSEMBLE_NOTEBOOK, {**self._given(ENSEMBLE), "members": members}))
        if classifiers := [name for name in self.methods if name in CLASSICAL]:
            given = {**self._given(classifiers[0]), "classifiers": ",".join(classifiers)}
            steps.append(("2_classical", given))
        return [*steps, ("3_comparison", _only(ComparisonSettings, self.common))]

    def _given(self, method: str) -> dict[str, Any]:
        """What the settings class of a method's notebook knows of what is given."""
        return _only(_kind_of(method), {**self.common, **self.methods[method]})

    @property
    def networks(self) -> list[str]:
        """The networks among the methods, which an ensemble joins."""
        return [name for name in self.methods if name not in (*CLASSICAL, ENSEMBLE)]

    @property
    def default_folder(self) -> Path:
        """The one that the settings name; else after its images and its split."""
        if self.place:
            return Path(self.place)
        return ROOT / "runs" / f"{_images_name(self.data)}-{_split_name(self.data)}"

    @property
    def notes(self) -> list[str]:
        """What must be said about weights and cells."""
        random = [
            registry.get(name).title
            for name, own in self.methods.items()
            if own.get("weights") == "random"
        ]
        notes = [f"{RANDOM_NOTE} ({', '.join(random)})"] if random else []
        return notes + ([SYNTHETIC_NOTE] if self.data.synthetic else [])

    @property
    def inputs(self) -> list[Path]:
        """Files and folders that the run reads."""
        places = [self.common.get("images", ""), self.common.get("manifest", "")]
        places += [own.get("weights", "") for own in self.methods.values()]
        return [Path(place) for place in places if os.path.isabs(place)]

    @property
    def record(self) -> dict[str, Any]:
        """Settings as a file that gives the same run again."""
        names = sorted({name for own in self.methods.values() for name in own})
        each = {
            name: {method: own[name] for method, own in self.methods.items() if name in own}
            for name in names
        }
        return {**self.common, **each}

    def settings_of(self, method: str) -> MethodSettings:
        """Settings that the notebook of one network, or of the classifiers, will have."""
        kind, given = _kind_of(method), self._given(method)
        if kind is TrainingSettings:
            given["input_size"] = given.get("input_size") or registry.get(method).input_size
        return kind(**given)

    def is_finished(self, folder: str | Path) -> bool:
        """Whether all its notebooks have run to their end in a folder, and nothing has changed."""
        folder = _resolved(folder)
        return all(self._shortfall(name, given, folder) is None for name, given in self.steps)

    def _shortfall(self, name: str, given: Mapping[str, Any], folder: Path) -> str | None:
        """Why a notebook is to be run in a folder, as `notebooks.shortfall`."""
        missing = notebooks.shortfall(_source(name), folder, _placed(given, folder))
        if missing is None and name == CELLS:
            seen = Run(folder).inputs()
            if seen is not None and seen != identity(self.data):
                return "the images or their table are not those that it has read"
        return missing

    def run(
        self,
        folder: str | Path | None = None,
        *,
        overwrite: bool = False,
        retries: int = 0,
        given: Iterable[Path] = (),
    ) -> Path:
        """As `run_notebooks`; a notebook that fails is tried again, up to ``retries`` times."""
        folder = _resolved(folder or self.default_folder)
        overwrite = overwrite or self.overwrite
        for line in [*self.notes, RESEARCH_ONLY]:
            logger.info("* %s", line)
        for left in reversed(range(retries + 1)):
            try:
                with notebooks.alone(folder):
                    inputs = [*given, *self.inputs]
                    Run(folder).claim(self.record, overwrite=overwrite, inputs=inputs)
                    overwrite = False  # what the next attempt finds is this run's own
                    self._execute(folder)
                break
            except InputError as error:
                if not left:
                    raise
                logger.info("failed, and tried again: %s", error)
        return folder

    def _execute(self, folder: Path) -> None:
        run, anything_new = Run(folder), False
        for number, (name, given) in enumerate(self.steps, 1):
            label = f"{number}/{len(self.steps)} {name}"
            missing = self._shortfall(name, given, folder)
            # These show what the others have left.
            stale = name in (ENSEMBLE_NOTEBOOK, "3_comparison") and anything_new
            if missing is None and not stale:
                logger.info("%s: finished already, not run again", label)
                continue
            if missing:
                logger.info("%s: %s: computed again", label, missing)
            if number == 1 and self.data.manifest == FOLDERS and not self.data.synthetic:
                # Said before anything runs.
                data = self.data.model_copy(update={"run_folder": str(folder)})
                own_cells.from_folders(sources.open_images(data), data.layout)
            if number == 2:  # the cells are known now
                methods = {method: self.settings_of(method) for method in self.methods}
                logger.info("* %s", estimates.estimate(methods, run.manifest()))
            # What is read is told before it is read: what changes meanwhile is seen the next time.
            seen = {"inputs": identity(self.data)} if name == CELLS else {}
            run.begin(name)
            placed = _placed(given, folder)
            notebooks.execute(_source(name), run.notebook(name), placed, project=ROOT, label=label)
            run.seal(name, run.left_by(name, notebooks.methods_of(name, placed)), **seen)
            anything_new = True


def plan_run(values: Mapping[str, Any]) -> Plan:
    """Validate the settings of a run and find its weights, without running or writing anything.

    Parameters
    ----------
    values : mapping of str to value
        Settings by name (see `settings.RunSettings`); training settings may be a dict of
        architecture to value.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If a setting or the weights cannot be used.

    Examples
    --------
    >>> plan = plan_run({"architectures": "mobilenet,svm", "weights": "random"})
    >>> [name for name, parameters in plan.steps]
    ['1_data_split', '2_mobilenet', '2_classical', '3_comparison']
    >>> plan_run({"architectures": "mobilenet", "weights": "random", "crop": 10})
    Traceback (most recent call last):
        ...
    allhelpers._core.errors.InputError: crop = 10 is too small for a cell: choose 64 or more, or 0.
    """
    values = as_meant(RunSettings, renamed(values))
    base = validate(RunSettings, per_architecture(values, None))
    check_there(base)  # before weights are looked for
    place = os.path.expanduser(values.pop("run_folder", ""))
    overwrite = values.pop("overwrite", False)
    common = {name: value for name, value in values.items() if name not in PER_ARCHITECTURE}
    own = {name: value for name, value in values.items() if name in PER_ARCHITECTURE}
    methods = {name: _method(name, common, per_architecture(own, name)) for name in base.names}
    if ENSEMBLE in methods and len(set(methods) - {ENSEMBLE, *CLASSICAL}) < 2:
        raise InputError(
            "An ensemble joins two networks or more: name them too, as in "
            "--architectures mobilenet,vgg16,ensemble."
        )
    common |= {"architectures": ",".join(base.names), **_absolute_paths(common)}
    return Plan(common, methods, place, overwrite)


def _kind_of(method: str) -> type[MethodSettings]:
    """The settings class of a method's notebook."""
    if method in CLASSICAL:
        return ClassicalSettings
    return EnsembleSettings if method == ENSEMBLE else TrainingSettings


def _method(name: str, common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """One method's own settings, checked, its weights found."""
    kind = _kind_of(name)
    if kind is not TrainingSettings:
        return _only(kind, {"calibrate": True, **own})  # an ensemble's default
    checked = validate(TrainingSettings, {**_only(DataSettings, common), **own})
    architecture = registry.get(name)
    architecture.cut(checked.unfreeze)
    weights = pretrained.locate(architecture, checked.weights, checked.synthetic)
    own_file = weights.path if weights.source == "file" else None
    place = str(own_file.absolute()) if own_file else weights.source
    return {**own, "weights": place}


def expand(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Several splits or seeds, separated by commas, as one set of settings each."""
    lists: dict[str, list[Any]] = {
        name: list(dict.fromkeys(values[name].split(",")))  # the same one twice is one run
        for name in ("split", "seed")
        if isinstance(values.get(name), str)
    }
    try:
        lists |= {"seed": [int(seed) for seed in lists["seed"]]} if "seed" in lists else {}
    except ValueError:
        return [dict(values)]  # the settings class says what is wrong with it
    return [
        {**values, **dict(zip(lists, choice, strict=True))}
        for choice in itertools.product(*lists.values())
    ]


def folder_of(values: Mapping[str, Any], output: str | Path | None = None) -> Path:
    """Folder of one of several runs: named after its split and its seed, inside ``output``."""
    data = validate(DataSettings, _only(DataSettings, values))
    place = Path(output or ROOT / "runs" / _images_name(data))
    return place / f"{_split_name(data)}-seed{data.seed}"


def run_notebooks(
    values: Mapping[str, Any],
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    given: Iterable[Path] = (),
) -> Path:
    """Run the notebooks of all stages; a run that was stopped goes on where it stopped.

    A notebook that has finished in this run folder, with the same parameters and the same code
    cells, is not executed again.

    Parameters
    ----------
    values : mapping of str to value
        Settings by name, as for `plan_run`.
    output : str or Path, optional
        The run folder; by default the settings' ``run_folder``, or ``runs/<images>-<split>``.
    overwrite : bool
        Replace the files of an earlier run that lies there, and no others.
    given : iterable of Path
        Files that the run is made from, such as a settings file: they are never replaced.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        If a setting or the weights cannot be used (nothing is written then), the folder holds
        something else, another process works there, or a notebook fails.

    Examples
    --------
    It executes four notebooks, which takes minutes::

        values = {"architectures": "mobilenet,vgg16", "weights": "random", "unfreeze": "none"}
        run_notebooks(values, "runs/two")
    """
    return plan_run(values).run(output, overwrite=overwrite, given=given)


def run_study(
    notebook: str,
    kind: type[DataSettings],
    values: Mapping[str, Any],
    *,
    output: str | Path | None = None,
) -> Path:
    """Run one notebook that stands by itself.

    Parameters
    ----------
    notebook : str
        Its name, without folder and suffix.
    kind : type
        The settings class of its parameters.
    values : mapping of str to value
        Settings by name.
    output : str or Path, optional
        The run folder; by default ``runs/<notebook>``.

    Returns
    -------
    Path
        The executed notebook.

    Raises
    ------
    InputError
        If a setting cannot be used, or the notebook fails.

    Examples
    --------
    It executes a notebook, which takes minutes::

        name = "4_optimizers_and_activations"
        run_study(name, ChoicesSettings, {"epochs": 10}, output="runs/choices")
    """
    values = renamed(values)
    check_there(validate(kind, values))
    folder = _resolved(output or ROOT / "runs" / notebook)
    given = _placed({**values, **_absolute_paths(values)}, folder)
    if Path(given.get("weights", "")).is_file():
        given["weights"] = str(Path(given["weights"]).absolute())
    target = Run(folder).notebook(notebook)
    notebooks.execute(_source(notebook), target, given, project=ROOT, label=notebook)
    return target


def _source(notebook: str) -> Path:
    return NOTEBOOKS / f"{notebook}.ipynb"


def _resolved(folder: str | Path) -> Path:
    """One folder has one name, by whichever links it is reached."""
    return Path(os.path.realpath(folder))


def check_there(data: DataSettings) -> None:
    """Refuse a path of images or of a table that leads nowhere."""
    if data.manifest and data.manifest != FOLDERS:
        short_tables.check_there(named(data.manifest))
    if _is_elsewhere(data):
        return
    place = Path(data.images)
    if not place.exists():
        raise InputError(
            f"The folder of images {data.images} does not exist: "
            "give a folder, an archive or 'sample'."
        )
    if place.is_dir() and not any(path.is_file() for path in place.rglob("*")):
        raise InputError(f"There is no image in {data.images}: check the path.")


def identity(data: DataSettings) -> str:
    """What changes when an image, the table, or which images there are does: cheap to find."""
    parts = []
    if data.manifest and data.manifest != FOLDERS and named(data.manifest).is_file():
        parts.append(sha256(named(data.manifest)))
    place = Path(data.images)
    if not _is_elsewhere(data) and place.is_file():
        parts.append(f"{place.stat().st_size} {place.stat().st_mtime_ns}")
    elif not _is_elsewhere(data) and place.is_dir():
        source = sources.Folder(place)
        parts += [f"{source.name(each)} {source.stamp(each)}" for each in source.members]
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def _is_elsewhere(data: DataSettings) -> bool:
    """Whether the images are drawn, or Kaggle's."""
    return data.synthetic or sources.is_kaggle(data.images)


def _placed(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A notebook's parameters in a run's folder."""
    return {**given, "run_folder": str(folder)}


def _only(kind: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in kind.model_fields}


def _images_name(data: DataSettings) -> str:
    """The images as a part of a folder's name."""
    return Path(data.images.replace(":", "-")).stem


def _split_name(data: DataSettings) -> str:
    """The split as a part of a folder's name."""
    return data.split.replace(":", "-").replace("/", "of")


def _absolute_paths(values: Mapping[str, Any]) -> dict[str, str]:
    """Paths as seen from the user's folder, made absolute for the notebooks' kernels."""
    data = validate(DataSettings, _only(DataSettings, values))
    absolute = {"cache_folder": str(Path(data.cache_folder).absolute())}
    if data.manifest and data.manifest != FOLDERS:
        absolute["manifest"] = str(Path(data.manifest).absolute())
    if not _is_elsewhere(data):
        absolute["images"] = os.path.abspath(data.images)
    return absolute
