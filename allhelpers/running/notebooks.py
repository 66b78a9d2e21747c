"""Papermill over one notebook: the same notebook as by hand, executed into a run folder."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from .._core.errors import InputError
from ..runs import Run

if TYPE_CHECKING:
    from nbformat import NotebookNode

ENGINE: str | None = None  # another than `_engine`; that of the tests runs in their process
SAVED_EVERY = 10  # seconds
# Functions of `plotting` that draw, in a cell's code.
DRAWN = re.compile(r"plotting\.(?!keep\b|show\b)(\w+)\(")


class NotebookError(InputError):
    """A notebook has stopped, and this is which one."""

    notebook = ""


def _stopped(message: str, notebook: Path) -> NotebookError:
    """An error that can be sent from one process to another: it is made of its message alone."""
    error = NotebookError(f"{message} (stopped in {notebook})")
    error.notebook = str(notebook)
    return error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse to run twice in one folder at the same time; the lock goes with the process."""
    name = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"allhelpers-{name}.lock", timeout=0)
    try:
        held = lock.acquire()
    except Timeout as error:
        raise InputError(
            f"Another process is running in {folder}: wait for it, or choose another --output."
        ) from error
    with held:
        yield


def execute(
    source: Path, target: Path, parameters: Mapping[str, Any], *, project: Path, label: str
) -> None:
    """Execute a notebook into a copy; its kernel starts in ``project``, and finds the package."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    if not source.is_file():
        raise InputError(f"There is no notebook {source}: every architecture needs one.")
    # Papermill writes after every cell; the notebook gets its own name when it has ended, with or
    # without an error.
    running = target.with_suffix(".running.ipynb")
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = [str(project), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # It warns of settings that a parameters cell does not show; the notebook checks them all.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        papermill.execute_notebook(
            _literal(source),
            _literal(running),
            dict(parameters),
            engine_name=ENGINE or _engine(),
            cwd=str(project),
            kernel_name="python3",
            progress_bar={"desc": label, "unit": "step"},
            stderr_file=KernelBar() if sys.stderr.isatty() else None,
            coalesce_streams=True,  # of a bar's frames the last is kept
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    except papermill.PapermillExecutionError as error:
        what = error.evalue if error.ename == "InputError" else f"{error.ename}: {error.evalue}"
        raise _stopped(what, target) from error
    except OSError as error:  # a full disk does not say which
        error.filename = error.filename or str(running)
        raise
    except DeadKernelError as error:
        what = f"The kernel of {source.stem} died, often for lack of memory"
        raise _stopped(what, target) from error
    finally:
        if running.exists():
            _describe_figures(running)
            os.replace(running, target)


@functools.cache
def _engine() -> str:
    """Papermill's own, but not writing the whole notebook, figures too, twice for every cell."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Sparing(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
            save = nb_man.save

            def save_now_and_then(**given: Any) -> None:
                if (nb_man.now() - nb_man.last_save_time).total_seconds() >= SAVED_EVERY:
                    save(**given)

            nb_man.save = save_now_and_then
            try:
                super().execute_managed_notebook(nb_man, kernel_name, **options)
            finally:
                nb_man.save = save

    papermill_engines.register("sparing", Sparing)
    return "sparing"


def _literal(path: Path) -> str:
    """A path for papermill, which would fill in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _describe_figures(path: Path) -> None:
    """Give figures an alternative text, for readers who hear a notebook: the function's name."""
    import nbformat

    notebook = _read(path)
    for cell in notebook.cells if notebook else []:
        drawn = DRAWN.findall(cell.source)
        for output in cell.get("outputs", []) if drawn else []:
            if "image/png" in output.get("data", {}):
                alt = f"Figure: {drawn[-1].replace('_', ' ')}"
                output.metadata["image/png"] = {**output.metadata.get("image/png", {}), "alt": alt}
    if notebook:
        nbformat.write(notebook, path)


class KernelBar:
    """The bar that is running in a notebook's kernel, on a line under the notebook's own."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self.line = tqdm(bar_format="{desc}", position=1, leave=False)

    def write(self, text: str) -> None:
        """What the kernel has written to its error stream: the last frame of a bar is shown."""
        frame = re.split(r"[\r\n]", text.rstrip("\r\n"))[-1]
        room = shutil.get_terminal_size().columns - 1
        if "%|" in frame:
            self.line.set_description_str(f"    {frame}"[:room])
        if text.endswith("\n"):  # it has ended
            self.line.set_description_str("")

    def flush(self) -> None:
        """Frames are shown at once."""


def shortfall(source: Path, folder: Path, parameters: Mapping[str, Any]) -> str | None:
    """What has changed since a notebook ended; empty: it has not ended; ``None``: nothing has."""
    run, notebook = Run(folder), source.stem
    target, change = run.notebook(notebook), run.change_in(notebook)
    if change or change is None or not (source.is_file() and target.is_file()):
        return change or ""
    if missing := [path for path in _outputs(notebook, folder, parameters) if not path.is_file()]:
        return f"{missing[0].relative_to(folder)} is missing"
    executed, present = _read(target), _read(source)
    if executed is None or present is None:
        return f"{target.relative_to(folder)} cannot be read"
    return None if _has_ended(executed, parameters) and _code(executed) == _code(present) else ""


def _has_ended(executed: NotebookNode, parameters: Mapping[str, Any]) -> bool:
    """Whether a notebook was executed to its end, with these parameters."""
    record = executed.metadata.get("papermill", {})
    # Papermill also calls a notebook ended that was interrupted: what was not executed has no
    # number then.
    whole = all(
        cell.execution_count for cell in executed.cells if cell.cell_type == "code" and cell.source
    )
    ended = whole and record.get("end_time") and not record.get("exception")
    return bool(ended) and _placeless(record.get("parameters")) == _placeless(parameters)


def _placeless(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """A run that was moved, or is reached by another path, is the same run."""
    return {name: value for name, value in (parameters or {}).items() if name != "run_folder"}


def methods_of(notebook: str, parameters: Mapping[str, Any]) -> list[str]:
    """The networks or classifiers that a notebook trains."""
    if notebook == "2_classical":
        return parameters["classifiers"].split(",")
    return [notebook.removeprefix("2_")] if notebook.startswith("2_") else []


def _outputs(notebook: str, folder: Path, parameters: Mapping[str, Any]) -> list[Path]:
    """Files that a finished notebook has left."""
    run = Run(folder)
    if notebook == "1_data_split":
        return [run.manifest_path, run.data_path]
    if notebook == "2_classical":
        return [run.result(name).metrics_path for name in methods_of(notebook, parameters)]
    if notebook.startswith("2_"):
        return run.result(notebook.removeprefix("2_")).outputs
    return [run.table_path("comparison"), run.report_path]


def _read(path: Path) -> NotebookNode | None:
    """A notebook, or nothing where the file is not one."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        return notebook
    except Exception:  # nbformat lets through whatever odd content makes it stumble over
        return None


def _code(notebook: NotebookNode) -> list[str]:
    """The code cells, without the parameters that papermill has put in."""
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
