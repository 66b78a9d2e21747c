"""The command line in this process, and notebooks that stand for the real ones."""

import contextlib
import io
import shutil
import traceback
from dataclasses import dataclass

import nbformat
from papermill.engines import Engine, papermill_engines

from allhelpers.running import cli, notebooks, planning
from tests.helpers import ROOT

STUBS = ROOT / "tests" / "notebooks" / "stubs"
TOYS = ("mobilenet", "vgg16")  # networks for which 2_toy stands
IN_PROCESS = "in this process"


@dataclass
class Done:
    """How a command has ended, and what it has printed."""

    status: int
    out: str
    err: str


def command(*arguments):
    """``allhelpers ARGUMENTS``, without a process of its own."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        status = cli.main([str(argument) for argument in arguments])
    return Done(status, out.getvalue(), err.getvalue())


def options(**values):
    """Settings as the command line takes them."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def refused(done, *parts):
    """One clear sentence, a non-zero exit, no traceback."""
    assert done.status == 1
    (message,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    for part in parts:
        assert part in message
    assert "Traceback" not in done.err
    return True


class InProcess(Engine):
    """Runs a notebook's cells here; papermill keeps its usual record of them."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **_):
        namespace = {}
        for number, cell in enumerate(nb_man.nb.cells):
            nb_man.cell_start(cell, number)
            try:
                if cell.cell_type == "code":
                    cell.execution_count = number
                    exec(cell.source, namespace)
            except Exception as error:
                text = traceback.format_exc().splitlines()
                cell.outputs = [
                    nbformat.v4.new_output(
                        "error", ename=type(error).__name__, evalue=str(error), traceback=text
                    )
                ]
                nb_man.cell_exception(cell, number)
                break
            nb_man.cell_complete(cell, number)


papermill_engines.register(IN_PROCESS, InProcess)


def lay_out_stubs(folder):
    """A folder of notebooks for the toys."""
    for name in ("1_data_split", "3_comparison"):
        shutil.copy(STUBS / f"{name}.ipynb", folder)
    text = (STUBS / "2_toy.ipynb").read_text()
    for toy in TOYS:
        (folder / f"2_{toy}.ipynb").write_text(text.replace('\\"toy\\"', f'\\"{toy}\\"'))
    return folder


def use_stubs(monkeypatch, folder, *, in_process=True):
    """Runs take the notebooks of a folder; in this process, or in kernels."""
    monkeypatch.setattr(planning, "NOTEBOOKS", folder)
    monkeypatch.setattr(notebooks, "ENGINE", IN_PROCESS if in_process else None)
