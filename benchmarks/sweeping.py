"""Two fold directions and several seeds on real cells: single runs, papermill in a loop, and a
sweep.

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

import pandas as pd
import yaml

from allhelpers._core.files import write_csv
from allhelpers.running.sweep import read_sweep
from allhelpers.settings import ComparisonSettings, DataSettings, TrainingSettings
from benchmarks import tables
from benchmarks.measuring import ROOT

SPLITS = ("fold_0:fold_1", "fold_1:fold_0")
NOTEBOOKS = {
    "1_data_split": DataSettings,
    "2_mobilenet": TrainingSettings,
    "3_comparison": ComparisonSettings,
}


class Runs:
    """The same runs in several ways; each method gives their folders, in order of splits and seeds.

    Parameters
    ----------
    values : dict
        Settings that all runs have in common.
    seeds : int
    folder : Path
        Of everything that is written.
    """

    def __init__(self, values, seeds, folder):
        self.values, self.folder = values, folder
        self.points = list(itertools.product(SPLITS, range(1, seeds + 1)))

    def single_runs(self):
        """``run``, each with a cache of its own: what they cost one by one."""
        place = self.folder / "single"
        for split, seed in self.points:
            given = self._yaml(
                place,
                split=split,
                seed=seed,
                cache_folder=str(self._run(place, split, seed) / "cache"),
            )
            _call(
                "-m",
                "allhelpers",
                "run",
                "--settings",
                given,
                "--output",
                self._run(place, split, seed) / "run",
            )
        return [self._run(place, *point) / "run" for point in self.points]

    def papermill_loop(self):
        """The notebooks by papermill, one command each, with the cache that they share as they are."""
        place = self.folder / "papermill"
        place.mkdir()
        for split, seed in self.points:
            run = self._run(place, split, seed)
            chosen = {
                "split": split,
                "seed": seed,
                "run_folder": str(run),
                "cache_folder": str(place / "cache"),
            }
            for notebook, kind in NOTEBOOKS.items():
                own = {
                    name: value
                    for name, value in {**self.values, **chosen}.items()
                    if name in kind.model_fields
                }
                source = ROOT / "notebooks" / f"{notebook}.ipynb"
                _call(
                    "-m",
                    "papermill",
                    source,
                    f"{run}-{notebook}.ipynb",
                    "-y",
                    yaml.safe_dump(own),
                    "-k",
                    "python3",
                )
        return [self._run(place, *point) for point in self.points]

    def sweep(self, *options):
        """One sweep."""
        place = self.folder / "-".join(["sweep", *options])
        seeds = sorted({seed for _, seed in self.points})
        given = self._yaml(
            place, sweep={"split": list(SPLITS), "seed": seeds}, cache_folder=str(place / "cache")
        )
        _call("-m", "allhelpers", "sweep", given, "--output", place / "runs", *options)
        return [run.folder for run in read_sweep(given, {}, place / "runs")]

    def _run(self, place, split, seed):
        return place / f"{split.replace(':', '-')}-{seed}"

    def _yaml(self, place, sweep=None, **more):
        place.mkdir(parents=True, exist_ok=True)
        values = {**self.values, **more}
        content = {"settings": values, "grid": sweep} if sweep else values
        path = place / "settings.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path


def _call(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, arguments))} failed:\n{(done.stdout + done.stderr)[-3000:]}"
        )


WAYS = {
    "single runs, cold": Runs.single_runs,
    "papermill in a loop": Runs.papermill_loop,
    "sweep, one after the other": Runs.sweep,
    "sweep, --parallel 2": lambda runs: runs.sweep("--parallel", "2"),
}


def measure(way, planned):
    """One way, from the first command to the last.

    Parameters
    ----------
    way : str
        Of `WAYS`.
    planned : Runs

    Returns
    -------
    dict
        Way, runs, seconds, and a checksum of all predictions.
    """
    began = time.perf_counter()
    folders = WAYS[way](planned)
    seconds = time.perf_counter() - began
    predictions = b"".join(
        (folder / "mobilenet" / "predictions.csv").read_bytes() for folder in folders
    )
    digest = hashlib.sha256(predictions).hexdigest()[:16]
    return {"way": way, "runs": len(folders), "seconds": seconds, "predictions_sha256": digest}


def keep(row):
    """Write a row, in the place of the same way's earlier one."""
    path = tables.FOLDER / "sweep.csv"
    kept = [found for found in _read(path) if found["way"] != row["way"]]
    write_csv(
        path, pd.DataFrame(sorted([*kept, row], key=lambda found: list(WAYS).index(found["way"])))
    )


def _read(path):
    return pd.read_csv(path).to_dict("records") if path.is_file() else []


def main():
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
        "architectures": "mobilenet", "images": str(args.images.absolute()), "weights": str(args.weights.absolute()),
        "allow_subset": True, "unfreeze": "none", "epochs": 100, "deterministic": True,
    }  # fmt: skip
    for way in args.ways:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(way, Runs(values, args.seeds, Path(folder)))
        keep(row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
