"""The frozen part of one network on every engine that is installed, in turn: cells per second."""

import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from allhelpers.networks import building, pretrained, registry
from allhelpers.networks.building import FORWARD_BATCH
from allhelpers.settings import TrainingSettings
from allhelpers.training import engines
from benchmarks import cells as benchmark_cells

ROUNDS = 5  # in turn, so that a machine that is slow for a while is slow for all
BATCHES = (1, 2, 8)  # cells per request of OpenVINO's own loop, of which the fastest counts


def candidates(trunk):
    """Functions from pixels to features, by the name of what computes them."""
    found = {"Keras": engines.forward("keras", trunk), "TensorFlow, frozen graph": frozen(trunk)}
    found["Keras, mixed bfloat16"] = keras_bfloat16(trunk)
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("tf2onnx"):
        found["ONNX Runtime"] = onnx_runtime(trunk)
    if importlib.util.find_spec("openvino"):
        for precision, name in (("f32", "openvino"), ("bf16", "openvino-bfloat16")):
            for batch in BATCHES:
                loop = own_loop(trunk, precision, batch)
                found[f"OpenVINO's own loop, {precision}, {batch}"] = loop
            found[f"this project, {name}"] = engines.forward(name, trunk)
    return found


def frozen(trunk):
    """Weights as constants, so that TensorFlow can fold batch normalisation; no Keras between two
    batches.
    """
    size = FORWARD_BATCH
    function = engines.frozen_graph(trunk, size)
    return lambda pixels: [
        function(tf.constant(pixels[k : k + size])) for k in range(0, len(pixels), size)
    ]


def keras_bfloat16(trunk):
    """Keras's mixed precision, with the number format that processors know."""
    model = engines.in_mixed_precision(trunk, "mixed_bfloat16")
    return lambda pixels: building.predict(model, pixels)


def onnx_runtime(trunk):
    """Keras's own export to ONNX."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "trunk.onnx")
        trunk.export(path, format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(path)
    name, size = session.get_inputs()[0].name, FORWARD_BATCH
    return lambda pixels: [
        session.run(None, {name: pixels[k : k + size]}) for k in range(0, len(pixels), size)
    ]


def own_loop(trunk, precision, batch):
    """OpenVINO's asynchronous queue with nothing around it: the same input again and again, no
    result taken.
    """
    import openvino

    model = engines.read(trunk, batch)
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    queue = openvino.AsyncInferQueue(openvino.Core().compile_model(model, "CPU", hints))

    def loop(pixels):
        for _ in range(len(pixels) // batch):
            queue.start_async({0: pixels[:batch]})
        queue.wait_all()

    return loop


def main(images, count, architecture, folder):
    settings = TrainingSettings(
        images=images, unfreeze="none", weights="random", cache_folder=folder
    )
    cells = benchmark_cells.decoded(*benchmark_cells.chosen(images, int(count)), settings)
    architecture = registry.get(architecture)
    source = pretrained.locate(architecture, settings.weights)
    network = building.build(architecture, settings, source, cells=cells)
    pixels, seconds = np.array(cells.pixels), {}
    found = candidates(network.trunk)
    for compute in found.values():  # compiled on the first call
        compute(pixels[:16])
    for _ in range(ROUNDS):
        for name, compute in found.items():
            began = time.perf_counter()
            compute(pixels)
            seconds.setdefault(name, []).append(time.perf_counter() - began)
    rates = {name: len(pixels) / float(np.median(times)) for name, times in seconds.items()}
    print(json.dumps({name: round(rate, 1) for name, rate in rates.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
