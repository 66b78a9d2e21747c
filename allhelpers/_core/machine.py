"""The machine, the versions of what shapes a result, and a clock for the stages of a run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

RECORDED_PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "opencv-python-headless",
    "opencv-python",
    "scikit-learn",
    "matplotlib",
    "papermill",
    "openvino",
)


def versions() -> dict[str, str]:
    """Versions of Python, this project and the packages that shape a result."""
    from .. import __version__

    found = {"python": platform.python_version(), "allhelpers": __version__}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def gpu() -> Any:
    """Name of the NVIDIA GPU, or ``None`` (asked of its driver, so that TensorFlow need not be loaded)."""
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def machine() -> str:
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

    def __init__(self) -> None:
        self.seconds = {}

    @contextmanager
    def __call__(self, stage: Any) -> Iterator[Any]:
        """Add the time of a ``with`` block to a stage."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - began, 3)
