"""Two fold directions and several seeds on real cells: single runs, papermill in a loop, and a sweep.

    python -m benchmarks.sweeping --images FOLDER --weights FILE [--seeds 5]

MobileNet, the head alone, 100 epochs. Every way starts with empty caches and gives the same predictions, which is
checked. Wall time, from the first command to the last; the results are kept in results/speed/sweep.csv.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

from allhelpers import runs, settings
from benchmarks import tables
from benchmarks.measuring import ROOT

SPLITS = ("fold_0:fold_1", "fold_1:fold_0")
NOTEBOOKS = {
    "1_data_split": settings.DataSettings,
    "2_mobilenet": settings.TrainingSettings,
    "3_comparison": settings.ComparisonSettings,
}


class Ways:
    """The same runs in several ways; each method gives the folders of its runs, by split and seed.

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
            given = self._yaml(place, split=split, seed=seed, cache_folder=str(self._run(place, split, seed) / "cache"))
            _call("-m", "allhelpers", "run", "--settings", given, "--output", self._run(place, split, seed) / "run")
        return {point: self._run(place, *point) / "run" for point in self.points}

    def papermill_loop(self):
        """The notebooks by papermill, one command each, with the cache that they share as they are."""
        place = self.folder / "papermill"
        for split, seed in self.points:
            run = self._run(place, split, seed)
            chosen = {"split": split, "seed": seed, "run_folder": str(run), "cache_folder": str(place / "cache")}
            for notebook, kind in NOTEBOOKS.items():
                own = {name: value for name, value in {**self.values, **chosen}.items() if name in kind.model_fields}
                source = ROOT / "notebooks" / f"{notebook}.ipynb"
                _call("-m", "papermill", source, f"{run}-{notebook}.ipynb", "-y", yaml.safe_dump(own), "-k", "python3")
        return {point: self._run(place, *point) for point in self.points}

    def sweep(self, *options):
        """One sweep."""
        place = self.folder / "-".join(["sweep", *options])
        seeds = sorted({seed for _, seed in self.points})
        given = self._yaml(place, sweep={"split": list(SPLITS), "seed": seeds}, cache_folder=str(place / "cache"))
        _call("-m", "allhelpers", "sweep", given, "--output", place / "runs", *options)
        return {(split, seed): place / "runs" / "all" / f"split={split.replace(':', '-')},seed={seed}"
                for split, seed in self.points}  # fmt: skip

    def _run(self, place, split, seed):
        return place / f"{split.replace(':', '-')}-{seed}"

    def _yaml(self, place, sweep=None, **more):
        place.mkdir(parents=True, exist_ok=True)
        values = {**self.values, **more}
        content = {"settings": {"architectures": "mobilenet", **values}, "grid": sweep} if sweep else {
            "architectures": "mobilenet", **values
        }  # fmt: skip
        path = place / "settings.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path


def _call(*arguments):
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def measure(ways):
    """Seconds of each way.

    Parameters
    ----------
    ways : Ways

    Returns
    -------
    DataFrame
        Columns way, runs, seconds, ratio_to_sweep, same_predictions.
    """
    each = {
        "single runs, cold": ways.single_runs,
        "papermill in a loop": ways.papermill_loop,
        "sweep, one after the other": ways.sweep,
        "sweep, --parallel 2": lambda: ways.sweep("--parallel", "2"),
    }
    rows, first = [], None
    for way, run in each.items():
        began = time.perf_counter()
        found = run()
        seconds = time.perf_counter() - began
        print(f"{way}: {seconds:.0f} s", flush=True)
        predictions = {point: (path / "mobilenet" / "predictions.csv").read_bytes() for point, path in found.items()}
        first = first or predictions
        same = sum(predictions[point] == first[point] for point in first)
        rows.append({"way": way, "runs": len(found), "seconds": seconds, "same_predictions": same})
    table = pd.DataFrame(rows)
    table.insert(3, "ratio_to_sweep", table["seconds"] / table["seconds"][2])
    return table


def main():
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with the official files")
    parser.add_argument("--weights", type=Path, required=True, help="MobileNet's weights")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    values = {
        "images": str(args.images.absolute()), "weights": str(args.weights.absolute()), "allow_subset": True,
        "unfreeze": "none", "epochs": 100, "deterministic": True,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        table = measure(Ways(values, args.seeds, Path(folder)))
    runs.write_csv(tables.FOLDER / "sweep.csv", table)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
