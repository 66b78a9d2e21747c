"""``allhelpers predict`` as a whole process: the first answer, a later one, and the long run.

    python -m benchmarks.predicting RUN/mobilenet FOLDER

FOLDER holds the cells of the long run; seconds of a processor count on a machine that is busy.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from allhelpers.data import find_images


def measure(*arguments: object, cache: str) -> tuple[float, float]:
    """Wall and processor seconds of one command."""
    command = [sys.executable, "-m", "allhelpers", *map(str, arguments)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "ALLHELPERS_CACHE": cache}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(model: str, folder: str) -> None:
    """Print a row for each."""
    files = find_images([folder])
    with tempfile.TemporaryDirectory() as scratch:
        output = ("--output", Path(scratch) / "out.csv", "--overwrite")
        rows = {
            "no image there": measure("predict", model, "nothing", cache=scratch),
            "one, model new to the machine": measure(
                "predict", model, files[0], *output, cache=scratch
            ),
            "one, model used before": measure("predict", model, files[0], *output, cache=scratch),
            f"{len(files):,}": measure("predict", model, folder, *output, cache=scratch),
        }
    print(f"{'images':32}{'wall s':>9}{'CPU s':>9}")
    for name, (wall, cpu) in rows.items():
        print(f"{name:32}{wall:9.1f}{cpu:9.1f}")
    wall, cpu = (each - one for each, one in zip(*reversed(list(rows.values())[-2:]), strict=True))
    each = 1000 * cpu / len(files)
    print(f"in the long run {len(files) / wall:.0f} cells/s, {each:.1f} CPU ms each")


if __name__ == "__main__":
    main(*sys.argv[1:])
