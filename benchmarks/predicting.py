"""``allhelpers predict`` as a whole process: the first answer, a later one, and the long run.

    python -m benchmarks.predicting RUN/mobilenet FOLDER

FOLDER holds the cells of the long run; seconds of a processor count on a machine that is busy.
"""

import sys
import tempfile
from pathlib import Path

from allhelpers.data import find_images
from benchmarks import measuring


def main(model: str, folder: str) -> None:
    """Print a row for each."""
    files = find_images([folder])
    with tempfile.TemporaryDirectory() as scratch:
        output = ("--output", Path(scratch) / "out.csv", "--overwrite")
        commands = {
            "no image there": ["nothing"],
            "one, model new to the machine": [files[0], *output],
            "one, model used before": [files[0], *output],
            f"{len(files):,}": [folder, *output],
        }
        rows = {
            name: measuring.command("predict", model, *arguments, ALLHELPERS_CACHE=scratch)
            for name, arguments in commands.items()
        }
    print(f"{'images':32}{'wall s':>9}{'CPU s':>9}")
    for name, (wall, cpu) in rows.items():
        print(f"{name:32}{wall:9.1f}{cpu:9.1f}")
    wall, cpu = (each - one for each, one in zip(*reversed(list(rows.values())[-2:]), strict=True))
    each = 1000 * cpu / len(files)
    print(f"in the long run {len(files) / wall:.0f} cells/s, {each:.1f} CPU ms each")


if __name__ == "__main__":
    main(*sys.argv[1:])
