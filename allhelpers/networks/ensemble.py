"""Several trained networks as one: pixels in, the mean of their probabilities out.

Networks that have learnt from different layers err on different patients, so that their mean errs
less; every winner of the C-NMC 2019 challenge was an ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from .._core.errors import InputError
from . import building
from .building import Network
from .registry import ENSEMBLE, ENSEMBLE_TITLE, Architecture

SMALLEST = 1e-7  # probability whose logarithm is taken
ALIKE = ("size", "crop", "image_size", "tta")  # what decides how a cell is shown

ARCHITECTURE = Architecture(
    name=ENSEMBLE,
    title=ENSEMBLE_TITLE,
    builder="",
    preprocessing="",
    blocks=(),
    trained_block="",
    gmacs=0.0,
    top_gmacs=0.0,
    weights_url="",
)


def join(members: Sequence[Network]) -> Network:
    """Join trained networks to one that gives the mean of their probabilities.

    Parameters
    ----------
    members : sequence of Network
        At least two, of the same classes, which are shown cells in the same way.

    Returns
    -------
    Network
        Its trunk gives the mean, its tail applies a temperature to it (at first 1).

    Raises
    ------
    InputError
        If they are too few, or differ in classes or in how cells are shown.

    Examples
    --------
    >>> from allhelpers.networks import build, get
    >>> other = build(get("toy"), training_settings, None, classes=network.classes)
    >>> joined = join([network, other])
    >>> joined.classes, len(joined.members)
    (('all', 'hem'), 2)
    """
    if len(members) < 2:
        raise InputError("An ensemble needs two networks: name them in architectures.")
    first = members[0]
    for other in members[1:]:
        _check_alike(first, other)
    pixels = keras.Input(first.full.input.shape[1:], dtype="uint8", name="pixels")
    mean = keras.layers.Average(name="mean")([member.full(pixels) for member in members])
    trunk = keras.Model(pixels, mean, name="trunk")
    trunk.trainable = False
    probabilities = keras.Input((len(first.classes),), name="features")
    scores = keras.ops.log(keras.ops.maximum(probabilities, SMALLEST))
    tail = keras.Model(probabilities, building.tempered(scores), name="tail")
    full = keras.Model(pixels, tail(trunk(pixels)), name=ENSEMBLE)
    settings, each = first.settings.model_copy(update={"calibrate": True}), tuple(members)
    return Network(
        ARCHITECTURE, settings, None, first.classes, "pooled", trunk, tail, full, members=each
    )


def _check_alike(first: Network, other: Network) -> None:
    titles = f"{first.architecture.title} and {other.architecture.title}"
    if first.classes != other.classes:
        raise InputError(f"{titles} know different classes: train both on the same cells.")
    one, two = first.settings, other.settings
    differing = [name for name in ALIKE if getattr(one, name) != getattr(two, name)]
    if differing:
        raise InputError(
            f"{titles} see cells in different ways ({', '.join(differing)}), so that one image "
            "does not serve both: train them with the same values, or leave one out."
        )
