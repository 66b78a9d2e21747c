"""What commands take beside the network: whole processes, their kernels too, CPU and wall.

    python -m benchmarks.run_overhead [--code FOLDER]

A run of MobileNet's new head on 320 synthetic cells, random weights, five epochs, is run twice:
*first* draws and decodes the cells and computes the frozen part, *again* (with another learning
rate, in a new folder) finds both in the cache: what is left is the run's own. CPU seconds count
where a machine is busy. Writes results/speed/overhead.csv; ``--code`` measures another checkout
(an earlier version) and only prints.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import nbformat
import pandas as pd

from allhelpers._core.files import write_csv
from allhelpers.data.synthetic import draw_sample
from benchmarks import measuring, tables
from benchmarks.measuring import ROOT

IMAGES = 200
SETTINGS = "--architectures mobilenet --weights random --unfreeze none --epochs 5"
# Left in each kernel's profile: what the kernel's process has used, when it ends.
AT_EXIT = """
import atexit, time
atexit.register(lambda: print(time.process_time(), file=open({path!r}, "a")))
"""


def measure(*arguments: object, code: Path, **environment: str) -> dict[str, float]:
    """Wall and CPU seconds of one command of a checkout."""
    wall, cpu = measuring.command(*arguments, cwd=code, PYTHONPATH=str(code), **environment)
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}


def run(code: Path, scratch: Path, name: str, *more: str) -> list[dict[str, object]]:
    """One run, and the kernel of its network's notebook alone."""
    startup = scratch / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    kernels = scratch / f"{name}.txt"
    (startup / "at_exit.py").write_text(AT_EXIT.format(path=str(kernels)), encoding="utf-8")
    places = ("--output", scratch / name, "--cache-folder", scratch / "cells")
    own = {"IPYTHONDIR": str(scratch / "ipython")}
    own["ALLHELPERS_CACHE"] = str(scratch / f"cache-{name}")
    whole = measure("run", *SETTINGS.split(), *more, *places, code=code, **own)
    network = float(kernels.read_text(encoding="utf-8").split()[1])
    executed = scratch / name / "notebooks" / "2_mobilenet.ipynb"
    wall = nbformat.read(executed, as_version=4).metadata["papermill"]["duration"]
    return [
        {"what": f"run with one network, {name}", **whole},
        {"what": f"its network's notebook, {name}", "wall_s": round(wall, 1), "cpu_s": network},
    ]


def rows(code: Path, scratch: Path) -> list[dict[str, object]]:
    """Every row of the table."""
    measured = run(code, scratch, "first") + run(code, scratch, "again", "--learning-rate", "0.01")
    model, images = scratch / "first" / "mobilenet", scratch / "images"
    draw_sample(images, IMAGES)
    output = ("--output", scratch / "out.csv", "--overwrite")
    own = {"code": code, "ALLHELPERS_CACHE": str(scratch / "cache-first")}
    one = sorted(images.rglob("*.bmp"))[0]
    commands = {
        "--help": ("--help",),
        "run --help": ("run", "--help"),
        "predict, no image there": ("predict", model, scratch / "nothing"),
        "predict, one image": ("predict", model, one, *output),
        f"predict, {IMAGES} images": ("predict", model, images, *output),
    }
    return measured + [
        {"what": what, **measure(*arguments, **own)} for what, arguments in commands.items()
    ]


def main() -> None:
    """Measure, print, and write what was measured of this checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=Path, help="another checkout: nothing is written")
    code = parser.parse_args().code
    with tempfile.TemporaryDirectory() as scratch:
        table = pd.DataFrame(rows((code or ROOT).resolve(), Path(scratch)))
    print(table.to_string(index=False))
    if code is None:
        write_csv(tables.FOLDER / "overhead.csv", table)
        tables.rewrite_pages()


if __name__ == "__main__":
    main()
