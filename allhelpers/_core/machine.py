"""The machine, the versions of what shapes a result, and a clock for the stages of a run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

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

    known = {"python": platform.python_version(), "allhelpers": __version__}
    for package in RECORDED_PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            known[package] = metadata.version(package)
    return known


def gpu() -> str | None:
    """Name of the NVIDIA GPU, asked of its driver, so that TensorFlow need not be loaded."""
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def packages() -> str:
    """Versions in words."""
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def machine() -> str:
    """Versions and device in words; without a GPU, what to do about it."""
    device = gpu() or (
        f"no GPU, {os.cpu_count()} CPU cores. Everything works, only slower; in Colab choose "
        "Runtime > Change runtime type > T4 GPU"
    )
    return f"{packages()}\ndevice: {device}"


def user_cache(name: str) -> Path:
    """A folder of this user's own for what can be made again; ALLHELPERS_CACHE names another."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ALLHELPERS_CACHE") or Path(base) / "allhelpers") / name


class Clock:
    """Seconds spent in each stage of a run.

    Attributes
    ----------
    seconds : dict of str to float
        By stage, in the order in which they began.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock("training"):
    ...     pass
    >>> list(clock.seconds)
    ['training']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of a ``with`` block to a stage."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - began, 3)
