"""Papermill over the notebooks: the same notebooks as by hand, one after the other, into one run folder."""

import hashlib
import itertools
import logging
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from . import RESEARCH_ONLY, architectures, estimates, methods, own_cells, pretrained, runs, settings
from .errors import InputError, listing

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"


def run(values, output=None, overwrite=False):
    """Run the notebooks of all stages; a run that was stopped goes on where it stopped.

    A notebook that has finished in this run folder, with the same parameters and the same code cells, is not executed
    again.

    Parameters
    ----------
    values : dict
        Settings by name (see `settings.RunSettings`); training settings may be a dict of architecture to value.
    output : str or Path, optional
        The run folder; by default ``runs/<images>-<split>``.
    overwrite : bool
        Delete an earlier run with other settings that lies there.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        If a setting or the weights cannot be used (nothing is written then), or if a notebook fails.

    Examples
    --------
    It executes four notebooks, which takes minutes::

        run({"architectures": "mobilenet,vgg16", "weights": "random", "unfreeze": "none"}, "runs/two")
    """
    overwrite = values.get("overwrite", False) or overwrite
    common, per_name = _plan({name: value for name, value in values.items() if name != "overwrite"})
    folder = Path(output or default_folder(common)).absolute()
    notes = _notes(common, per_name)
    for line in [*notes, RESEARCH_ONLY]:
        print(f"* {line}", flush=True)
    with _alone(folder):
        _claim(folder, _recorded(common, per_name), overwrite)
        _run_steps(common, per_name, folder)
    return folder


def attempt(values, folder, retries):
    """Run the notebooks, and again if they fail.

    Parameters
    ----------
    values : dict
        Settings by name, as for `run`.
    folder : Path
        The run folder.
    retries : int
        How often at most.

    Returns
    -------
    InputError or None
        Why the last attempt failed; its ``notebook`` says where, if it was in one.

    Examples
    --------
    >>> error = attempt({"architectures": "mobilenet", "weights": "nowhere.h5"}, Path("new"), retries=0)
    >>> str(error).partition(":")[0]
    'The weights file nowhere.h5 for MobileNet does not exist'
    """
    for left in reversed(range(retries + 1)):
        try:
            run(values, folder)
        except InputError as error:
            if not left:
                return error
            print(f"failed, and tried again: {error}", flush=True)
        else:
            break
    return None


@contextmanager
def _alone(folder):
    """Refuse to run twice in one folder at the same time; the lock goes with the process."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"allhelpers-{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"Another process is running in {folder}: wait for it, or choose another --output.") from error
    try:
        yield
    finally:
        lock.release()


def _steps(common, per_name, folder):
    """Notebooks of a run, in order, with their parameters."""
    chosen = {"run_folder": str(folder), **_paths(common)}
    steps = [("1_data_split", _only(settings.DataSettings, chosen))]
    networks = {name: own for name, own in per_name.items() if name not in methods.CLASSICAL}
    steps += [(f"2_{name}", _only(settings.TrainingSettings, {**chosen, **own})) for name, own in networks.items()]
    if classifiers := [name for name in per_name if name in methods.CLASSICAL]:
        parameters = {**chosen, **per_name[classifiers[0]], "classifiers": ",".join(classifiers)}
        steps += [("2_classical", _only(settings.ClassicalSettings, parameters))]
    return [*steps, ("3_comparison", _only(settings.ComparisonSettings, chosen))]


def _run_steps(common, per_name, folder):
    steps = _steps(common, per_name, folder)
    anything_new = False
    for number, (notebook, parameters) in enumerate(steps, 1):
        label = f"{number}/{len(steps)} {notebook}"
        stale = notebook == "3_comparison" and anything_new  # it shows what the others have left
        if not stale and is_finished(notebook, parameters, folder):
            print(f"{label}: finished already, not run again", flush=True)
            continue
        if number == 2:  # the cells are known now
            print(f"* {_estimate(common, per_name, folder)}", flush=True)
        _execute(notebook, parameters, folder, label)
        anything_new = True


def _estimate(common, per_name, folder):
    """How long the notebooks of all methods will take together."""
    chosen = {}
    for name, own in per_name.items():
        kind = settings.ClassicalSettings if name in methods.CLASSICAL else settings.TrainingSettings
        chosen[name] = kind(**_only(kind, {**common, **own}))
    return estimates.sentence(chosen, pd.read_csv(folder / "manifest.csv", usecols=["split"]))


def finished(values, folder):
    """Whether a whole run has ended.

    Parameters
    ----------
    values : dict
        Settings by name, as for `run`.
    folder : Path
        The run folder.

    Returns
    -------
    bool

    Examples
    --------
    >>> finished({"architectures": "mobilenet", "weights": "random"}, Path("new"))  # nothing has been run there
    False
    """
    steps = _steps(*_plan(values), folder)
    return all(is_finished(notebook, parameters, folder) for notebook, parameters in steps)


def settings_of(values):
    """Settings that the notebooks of a run will have.

    Parameters
    ----------
    values : dict
        Settings by name, as for `run`.

    Returns
    -------
    data : DataSettings
    training : dict of str to TrainingSettings
        For each network.

    Examples
    --------
    >>> data, training = settings_of({"architectures": "mobilenet,svm", "weights": "random", "epochs": 5})
    >>> data.images, {name: (one.input_size, one.epochs) for name, one in training.items()}
    ('sample', {'mobilenet': (224, 5)})
    """
    common, per_name = _plan(values)
    steps = dict(_steps(common, per_name, Path(_data(common).run_folder)))
    training = {}
    for name in per_name:
        if name not in methods.CLASSICAL:
            given = steps[f"2_{name}"]
            size = given.get("input_size") or architectures.get(name).input_size
            training[name] = settings.TrainingSettings(**{**given, "input_size": size})
    return settings.DataSettings(**steps["1_data_split"]), training


def is_finished(notebook, parameters, folder):
    """Whether a notebook has run to its end in a run folder.

    Parameters
    ----------
    notebook : str
        Its name, without folder and suffix.
    parameters : dict
        What it is to be run with.
    folder : Path
        The run folder.

    Returns
    -------
    bool
        ``False`` also where its parameters or its code cells were others, or where a file that it left is gone.

    Examples
    --------
    >>> is_finished("1_data_split", {"run_folder": "new"}, Path("new"))  # it has not been run there
    False
    """
    target = _executed(folder, notebook)
    if not target.is_file() or not all((folder / name).is_file() for name in _outputs(notebook, parameters)):
        return False
    executed, record = _read_notebook(target), {}
    if executed is not None:
        record = executed.metadata.get("papermill", {})
    # Papermill also calls a notebook ended that was interrupted: what was not executed has no number then.
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source] if executed else []
    whole = all(cell.execution_count for cell in code)
    ended = whole and record.get("end_time") and not record.get("exception")
    if not ended or record.get("parameters") != parameters:
        return False
    return _code(executed) == _code(_read_notebook(NOTEBOOKS / f"{notebook}.ipynb"))


def _outputs(notebook, parameters):
    """Files that a finished notebook has left in the run folder."""
    if notebook == "2_classical":
        return [f"{name}/metrics.json" for name in parameters["classifiers"].split(",")]
    if notebook.startswith("2_"):
        name = notebook.removeprefix("2_")
        return [f"{name}/{file}" for file in ("predictions.csv", "metrics.json", "parameters.json", "model.keras")]
    return {"1_data_split": ["manifest.csv", "data.json"], "3_comparison": ["comparison.csv", "report.html"]}[notebook]


def _executed(folder, notebook):
    return folder / "notebooks" / f"{notebook}.ipynb"


def _read_notebook(path):
    """A notebook, or ``None`` where the file is not one."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError):
        return None


def _code(notebook):
    """The code cells, without the parameters that papermill has put in."""
    injected = "injected-parameters"
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and injected not in cell.metadata.get("tags", [])
    ]


def expand(values):
    """Several splits or seeds, separated by commas, as one set of settings each.

    Parameters
    ----------
    values : dict
        Settings by name.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> [(one["split"], one["seed"]) for one in expand({"split": "patient:1/2,patient:2/2", "seed": "1,2"})]
    [('patient:1/2', 1), ('patient:1/2', 2), ('patient:2/2', 1), ('patient:2/2', 2)]
    """
    several = {name: values[name].split(",") for name in ("split", "seed") if isinstance(values.get(name), str)}
    try:
        several |= {"seed": [int(seed) for seed in several["seed"]]} if "seed" in several else {}
    except ValueError:
        return [values]  # the settings class says what is wrong with it
    return [{**values, **dict(zip(several, choice, strict=True))} for choice in itertools.product(*several.values())]


def folder_of(values, output=None):
    """Folder of one of several runs: named after its split and its seed, inside ``output``.

    Parameters
    ----------
    values : dict
        From `expand`.
    output : str or Path, optional
        By default ``runs/<images>``.

    Returns
    -------
    Path

    Examples
    --------
    >>> folder_of({"split": "patient:1/2", "seed": 3}, "cv").as_posix()
    'cv/patient-1of2-seed3'
    """
    data = _data(values)
    return Path(output or ROOT / "runs" / _images_name(data)) / f"{_split_name(data)}-seed{data.seed}"


def study(notebook, kind, values, output=None):
    """Run one notebook that stands by itself.

    Parameters
    ----------
    notebook : str
        Its name, without folder and suffix.
    kind : type
        The settings class of its parameters.
    values : dict
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
        If a setting cannot be used, or if the notebook fails.

    Examples
    --------
    It executes a notebook, which takes minutes::

        study("4_optimisers_and_activations", settings.ChoicesSettings, {"epochs": 10}, "runs/choices")
    """
    settings.validate(kind, values)
    folder = Path(output or ROOT / "runs" / notebook).absolute()
    chosen = {"run_folder": str(folder), **_paths(values)}
    if Path(chosen.get("weights", "")).is_file():
        chosen["weights"] = str(Path(chosen["weights"]).absolute())
    _execute(notebook, chosen, folder, notebook)
    return _executed(folder, notebook)


def check(values):
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


def _plan(values):
    """Validate everything and find all weights before any work."""
    common = {k: v for k, v in values.items() if k not in settings.PER_ARCHITECTURE}
    own = {k: v for k, v in values.items() if k in settings.PER_ARCHITECTURE}
    base = settings.validate(settings.RunSettings, settings.per_architecture(values, None))
    per_name = {}
    for name in base.names:
        picked = settings.per_architecture(own, name)
        if name in methods.CLASSICAL:
            per_name[name] = _only(settings.ClassicalSettings, picked)
            continue
        checked = settings.validate(settings.TrainingSettings, {**_only(settings.DataSettings, common), **picked})
        architecture = architectures.get(name)
        architecture.cut(checked.unfreeze)
        source = pretrained.locate(architecture, checked.weights, checked.synthetic)
        found = str(source.path.absolute()) if source.source == "file" else source.source
        per_name[name] = {**picked, "weights": found}
    return {**common, "architectures": ",".join(base.names)}, per_name


def default_folder(common):
    """Folder of a run that names none: after its images and its split.

    Examples
    --------
    >>> default_folder({"images": "sample", "split": "patient:1/2"}).name
    'sample-patient-1of2'
    """
    data = _data(common)
    return ROOT / "runs" / f"{_images_name(data)}-{_split_name(data)}"


def _images_name(data):
    """The images as a part of a folder's name."""
    return Path(data.images.replace(":", "-")).stem


def _split_name(data):
    """The split as a part of a folder's name."""
    return data.split.replace(":", "-").replace("/", "of")


def _data(common):
    return settings.DataSettings(**_only(settings.DataSettings, common))


def _only(kind, values):
    return {name: value for name, value in values.items() if name in kind.model_fields}


def _paths(common):
    """Paths as seen from the user's folder, made absolute for the notebooks' kernels."""
    data = _data(common)
    absolute = {"cache_folder": str(Path(data.cache_folder).absolute())}
    if data.manifest and data.manifest != own_cells.FOLDERS:
        absolute["manifest"] = str(Path(data.manifest).absolute())
    if not data.synthetic and not data.images.startswith("kaggle"):
        absolute["images"] = str(Path(data.images).absolute())
    return {**common, **absolute}


def _notes(common, per_name):
    data = _data(common)
    random = [architectures.get(name).title for name, own in per_name.items() if own.get("weights") == "random"]
    notes = [f"{pretrained.RANDOM_NOTE} ({', '.join(random)})"] if random else []
    return notes + ([settings.SYNTHETIC_NOTE] if data.synthetic else [])


def _recorded(common, per_name):
    """Settings as a file that gives the same run again."""
    names = sorted({key for own in per_name.values() for key in own})
    return {**_paths(common), **{k: {n: own[k] for n, own in per_name.items() if k in own} for k in names}}


def _claim(folder, recorded, overwrite):
    """Make the run folder ours, without mixing this run with another one."""
    path = folder / "settings.yaml"
    if path.exists():
        earlier = yaml.safe_load(path.read_text(encoding="utf-8"))
        changed = sorted(k for k in {*earlier, *recorded} if earlier.get(k) != recorded.get(k))
        if changed and _holds_results(folder) and not overwrite:
            raise InputError(
                f"{folder} holds a run with other settings ({listing(changed)}): choose another --output, or pass "
                "--overwrite to delete it."
            )
        if overwrite:
            shutil.rmtree(folder)
        else:
            runs.remove_partial(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and not the folder of a run: choose another --output.")
    runs.write_text(path, yaml.safe_dump(recorded, sort_keys=False))


def _holds_results(folder):
    """Whether a run has left more than what stopped it before its cells were known."""
    of_stop = {"settings.yaml", "1_data_split.ipynb", *runs.LISTS}
    return any(path.is_file() and path.name not in of_stop for path in folder.rglob("*"))


def _execute(notebook, parameters, folder, label):
    import papermill
    from nbclient.exceptions import DeadKernelError

    source, target = NOTEBOOKS / f"{notebook}.ipynb", _executed(folder, notebook)
    # Papermill writes after every cell; the notebook gets its own name when it has ended, with or without an error.
    running = target.with_suffix(".running.ipynb")
    if not source.is_file():
        raise InputError(f"There is no notebook {source}: every architecture needs one.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The kernel must find this project even where it is not installed.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Papermill warns of settings that a parameters cell does not show; the notebook itself checks them all.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        papermill.execute_notebook(
            source,
            running,
            parameters,
            cwd=str(ROOT),
            kernel_name="python3",
            progress_bar={"desc": label},
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    except papermill.PapermillExecutionError as error:
        what = error.evalue if error.ename == "InputError" else f"{error.ename}: {error.evalue}"
        raise _stopped(what, target) from error
    except DeadKernelError as error:
        raise _stopped(f"The kernel of {notebook} died, often for lack of memory", target) from error
    finally:
        if running.exists():
            os.replace(running, target)


def _stopped(what, notebook):
    """The error of a notebook that has stopped; it knows which one."""
    error = InputError(f"{what} (stopped in {notebook})")
    error.notebook = str(notebook)
    return error
