"""How long a run will take, said before it starts: counted multiplications over what machines do per second."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .._core import machine as machine_
from ..networks import registry
from ..settings import ClassicalSettings

if TYPE_CHECKING:
    import pandas as pd

    from ..settings import TrainingSettings

# Multiply-adds per second, in units of 1e9: measured on a server's processor (results/speed), and for a T4 half of what
# NVIDIA's own ResNet50 reaches in half precision (DeepLearningExamples, ResNet50 v1.5: 972 pictures per second).
PER_CORE, PER_GPU = 45, 2000

BACKWARD = 3  # a step costs about three forward passes

HEAD = 1e-5  # seconds per cell and epoch of a new head on pooled features, on one core or more

CLASSICAL = (
    0.1  # seconds per cell and core: shape, colour, texture, and choosing the classifiers' settings
)

NOTEBOOK = 20  # seconds: a kernel, TensorFlow, evaluation, figures


def seconds(
    name: str,
    chosen: TrainingSettings | ClassicalSettings,
    cells: int,
    training_cells: int,
    cores: int | None = None,
    gpu: bool | None = None,
) -> float:
    """Estimate one method's notebook, with nothing kept from earlier runs; right to a factor of about two."""
    cores = cores or os.cpu_count()
    if name in registry.CLASSICAL:
        return NOTEBOOK + CLASSICAL * cells / cores
    gpu = bool(machine_.gpu()) if gpu is None else gpu
    rate = PER_GPU if gpu else PER_CORE * cores
    architecture = registry.get(name)
    size = (chosen.input_size or architecture.input_size) / architecture.input_size
    trained = architecture.trained_gmacs(chosen.unfreeze)
    frozen = (architecture.gmacs - trained) * cells * max(chosen.orientations, chosen.average)
    steps = BACKWARD * trained * training_cells * chosen.epochs
    return NOTEBOOK + HEAD * training_cells * chosen.epochs + size**2 * (frozen + steps) / rate


def estimate(per_name: dict[str, TrainingSettings | ClassicalSettings], table: pd.DataFrame) -> str:
    """Estimate several methods, in words.

    Parameters
    ----------
    per_name : dict of str to settings.TrainingSettings or settings.ClassicalSettings
    table : DataFrame
        The cells in use, with their column split.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> from allhelpers import settings
    >>> table = pd.DataFrame({"split": ["train"] * 250 + ["test"] * 70})
    >>> estimate({"svm": ClassicalSettings()}, table).split(":")[2].strip()
    'support vector machine under a minute; less where an earlier run has left cells or features.'
    """
    training_cells = int((table["split"] == "train").sum())
    each = {name: seconds(name, own, len(table), training_cells) for name, own in per_name.items()}
    parts = ", ".join(f"{registry.title_of(name)} {words(one)}" for name, one in each.items())
    machine = machine_.gpu() or f"{os.cpu_count()} CPU cores"
    return (
        f"time: {words(sum(each.values()))} on this machine ({machine}), to a factor of two: {parts}; less where an "
        "earlier run has left cells or features."
    )


def words(duration: float) -> str:
    """A duration as people say it."""
    if duration < 60:
        return "under a minute"
    minutes = round(duration / 60)
    return (
        f"{minutes} minute{'s' * (minutes > 1)}"
        if minutes < 100
        else f"{duration / 3600:.1f} hours"
    )
