"""What a run will take, said before it starts: time, disk and memory.

Time is multiplications over a machine's rate; disk is what decoded cells and features take.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .._core import machine
from .._core.constants import INPUT_SIZE
from ..networks import registry
from ..networks.registry import ARCHITECTURES
from ..settings import ClassicalSettings, EnsembleSettings, MethodSettings, TrainingSettings

if TYPE_CHECKING:
    import pandas as pd

# Multiply-adds per second, in units of 1e9: measured on a server's processor (results/speed), and
# for a T4 half of what NVIDIA's own ResNet50 reaches in half precision (DeepLearningExamples,
# ResNet50 v1.5: 972 images per second).
PER_CORE, PER_GPU = 45, 2000
BACKWARD = 3  # a step costs about three forward passes
HEAD = 1e-5  # seconds per cell and epoch of a new head on pooled features, on one core or more
# Seconds per cell and core: shape, colour, texture, and choosing the classifiers' settings.
CLASSICAL = 0.1
# Bytes per cell and orientation, in half precision: pooled features, and the maps of a cut inside
# the network, which are 100,000 to 200,000 numbers (results/speed).
POOLED, MAPS = 8_000, 400_000
MODEL = 100e6  # bytes of a saved network, with its figures and tables
MEMORY = 2  # GB: the most that a network of the paper needs, whatever the number of cells
NOTEBOOK = 25  # seconds of one core: a kernel, TensorFlow, building, evaluation, figures


def seconds(name: str, settings: MethodSettings, *, cells: int, training_cells: int) -> float:
    """Estimate one method's notebook, nothing kept from earlier runs; to a factor of about two."""
    cores = os.cpu_count() or 1
    if isinstance(settings, ClassicalSettings):
        return NOTEBOOK + CLASSICAL * cells / cores
    if isinstance(settings, EnsembleSettings):
        return 2 * NOTEBOOK
    rate = PER_GPU if machine.gpu() else PER_CORE * cores
    architecture = registry.get(name)
    size = (settings.input_size or architecture.input_size) / architecture.input_size
    trained = architecture.trained_gmacs(settings.unfreeze)
    frozen = (architecture.gmacs - trained) * cells * len(settings.views)
    steps = BACKWARD * trained * training_cells * settings.epochs
    return NOTEBOOK + HEAD * training_cells * settings.epochs + size**2 * (frozen + steps) / rate


def estimate(methods: Mapping[str, MethodSettings], table: pd.DataFrame) -> str:
    """Estimate several methods, in words.

    Parameters
    ----------
    methods : mapping of str to the settings of its notebook
    table : DataFrame
        The cells in use, with their column split.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"split": ["train"] * 250 + ["test"] * 70})
    >>> estimate({"svm": ClassicalSettings()}, table).split(":")[2].split(";")[0].strip()
    'support vector machine under a minute'
    """
    training_cells = int((table["split"] == "train").sum())
    each = {
        name: seconds(name, settings, cells=len(table), training_cells=training_cells)
        for name, settings in methods.items()
    }
    parts = ", ".join(f"{registry.title_of(name)} {words(time)}" for name, time in each.items())
    here = machine.gpu() or f"{os.cpu_count()} CPU cores"
    return (
        f"time: {words(sum(each.values()))} on this machine ({here}), to a factor of two: "
        f"{parts}; less where an earlier run has left cells or features. "
        f"{room(methods, len(table))}"
    )


def disk(methods: Mapping[str, MethodSettings], cells: int) -> float:
    """Bytes that decoded cells, features and models take at most."""
    sides, kept = set(), 0.0
    for name, settings in methods.items():
        sides.add(settings.input_size or getattr(ARCHITECTURES.get(name), "input_size", INPUT_SIZE))
        if isinstance(settings, TrainingSettings):
            inside = settings.unfreeze not in ("none", "all")
            views = max(settings.orientations, settings.tta)
            kept += MODEL + cells * views * (MAPS if inside else POOLED)
    return kept + cells * sum(3 * side**2 for side in sides)


def room(methods: Mapping[str, MethodSettings], cells: int) -> str:
    """Disk and memory in words, and whether the disk has it."""
    wanted = disk(methods, cells)
    place = Path(next(iter(methods.values())).cache_folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    doubt = ": TOO LITTLE" if free < wanted else ""
    return (
        f"Disk: up to {wanted / 1e9:.1f} GB, most of it in the cache folder ({free / 1e9:.0f} GB "
        f"are free{doubt}); memory: about {MEMORY} GB."
    )


def words(duration: float) -> str:
    """A duration as people say it."""
    if duration < 60:
        return "under a minute"
    minutes = round(duration / 60)
    if minutes < 100:
        return f"{minutes} minute{'s' * (minutes > 1)}"
    return f"{duration / 3600:.1f} hours"
