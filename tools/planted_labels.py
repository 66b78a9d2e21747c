"""Turn labels round among real cells, and count how many of them are the first suspects.

    python tools/planted_labels.py IMAGES --weights mobilenet=FILE [--seeds 1,2,3]

Each seed is a run of MobileNet by settings/recipe.yaml with ``--suspects``, in a folder of its own
that is not kept. Writes results/suspects.csv, one row per seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from allhelpers._core.files import write_csv
from allhelpers._core.machine import packages
from allhelpers.data import open_images, read_manifest
from allhelpers.data.manifest import CORRECTED_FROM
from allhelpers.data.matching import match
from allhelpers.runs import Run
from allhelpers.settings import DataSettings

RECIPE = ROOT / "settings" / "recipe.yaml"
PLANTED, SHOWN = 20, (20, 50)
OTHER = {"all": "hem", "hem": "all"}


def with_wrong_labels(cells: pd.DataFrame, seed: int, planted: int = PLANTED) -> pd.DataFrame:
    """The table of cells with some labels turned round, which it says itself."""
    wrong = np.random.default_rng(seed).choice(len(cells), planted, replace=False)
    turned = cells["file"].isin(cells["file"].iloc[wrong])
    label = cells["label"].mask(turned, cells["label"].map(OTHER))
    return cells.assign(label=label, **{CORRECTED_FROM: cells["label"].where(turned, "")})


def found_by_a_run(cells: pd.DataFrame, options: list[str]) -> dict[str, int]:
    """How many of the turned labels are among the first suspects of a run on these cells."""
    with tempfile.TemporaryDirectory() as folder:
        manifest, output = Path(folder) / "cells.csv", Path(folder) / "run"
        write_csv(manifest, cells)
        command = [sys.executable, "-m", "allhelpers", "run", "--settings", RECIPE, "--suspects"]
        command += ["--manifest", manifest, "--split", "patient", "--architectures", "mobilenet"]
        subprocess.run([*command, "--output", output, *options], cwd=ROOT, check=True)
        suspects = pd.read_csv(Run(output).suspects_path, dtype=str)
    turned = suspects["file"].isin(cells.loc[cells[CORRECTED_FROM] != "", "file"])
    first = {f"first_{number}": int(turned[:number].sum()) for number in SHOWN}
    return {"cells": len(cells), "planted": PLANTED, **first, "suspects": len(suspects)}


def main() -> None:
    """Write and print a row per seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--cache-folder", default="cache")
    given = parser.parse_args()
    settings = DataSettings(images=given.images, cache_folder=given.cache_folder)
    source = open_images(settings)
    cells = read_manifest(settings, source)
    cells = cells.loc[match(cells, source).notna(), ["file", "label", "patient"]]
    options = ["--images", given.images, "--weights", given.weights]
    options += ["--cache-folder", given.cache_folder]
    seeds = [int(seed) for seed in given.seeds.split(",")]
    rows = [{"seed": s, **found_by_a_run(with_wrong_labels(cells, s), options)} for s in seeds]
    table = pd.DataFrame(rows).assign(versions=packages())
    write_csv(ROOT / "results" / "suspects.csv", table)
    print(table.drop(columns="versions").to_string(index=False))


if __name__ == "__main__":
    main()
