"""Measure speed and memory on real cells, keep the figures in results/speed/, and write them into
docs/speed.md and the README.

python -m benchmarks --images FOLDER [--cells 192] [--parts stacks engines loader memory growth]
python -m benchmarks --tables                     rewrite the tables only
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd

from allhelpers._core.files import write_csv, write_json
from allhelpers._core.machine import gpu, versions
from allhelpers.settings import PAPERS_THREE
from benchmarks import cells, measuring, stacks, tables

FEATURES_CELLS = 6_176  # all cells of the paper
GROWTH = (500, 1_000, 2_000)  # cells; the table adds what the stacks have measured of all
GROWING = ("mobilenet", "resnet50")  # VGG16 takes a quarter of an hour and shows the same
ENGINE_CELLS = {"mobilenet": 384, "resnet50": 96, "vgg16": 48}  # some seconds each


def engines(args, folder):
    """Cells per second of the frozen part, one row per network and engine."""
    found = {
        name: measuring.run("engines", args.images, ENGINE_CELLS[name], name, folder)
        for name in PAPERS_THREE
    }
    rows = [
        {
            "architecture": name,
            "engine": engine,
            "cells_per_second": rate,
            "ratio_to_keras": rate / said["Keras"],
        }
        for name, said in found.items()
        for engine, rate in said.items()
        if engine not in ("seconds", "memory_gb")
    ]
    return pd.DataFrame(rows)


def loader(args, _folder):
    """Decoding, and opening again."""
    return pd.DataFrame([measuring.run("loader", args.images, cells.PAPERS_CELLS)])


def memory(_args, folder):
    """A tail on features that are larger than it may hold."""
    said = measuring.run("memory", FEATURES_CELLS, folder)
    return pd.DataFrame([{"cells": FEATURES_CELLS, **said}])


def growth(args, folder):
    """The head alone, 100 epochs, at several numbers of cells."""
    rows = []
    for name in GROWING:
        for count in GROWTH:
            cold = Path(folder) / f"{name}-{count}"
            said = measuring.run("project", args.images, count, name, "none", stacks.EPOCHS, cold)
            shutil.rmtree(cold)
            stages = {f"{stage}_s": value for stage, value in said.pop("stages").items()}
            rows.append({"architecture": name, **said, **stages})
    return pd.DataFrame(rows).drop(columns="epochs")


PARTS = {
    "stacks": lambda args, folder: stacks.measure(args.images, args.cells, folder),
    "engines": engines,
    "loader": loader,
    "memory": memory,
    "growth": growth,
}


def machine():
    """What it was measured on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = {line.split(":")[1].strip() for line in lines if line.startswith("model name")}
    return {
        "processor": " ".join(models) or platform.processor(),
        "cores": os.cpu_count(),
        "gpu": gpu(),
        "versions": versions(),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="folder with the official files")
    parser.add_argument(
        "--cells", type=int, default=192, help="cells for stacks whose every epoch costs the same"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tables", action="store_true", help="rewrite the tables only")
    args = parser.parse_args()
    if not args.tables:
        if args.images is None:
            parser.error("--images FOLDER is missing: the folder with the official files")
        for part in args.parts:
            with tempfile.TemporaryDirectory() as folder:
                write_csv(tables.FOLDER / f"{part}.csv", PARTS[part](args, folder))
        write_json(tables.FOLDER / "machine.json", machine())
    tables.rewrite_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main())
