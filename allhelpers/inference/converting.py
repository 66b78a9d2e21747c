"""A network as one model of features and probabilities, for Keras or for OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras

from ..networks import building, processor
from ..training import engines

if TYPE_CHECKING:
    from ..networks.building import Network


def with_features(network: Network) -> keras.Model:
    """Pixels to what the head sees, of an ensemble its first member's, and the probabilities."""
    if network.members:
        pixels = keras.Input(network.full.input.shape[1:], dtype="uint8")
        each = [with_features(member)(pixels) for member in network.members]
        last = -len(network.classes)
        mean = keras.layers.Average()([answer[:, last:] for answer in each])
        both = keras.layers.Concatenate()([each[0][:, :last], network.tail(mean)])
        return keras.Model(pixels, both)
    return keras.Model(network.trunk.input, _tail(network)(network.trunk.output))


def _tail(network: Network) -> keras.Model:
    """Features at the cut to what the head sees and, after it, the probabilities."""
    seen = building.head_input(network.tail)
    both = keras.layers.Concatenate(name="answer")([seen, network.tail.output])
    return keras.Model(network.tail.input, both)


def write(network: Network, path: Path) -> None:
    """Write OpenVINO's file of it, in full precision."""
    import openvino

    if network.members or network.cut == "pixels":
        model = engines.read(with_features(network), processor.BATCH)
    else:  # the training has read the trunk
        tail = engines.read(_tail(network), processor.BATCH)
        model = engines.joined(engines.read_once(network.trunk), tail)
    openvino.save_model(model, path, compress_to_fp16=False)
