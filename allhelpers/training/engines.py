"""What computes the frozen part of a network: Keras, or OpenVINO on a processor that has it.

It only runs forward, so that whatever gives the same features may run it: OpenVINO, which folds
batch normalisation into convolutions, or half precision on a GPU with tensor cores.
"""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from .._core.errors import InputError
from ..networks import building, processor
from ..networks.processor import Forward

if TYPE_CHECKING:
    import openvino

HALF_PRECISION_FROM = (7, 0)  # compute capability of the first NVIDIA GPUs with tensor cores

_read: weakref.WeakKeyDictionary[keras.Model, openvino.Model] = weakref.WeakKeyDictionary()


def choose(wanted: str) -> str:
    """Settle which engine runs; ``"auto"``: the quickest whose features are as good."""
    if wanted == "auto":
        gpu = building.gpu()
        if gpu is None:
            return "openvino" if processor.installed() else "keras"
        capability = gpu.get("compute_capability", (0, 0))  # some do not say
        return "keras-float16" if capability >= HALF_PRECISION_FROM else "keras"
    if wanted.startswith("openvino") and not processor.installed():
        raise InputError(
            f"engine = {wanted} needs OpenVINO: pip install openvino, or set engine = auto."
        )
    if wanted == "openvino-bfloat16":
        able = processor.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in able:
            raise InputError("This processor has no bfloat16 arithmetic: set engine = openvino.")
    return wanted


def forward(engine: str, trunk: keras.Model) -> Forward:
    """Make the function that computes a frozen trunk's features, by an engine from `choose`."""
    if engine.startswith("openvino"):
        precision = "bf16" if engine.endswith("bfloat16") else "f32"
        return processor.forward(read_once(trunk), precision)
    model = in_mixed_precision(trunk, "mixed_float16") if engine == "keras-float16" else trunk
    return lambda pixels: building.predict(model, pixels)


def in_mixed_precision(trunk: keras.Model, policy: str) -> keras.Model:
    """The same model, computing in half and keeping its weights in single precision."""

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Model):
            return in_mixed_precision(layer, policy)
        config = layer.get_config()
        # Plain operations, such as preprocessing's, keep single precision.
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = policy
        return type(layer).from_config(config)

    half = keras.models.clone_model(trunk, clone_function=clone)
    half.set_weights(trunk.get_weights())
    half.trainable = False
    return half


def read_once(trunk: keras.Model) -> openvino.Model:
    """A frozen trunk as OpenVINO's model; reading takes seconds, and several ask for it."""
    if trunk not in _read:
        _read[trunk] = read(trunk, processor.BATCH)
    return _read[trunk]


def maps_before_pooling(trunk: keras.Model) -> Forward | None:
    """From pixels to what a trunk averages; ``None`` where its model ends with no average."""
    import openvino

    model = read_once(trunk)
    average = model.outputs[0].get_node().input_value(0).get_node()
    if average.get_type_name() == "Transpose":  # of cells and channels, in their own order
        average = average.input_value(0).get_node()
    if average.get_type_name() != "ReduceMean":
        return None
    maps, axes = average.input_value(0), average.input_value(1).get_node().data.tolist()
    forward = processor.forward(openvino.Model([maps], model.get_parameters()))
    channels_first = sorted(axes) == [2, 3]
    return (lambda pixels: np.moveaxis(forward(pixels), 1, -1)) if channels_first else forward


def joined(trunk: openvino.Model, tail: openvino.Model) -> openvino.Model:
    """One model: what the trunk gives goes into the tail."""
    import openvino

    features = trunk.outputs[0].get_node().input_value(0)
    tail.inputs[0].replace(features)
    return openvino.Model(tail.outputs, trunk.get_parameters())


def frozen_graph(trunk: keras.Model, batch: int) -> Any:
    """The trunk as a TensorFlow function of one batch, with the weights as constants."""
    pixels = tf.TensorSpec((batch, *trunk.input.shape[1:]), trunk.input.dtype)
    function = tf.function(lambda pixels: trunk(pixels, training=False))
    return convert_variables_to_constants_v2(function.get_concrete_function(pixels))


def read(trunk: keras.Model, batch: int) -> openvino.Model:
    """The trunk as OpenVINO's model of one batch, read from a TensorFlow graph."""
    graph = frozen_graph(trunk, batch).graph.as_graph_def()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trunk.pb"
        path.write_bytes(graph.SerializeToString())
        return processor.core().read_model(path)
