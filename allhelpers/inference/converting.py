"""A network as one model of features and probabilities, for Keras or for OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras

from ..networks import building, processor
from ..networks.processor import Forward
from ..training import engines

if TYPE_CHECKING:
    from ..networks.building import Network


def with_features(network: Network) -> keras.Model:
    """Pixels to what the head sees and, after it, the probabilities.

    An ensemble shows the features of its first member.
    """
    if network.members:
        pixels = keras.Input(network.full.input.shape[1:], dtype="uint8")
        each, count = (
            [with_features(member)(pixels) for member in network.members],
            -len(network.classes),
        )
        mean = keras.layers.Average()([answer[:, count:] for answer in each])
        both = keras.layers.Concatenate()([each[0][:, :count], network.tail(mean)])
        return keras.Model(pixels, both)
    return keras.Model(network.trunk.input, _tail(network)(network.trunk.output))


def _tail(network: Network) -> keras.Model:
    """Features at the cut to what the head sees and, after it, the probabilities."""
    tail = network.tail
    seen = building.head_input(tail)
    both = keras.layers.Concatenate(name="answer")([seen, tail.output])
    return keras.Model(tail.input, both)


def forward(network: Network, quick: bool) -> Forward:
    """The function that computes them, by OpenVINO or by Keras."""
    return engines.forward("openvino" if quick else "keras", with_features(network))


def write(network: Network, path: Path) -> None:
    """Write OpenVINO's file of it, in full precision."""
    import openvino

    if network.members or network.cut == "pixels":
        model = engines.read(with_features(network), processor.BATCH)
    else:  # the training has read the trunk
        tail = engines.read(_tail(network), processor.BATCH)
        model = engines.joined(engines.read_once(network.trunk), tail)
    openvino.save_model(model, path, compress_to_fp16=False)
