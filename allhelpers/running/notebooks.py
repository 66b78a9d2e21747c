"""Papermill over the notebooks: the same notebooks as by hand, one after the other, into one run folder."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from .. import RESEARCH_ONLY
from .._core.errors import InputError
from ..networks.registry import CLASSICAL
from ..runs import Run
from ..settings import ClassicalSettings, TrainingSettings, validate
from . import estimates, planning
from .planning import NOTEBOOKS, ROOT


def run_notebooks(values: dict, output: str | Path | None = None, overwrite: bool = False) -> Path:
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
    common, per_name = planning._plan(
        {name: value for name, value in values.items() if name != "overwrite"}
    )
    folder = Path(output or planning.default_folder(common)).absolute()
    notes = planning._notes(common, per_name)
    for line in [*notes, RESEARCH_ONLY]:
        print(f"* {line}", flush=True)
    with _alone(folder):
        Run(folder).claim(planning._recorded(common, per_name), overwrite=overwrite)
        _run_steps(common, per_name, folder)
    return folder


def attempt(values: dict, folder: Path, retries: int) -> InputError | None:
    """Run the notebooks, and again if they fail."""
    for left in reversed(range(retries + 1)):
        try:
            run_notebooks(values, folder)
        except InputError as error:
            if not left:
                return error
            print(f"failed, and tried again: {error}", flush=True)
        else:
            break
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[Any]:
    """Refuse to run twice in one folder at the same time; the lock goes with the process."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"allhelpers-{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"Another process is running in {folder}: wait for it, or choose another --output."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _run_steps(
    common: Any, per_name: dict[str, TrainingSettings | ClassicalSettings], folder: Path
) -> None:
    steps = planning._steps(common, per_name, folder)
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


def _estimate(
    common: Any, per_name: dict[str, TrainingSettings | ClassicalSettings], folder: Path
) -> Any:
    """How long the notebooks of all methods will take together."""
    chosen = {}
    for name, own in per_name.items():
        kind = ClassicalSettings if name in CLASSICAL else TrainingSettings
        chosen[name] = kind(**planning._only(kind, {**common, **own}))
    return estimates.estimate(chosen, pd.read_csv(folder / "manifest.csv", usecols=["split"]))


def finished(values: dict, folder: Path) -> bool:
    """Whether a whole run has ended."""
    steps = planning._steps(*planning._plan(values), folder)
    return all(is_finished(notebook, parameters, folder) for notebook, parameters in steps)


def is_finished(notebook: str, parameters: dict, folder: Path) -> bool:
    """Whether a notebook has run to its end in a run folder."""
    target = Run(folder).notebook(notebook)
    if not target.is_file() or not all(
        (folder / name).is_file() for name in _outputs(notebook, parameters)
    ):
        return False
    executed, record = _read_notebook(target), {}
    if executed is not None:
        record = executed.metadata.get("papermill", {})
    # Papermill also calls a notebook ended that was interrupted: what was not executed has no number then.
    code = (
        [cell for cell in executed.cells if cell.cell_type == "code" and cell.source]
        if executed
        else []
    )
    whole = all(cell.execution_count for cell in code)
    ended = whole and record.get("end_time") and not record.get("exception")
    if not ended or record.get("parameters") != parameters:
        return False
    return _code(executed) == _code(_read_notebook(NOTEBOOKS / f"{notebook}.ipynb"))


def _outputs(notebook: str, parameters: dict) -> Any:
    """Files that a finished notebook has left in the run folder."""
    if notebook == "2_classical":
        return [f"{name}/metrics.json" for name in parameters["classifiers"].split(",")]
    if notebook.startswith("2_"):
        name = notebook.removeprefix("2_")
        return [
            f"{name}/{file}"
            for file in ("predictions.csv", "metrics.json", "parameters.json", "model.keras")
        ]
    return {
        "1_data_split": ["manifest.csv", "data.json"],
        "3_comparison": ["comparison.csv", "report.html"],
    }[notebook]


def _read_notebook(path: Path) -> Any:
    """A notebook, or ``None`` where the file is not one."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError):
        return None


def _code(notebook: str) -> Any:
    """The code cells, without the parameters that papermill has put in."""
    injected = "injected-parameters"
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and injected not in cell.metadata.get("tags", [])
    ]


def run_study(notebook: str, kind: type, values: dict, output: str | Path | None = None) -> Path:
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
    validate(kind, values)
    folder = Path(output or ROOT / "runs" / notebook).absolute()
    chosen = {"run_folder": str(folder), **planning._paths(values)}
    if Path(chosen.get("weights", "")).is_file():
        chosen["weights"] = str(Path(chosen["weights"]).absolute())
    _execute(notebook, chosen, folder, notebook)
    return Run(folder).notebook(notebook)


def _execute(notebook: str, parameters: dict, folder: Path, label: str) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError

    source, target = NOTEBOOKS / f"{notebook}.ipynb", Run(folder).notebook(notebook)
    # Papermill writes after every cell; the notebook gets its own name when it has ended, with or without an error.
    running = target.with_suffix(".running.ipynb")
    if not source.is_file():
        raise InputError(f"There is no notebook {source}: every architecture needs one.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The kernel must find this project even where it is not installed.
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    )
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
        raise _stopped(
            f"The kernel of {notebook} died, often for lack of memory", target
        ) from error
    finally:
        if running.exists():
            os.replace(running, target)


def _stopped(what: Any, notebook: str) -> Any:
    """The error of a notebook that has stopped; it knows which one."""
    error = InputError(f"{what} (stopped in {notebook})")
    error.notebook = str(notebook)
    return error
