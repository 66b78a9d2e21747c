"""What computes the frozen part of a network: Keras, or OpenVINO on a processor that has it.

The frozen part only runs forward, so that whatever gives the same features may run it. On a
processor OpenVINO folds batch normalisation into the convolutions and keeps every core busy with
cells of its own; on a GPU with tensor cores Keras computes in half precision.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from .._core.errors import InputError
from ..networks import building

if TYPE_CHECKING:
    import openvino

OPENVINO_BATCH = 2  # cells; a few per cent quicker than 1, 4 or 8 on two cores

HALF_PRECISION_FROM = (7, 0)  # compute capability of the first NVIDIA GPUs with tensor cores

BFLOAT16 = "BF16"  # as OpenVINO calls what a processor can do

Forward = Callable[[np.ndarray], np.ndarray]  # pixels (n, size, size, 3), uint8, to features


def choose(wanted: str = "auto") -> str:
    """Settle which engine runs.

    ``"auto"`` takes half precision on a GPU that is made for it, single precision otherwise, and
    OpenVINO on a processor where it is installed.
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
    if wanted == "openvino-bfloat16" and not _has_bfloat16():
        raise InputError("This processor has no bfloat16 arithmetic: set engine = openvino.")
    return wanted


def _installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _core() -> openvino.Core:
    import openvino

    return openvino.Core()


def _has_bfloat16() -> bool:
    return BFLOAT16 in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compute_capability() -> tuple[int, int] | None:
    """Compute capability of the first GPU, as far as it says."""
    details = building.gpu()
    return None if details is None else details.get("compute_capability", (0, 0))


def forward(engine: str, trunk: keras.Model) -> Forward:
    """Make the function that computes a frozen trunk's features, by an engine from `choose`."""
    if engine.startswith("openvino"):
        return _openvino(trunk, "bf16" if engine.endswith("bfloat16") else "f32")
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


def _openvino(trunk: keras.Model, precision: str) -> Forward:
    """Compile the trunk for the processor; a queue of requests keeps all cores at work."""
    import openvino

    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    compiled = _core().compile_model(read(trunk, OPENVINO_BATCH), "CPU", hints)
    queue = openvino.AsyncInferQueue(compiled)
    shape = trunk.output.shape[1:]

    def compute(pixels: np.ndarray) -> np.ndarray:
        outputs = np.empty((-(-len(pixels) // OPENVINO_BATCH) * OPENVINO_BATCH, *shape), np.float32)

        def keep(request: openvino.InferRequest, start: int) -> None:
            outputs[start : start + OPENVINO_BATCH] = request.get_output_tensor(0).data

        queue.set_callback(keep)
        for start in range(0, len(pixels), OPENVINO_BATCH):
            batch = pixels[start : start + OPENVINO_BATCH]
            queue.start_async([building.filled_up(batch, OPENVINO_BATCH)], start)
        queue.wait_all()
        return outputs[: len(pixels)]

    return compute


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
        return _core().read_model(path)
