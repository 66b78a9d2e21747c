"""A run's folder: its files' names, atomic writing, and what is recorded about the machine.

::

    RUN/
      settings.yaml                   what was asked
      notebooks/*.ipynb               executed copies
      manifest.csv, data.json         the cells and splits this run used, and where they came from
      baselines/*.csv                 predictions of the majority class and of the cell's area
      <architecture>/parameters.json  every setting, seed, versions, hashes of manifest and weights, timings
                     history.csv      one row per epoch
                     predictions.csv  one row per cell of valid and test
                     metrics.json     each metric with its interval
                     model.keras      pixels in, probabilities out
                     figures/*.webp   what the notebook has shown, for the report
                     model_card.md    what it is, on which data, how good, and what it is not for
                     checkpoint.npz   only while training: what it takes to go on
      audit.json                      leaks and shortcuts in the data, in sentences
      missing.csv, rejected.csv       pictures that are not there or cannot be used; only if there are some
      comparison.csv                  one row per architecture
      methods.csv, pairs.csv          networks and baselines; every two of them compared
      report.html
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

RECORDED_PACKAGES = (
    "tensorflow", "keras", "numpy", "pandas", "opencv-python-headless", "opencv-python", "scikit-learn",
    "matplotlib", "papermill", "openvino",
)  # fmt: skip


LISTS = ("missing.csv", "rejected.csv")  # pictures that have stopped a run


@contextmanager
def atomic(path):
    """Give a temporary path beside ``path``; move it into place only if the block ends without an error.

    A reader finds either the old content or the new, never a part.

    Parameters
    ----------
    path : str or Path
        The final file. Its folder is made if need be.

    Yields
    ------
    Path
        The temporary file to write, with the same suffix.

    Examples
    --------
    >>> with atomic("note.txt") as partial:
    ...     _ = partial.write_text("whole")
    >>> Path("note.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # On shared storage another machine may have a process of the same number.
    partial = path.with_name(f".{path.stem}.{platform.node()}-{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace(partial, path):
    """Move a file into place once its content is on the disk, so that not even a power cut leaves half of it.

    Examples
    --------
    >>> write_text("new.txt", "whole")
    >>> replace("new.txt", "old.txt")
    >>> os.listdir()
    ['old.txt']
    """
    with open(partial, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, path)


def remove_partial(folder):
    """Remove what a process that was killed has left of files it was writing.

    Parameters
    ----------
    folder : str or Path
        With all folders in it. Nothing else may be writing there.

    Examples
    --------
    >>> write_text("mobilenet/.model.machine-7.partial.keras", "half")
    >>> remove_partial("mobilenet")
    >>> os.listdir("mobilenet")
    []
    """
    for path in Path(folder).rglob(".*.partial*"):
        path.unlink(missing_ok=True)


def write_text(path, text):
    """Write ``text`` to ``path`` atomically.

    Examples
    --------
    >>> write_text("notes/first.txt", "Synthetic cells.")
    >>> Path("notes/first.txt").read_text()
    'Synthetic cells.'
    """
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path, content):
    """Write ``content`` to ``path`` as indented JSON, atomically.

    Examples
    --------
    >>> write_json("data.json", {"split": "paper"})
    >>> print(Path("data.json").read_text().strip())
    {
      "split": "paper"
    }
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path):
    """Read a JSON file.

    Examples
    --------
    >>> write_json("data.json", {"split": "paper"})
    >>> read_json("data.json")
    {'split': 'paper'}
    """
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path, table):
    """Write a pandas table to ``path`` without its index, atomically.

    Examples
    --------
    >>> import pandas as pd
    >>> write_csv("cells.csv", pd.DataFrame({"file": ["1.bmp"], "label": ["all"]}))
    >>> Path("cells.csv").read_text().split()
    ['file,label', '1.bmp,all']
    """
    with atomic(path) as partial:
        table.to_csv(partial, index=False)


def sha256(path):
    """SHA-256 of a file, as 64 hexadecimal digits.

    Examples
    --------
    >>> write_text("empty.txt", "")
    >>> sha256("empty.txt")[:8]
    'e3b0c442'
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions():
    """Versions of Python, this project and the packages that shape a result.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> list(versions())[:3]
    ['python', 'allhelpers', 'tensorflow']
    """
    from . import __version__

    found = {"python": platform.python_version(), "allhelpers": __version__}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def gpu():
    """Name of the NVIDIA GPU, or ``None`` (asked of its driver, so that TensorFlow need not be loaded).

    Examples
    --------
    On a machine of Colab with a T4::

        gpu()  # 'Tesla T4'
    """
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def machine():
    """Versions and device in words; without a GPU, what to do about it.

    Returns
    -------
    str

    Examples
    --------
    >>> machine().splitlines()[-1].split(":")[0]
    'device'
    """
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    device = gpu() or (
        f"no GPU, {os.cpu_count()} CPU cores. Everything works, only slower; in Colab choose Runtime > Change runtime "
        "type > T4 GPU"
    )
    return f"{found}\ndevice: {device}"


def folder(run_folder, name=""):
    """Folder of a run, or of one architecture in it, made if need be.

    Parameters
    ----------
    run_folder : str or Path
    name : str

    Returns
    -------
    Path

    Examples
    --------
    >>> folder("runs/sample", "mobilenet").as_posix()
    'runs/sample/mobilenet'
    """
    path = Path(run_folder) / name
    path.mkdir(parents=True, exist_ok=True)
    return path


class Clock:
    """Seconds spent in each stage of a run.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock("training"):
    ...     pass
    >>> list(clock.seconds)
    ['training']
    """

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def __call__(self, stage):
        """Add the time of a ``with`` block to a stage."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - began, 3)
