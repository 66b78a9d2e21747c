"""Fold directions and seeds on real cells: single runs, papermill in a loop, and a sweep.

    python -m benchmarks.sweeping --images FOLDER --weights FILE [--seeds 5] [--ways WAY ...]

MobileNet, the head alone, 100 epochs. Every way starts with empty caches. Wall time, from the first
command to the last; the results are kept in results/speed/sweep.csv, with a checksum of all
predictions, which should be alike.
"""

import argparse
import hashlib
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import BaseModel

from allhelpers._core.files import write_csv
from allhelpers.running.sweep import read_sweep
from allhelpers.settings import ComparisonSettings, DataSettings, TrainingSettings
from benchmarks import tables
from benchmarks.measuring import ROOT

SPLITS = ("fold_0:fold_1", "fold_1:fold_0")
NOTEBOOKS: dict[str, type[BaseModel]] = {
    "1_data_split": DataSettings,
    "2_mobilenet": TrainingSettings,
    "3_comparison": ComparisonSettings,
}


class Runs:
    """The same runs in several ways; each gives their folders, in order of splits and seeds."""

    def __init__(self, values: dict[str, Any], seeds: int, folder: Path) -> None:
        self.values, self.folder = values, folder
        self.points = list(itertools.product(SPLITS, range(1, seeds + 1)))

    def single_runs(self) -> list[Path]:
        """``run``, each with a cache of its own: what they cost one by one."""
        places = [self._place("single", *point) for point in self.points]
        for place, (split, seed) in zip(places, self.points, strict=True):
            values = {"split": split, "seed": seed, "cache_folder": str(place / "cache")}
            given = self._yaml(place, {**self.values, **values})
            _call("-m", "allhelpers", "run", "--settings", given, "--output", place / "run")
        return [place / "run" for place in places]

    def papermill_loop(self) -> list[Path]:
        """The notebooks by papermill, one command each, with the cache that they share anyway."""
        places = [self._place("papermill", *point) for point in self.points]
        for place, (split, seed) in zip(places, self.points, strict=True):
            place.mkdir(parents=True)
            own: dict[str, Any] = {"split": split, "seed": seed, "run_folder": str(place)}
            own["cache_folder"] = str(self.folder / "papermill" / "cache")
            for notebook, kind in NOTEBOOKS.items():
                chosen = {**self.values, **own}
                given = {name: chosen[name] for name in kind.model_fields if name in chosen}
                files = [ROOT / "notebooks" / f"{notebook}.ipynb", f"{place}-{notebook}.ipynb"]
                options = ["-y", yaml.safe_dump(given), "-k", "python3"]
                _call("-m", "papermill", *files, *options)
        return places

    def sweep(self, *options: str) -> list[Path]:
        """One sweep."""
        place = self.folder / "-".join(["sweep", *options])
        grid = {"split": list(SPLITS), "seed": sorted({seed for _, seed in self.points})}
        settings = {**self.values, "cache_folder": str(place / "cache")}
        given = self._yaml(place, {"settings": settings, "grid": grid})
        _call("-m", "allhelpers", "sweep", given, "--output", place / "runs", *options)
        return [run.folder for run in read_sweep(given, {}, place / "runs")]

    def _place(self, way: str, split: str, seed: int) -> Path:
        return self.folder / way / f"{split.replace(':', '-')}-{seed}"

    def _yaml(self, place: Path, content: dict[str, Any]) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        path = place / "settings.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path


def _call(*arguments: object) -> None:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")


WAYS = {
    "single runs, cold": Runs.single_runs,
    "papermill in a loop": Runs.papermill_loop,
    "sweep, one after the other": Runs.sweep,
    "sweep, --parallel 2": lambda runs: runs.sweep("--parallel", "2"),
}


def measure(way: str, runs: Runs) -> dict[str, Any]:
    """One way, from the first command to the last: seconds, and a checksum of all predictions."""
    began = time.perf_counter()
    folders = WAYS[way](runs)
    seconds = time.perf_counter() - began
    files = [folder / "mobilenet" / "predictions.csv" for folder in folders]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    return {"way": way, "runs": len(folders), "seconds": seconds, "predictions_sha256": digest}


def keep(row: dict[str, Any]) -> None:
    """Write a row, in the place of the same way's earlier one."""
    path = tables.FOLDER / "sweep.csv"
    table = pd.DataFrame([row])
    if path.is_file():
        earlier = pd.read_csv(path)
        table = pd.concat([earlier[earlier["way"] != row["way"]], table])
    write_csv(path, table.sort_values("way", key=lambda way: way.map(list(WAYS).index)))


def main() -> None:
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder with the official files")
    parser.add_argument("--weights", type=Path, required=True, help="MobileNet's weights")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    args = parser.parse_args()
    values = {
        "architectures": "mobilenet",
        "images": str(args.images.absolute()),
        "weights": str(args.weights.absolute()),
        "allow_subset": True,
        "unfreeze": "none",
        "epochs": 100,
        "deterministic": True,
    }
    for way in args.ways:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(way, Runs(values, args.seeds, Path(folder)))
        keep(row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
