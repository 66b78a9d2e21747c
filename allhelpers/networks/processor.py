"""Models on a processor by OpenVINO, which needs neither Keras nor TensorFlow to run them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import openvino

BATCH = 2  # cells; a few per cent quicker than 1, 4 or 8 on two cores

Forward = Callable[[np.ndarray], np.ndarray]  # pixels (n, size, size, 3), uint8, to features


def installed() -> bool:
    """Whether OpenVINO is there."""
    return importlib.util.find_spec("openvino") is not None


def core() -> openvino.Core:
    """OpenVINO's own."""
    import openvino

    return openvino.Core()


def filled_up(batch: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last row up to the full size: with one shape only, a model is compiled once."""
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])


def forward(model: openvino.Model, precision: str = "f32") -> Forward:
    """Compile a model of batches of `BATCH`; a queue of requests keeps all cores at work."""
    import openvino

    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    compiled = core().compile_model(model, "CPU", hints)
    queue = openvino.AsyncInferQueue(compiled)
    shape = tuple(compiled.output(0).partial_shape.to_shape())[1:]

    def compute(pixels: np.ndarray) -> np.ndarray:
        outputs = np.empty((-(-len(pixels) // BATCH) * BATCH, *shape), np.float32)

        def keep(request: openvino.InferRequest, start: int) -> None:
            outputs[start : start + BATCH] = request.get_output_tensor(0).data

        queue.set_callback(keep)
        for start in range(0, len(pixels), BATCH):
            queue.start_async([filled_up(pixels[start : start + BATCH], BATCH)], start)
        queue.wait_all()
        return outputs[: len(pixels)]

    return compute
