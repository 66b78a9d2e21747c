"""How long a run will take, said before it starts: counted multiplications over what machines do per second."""

import os

from . import architectures, methods, runs

# Multiply-adds per second, in units of 1e9: measured on a server's processor (results/speed), and for a T4 half of what
# NVIDIA's own ResNet50 reaches in half precision (DeepLearningExamples, ResNet50 v1.5: 972 pictures per second).
PER_CORE, PER_GPU = 45, 2000
BACKWARD = 3  # a step costs about three forward passes
HEAD = 1e-5  # seconds per cell and epoch of a new head on pooled features, on one core or more
CLASSICAL = 0.1  # seconds per cell and core: shape, colour, texture, and choosing the classifiers' settings
NOTEBOOK = 20  # seconds: a kernel, TensorFlow, evaluation, figures


def seconds(name, chosen, cells, training_cells, cores=None, gpu=None):
    """Estimate one method's notebook, with nothing kept from earlier runs; right to a factor of about two.

    Parameters
    ----------
    name : str
        Architecture or classifier.
    chosen : settings.TrainingSettings or settings.ClassicalSettings
    cells, training_cells : int
    cores : int, optional
        By default this machine's.
    gpu : bool, optional
        By default whether there is one.

    Returns
    -------
    float

    Examples
    --------
    >>> from allhelpers import settings
    >>> head_only = settings.TrainingSettings(unfreeze="none", epochs=100)
    >>> round(seconds("mobilenet", head_only, 4586, 4446, cores=2, gpu=False))
    53
    """
    cores = cores or os.cpu_count()
    if name in methods.CLASSICAL:
        return NOTEBOOK + CLASSICAL * cells / cores
    gpu = bool(runs.gpu()) if gpu is None else gpu
    rate = PER_GPU if gpu else PER_CORE * cores
    architecture = architectures.get(name)
    size = (chosen.input_size or architecture.input_size) / architecture.input_size
    trained = architecture.trained_gmacs(chosen.unfreeze)
    frozen = (architecture.gmacs - trained) * cells * max(chosen.orientations, chosen.average)
    steps = BACKWARD * trained * training_cells * chosen.epochs
    return NOTEBOOK + HEAD * training_cells * chosen.epochs + size**2 * (frozen + steps) / rate


def sentence(per_name, table):
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
    >>> sentence({"svm": settings.ClassicalSettings()}, table).split(":")[2].strip()
    'support vector machine under a minute; less where an earlier run has left cells or features.'
    """
    training_cells = int((table["split"] == "train").sum())
    each = {name: seconds(name, own, len(table), training_cells) for name, own in per_name.items()}
    parts = ", ".join(f"{methods.title(name)} {words(one)}" for name, one in each.items())
    machine = runs.gpu() or f"{os.cpu_count()} CPU cores"
    return (
        f"time: {words(sum(each.values()))} on this machine ({machine}), to a factor of two: {parts}; less where an "
        "earlier run has left cells or features."
    )


def words(duration):
    """A duration as people say it.

    Parameters
    ----------
    duration : float
        Seconds.

    Returns
    -------
    str

    Examples
    --------
    >>> words(12), words(200), words(9000)
    ('under a minute', '3 minutes', '2.5 hours')
    """
    if duration < 60:
        return "under a minute"
    minutes = round(duration / 60)
    return f"{minutes} minute{'s' * (minutes > 1)}" if minutes < 100 else f"{duration / 3600:.1f} hours"
