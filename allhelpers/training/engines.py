"""What computes the frozen part of a network: Keras, or OpenVINO where that is installed and there is no GPU.

The frozen part only runs forward, so that whatever gives the same features may run it. On a processor OpenVINO folds
batch normalisation into the convolutions and keeps every core busy with cells of its own; on a GPU with tensor cores
Keras computes in half precision.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from .._core.errors import InputError
from ..networks import building

OPENVINO_BATCH = 2  # cells; a few per cent quicker than 1, 4 or 8 on two cores

HALF_PRECISION_FROM = (7, 0)  # compute capability of the first NVIDIA GPUs with tensor cores

BFLOAT16 = "BF16"  # as OpenVINO calls what a processor can do


def choose(wanted: str = "auto") -> str:
    """Settle which engine runs.

    Parameters
    ----------
    wanted : {"auto", "keras", "keras-float16", "openvino", "openvino-bfloat16"}
        ``"auto"`` takes half precision on a GPU that is made for it, single precision otherwise, and OpenVINO on a
        processor where it is installed.

    Returns
    -------
    str
        One of the others.

    Raises
    ------
    InputError
        If OpenVINO is asked for where it is not installed, or bfloat16 where the processor has none.

    Examples
    --------
    >>> choose("keras")
    'keras'
    """
    if wanted == "auto":
        capability = compute_capability()
        if capability:
            return "keras-float16" if capability >= HALF_PRECISION_FROM else "keras"
        return "openvino" if _installed() else "keras"
    if wanted.startswith("openvino") and not _installed():
        raise InputError(
            f"engine = {wanted} needs OpenVINO: pip install openvino, or set engine = auto."
        )
    if wanted == "openvino-bfloat16" and BFLOAT16 not in _core().get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        raise InputError("This processor has no bfloat16 arithmetic: set engine = openvino.")
    return wanted


def _installed() -> Any:
    return importlib.util.find_spec("openvino") is not None


def _core() -> Any:
    import openvino

    return openvino.Core()


def compute_capability() -> tuple[int, ...] | None:
    """Compute capability of the first GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    return (
        tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        if gpus
        else None
    )


def forward(engine: str, trunk: keras.Model) -> Callable:
    """Make the function that computes features.

    Parameters
    ----------
    engine : str
        From `choose`.
    trunk : keras.Model
        Pixels to features, frozen.

    Returns
    -------
    callable
        Takes an array of shape (n, size, size, 3), uint8, and gives one of shape (n, ...), float32.

    Examples
    --------
    >>> forward("keras", network.trunk)(cells.pixels[:3]).shape
    (3, 1024)
    """
    if engine.startswith("openvino"):
        return _openvino(trunk, "bf16" if engine.endswith("bfloat16") else "f32")
    model = in_mixed_precision(trunk, "mixed_float16") if engine == "keras-float16" else trunk
    return lambda pixels: building.predict(model, pixels)


def in_mixed_precision(trunk: keras.Model, policy: str) -> keras.Model:
    """The same model, computing in half and keeping its weights in single precision."""

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return in_mixed_precision(layer, policy)
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = (
                policy  # plain operations, such as preprocessing's, keep single precision
            )
        return type(layer).from_config(config)

    half = keras.models.clone_model(trunk, clone_function=clone)
    half.set_weights(trunk.get_weights())
    half.trainable = False
    return half


def _openvino(trunk: keras.Model, precision: str) -> Any:
    """Compile the trunk for the processor; a queue of requests keeps all cores at work."""
    import openvino

    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    queue = openvino.AsyncInferQueue(
        _core().compile_model(read(trunk, OPENVINO_BATCH), "CPU", hints)
    )
    shape = trunk.output.shape[1:]

    def compute(pixels: np.ndarray) -> Any:
        outputs = np.empty((-(-len(pixels) // OPENVINO_BATCH) * OPENVINO_BATCH, *shape), np.float32)

        def keep(request: Any, start: int) -> None:
            outputs[start : start + OPENVINO_BATCH] = request.get_output_tensor(0).data

        queue.set_callback(keep)
        for start in range(0, len(pixels), OPENVINO_BATCH):
            queue.start_async(
                [building.filled_up(pixels[start : start + OPENVINO_BATCH], OPENVINO_BATCH)], start
            )
        queue.wait_all()
        return outputs[: len(pixels)]

    return compute


def frozen_graph(trunk: keras.Model, batch: int) -> Any:
    """The trunk as a TensorFlow function of one batch, with the weights as constants."""
    pixels = tf.TensorSpec((batch, *trunk.input.shape[1:]), trunk.input.dtype)
    function = tf.function(lambda pixels: trunk(pixels, training=False)).get_concrete_function(
        pixels
    )
    return convert_variables_to_constants_v2(function)


def read(trunk: keras.Model, batch: int) -> Any:
    """The trunk as OpenVINO's model of one batch, read from a TensorFlow graph."""
    graph = frozen_graph(trunk, batch).graph.as_graph_def()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trunk.pb"
        path.write_bytes(graph.SerializeToString())
        return _core().read_model(path)
