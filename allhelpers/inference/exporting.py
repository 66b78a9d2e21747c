"""A trained model in formats that other programs run without Keras and without this project.

Preprocessing is inside, and so is the averaging over orientations if the settings ask for it: plain RGB pixels in,
probabilities out.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from .. import RESEARCH_ONLY
from .._core.errors import InputError
from .._core.files import write_json
from ..data import decoding, sources, synthetic
from ..data.synthetic import SIDE
from . import predicting

if TYPE_CHECKING:
    from ..networks.building import Network
    from ..settings import TrainingSettings

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": "_saved_model"}

ONNX_PACKAGES = ("onnx", "tf2onnx", "onnxruntime")

TOLERANCE = 1e-3  # of a probability

COMPARED = 100  # pictures at most

SAMPLE = 16  # synthetic cells, where no pictures are given


def export(
    network: Network, kind: str, path: str | Path, files: list[Path] | None = None
) -> tuple[str, float]:
    """Write a model in another format, and beside it ``NAME.json`` with what a program must know to use it.

    Parameters
    ----------
    network : networks.Network
        From `models.load`.
    kind : {"onnx", "litert", "saved_model"}
    path : str or Path
        A file; for ``"saved_model"`` a folder, which must not exist.
    files : list of Path, optional
        Pictures on which the probabilities are compared; without them, synthetic cells.

    Returns
    -------
    cells : str
        What was compared on.
    difference : float
        Largest difference of probabilities.

    Raises
    ------
    InputError
        If ONNX's packages are not installed, the folder exists, or probabilities differ by more than `TOLERANCE`;
        nothing is left behind then.

    Examples
    --------
    With a model of a finished run; converting and comparing take seconds::

        cells, difference = export(models.load("runs/sample/mobilenet"), "litert", "mobilenet.tflite")
    """
    path = Path(path)
    _require(kind)
    if kind == "saved_model" and path.exists():
        raise InputError(f"{path} exists: remove it, or choose another --output.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        partial = Path(scratch) / f"model{SUFFIXES[kind]}"
        _write(with_averaging(network), kind, partial)
        cells, pixels = _compared(network.settings, files, scratch)
        difference = float(
            np.abs(run(partial, kind, pixels) - predicting.probabilities(network, pixels)).max()
        )
        if difference > TOLERANCE:
            raise InputError(
                f"The exported model's probabilities differ by {difference:.1e} on {cells}, more than {TOLERANCE}: "
                "export it in another format."
            )
        shutil.move(partial, path)
    write_json(path.with_name(f"{path.name}.json"), describe(network, kind))
    return cells, difference


def _compared(settings: TrainingSettings, files: Any, scratch: Any) -> Any:
    """Cells to compare on, in words and as pixels."""
    kind = "cells" if files else "synthetic cells"
    if not files:
        files = sources.find_images([synthetic.draw_sample(Path(scratch) / "cells", SAMPLE)])
        settings = settings.model_copy(update={"picture_size": SIDE})
    return f"{len(files)} {kind}", np.stack(
        [decoding.decode_file(path, settings) for path in files]
    )


def _require(kind: Any) -> None:
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if kind == "onnx" and missing:
        raise InputError(
            f"ONNX needs {', '.join(missing)}: pip install -r requirements-export.txt."
        )


def with_averaging(network: Network) -> keras.Model:
    """The full model with the mean over its settings' orientations inside."""
    if network.settings.average == 1:
        return network.full
    pixels = keras.Input(network.full.input.shape[1:], dtype="uint8", name="pixels")
    turned = [
        network.full(_orient(pixels, orientation))
        for orientation in range(network.settings.average)
    ]
    return keras.Model(
        pixels, keras.layers.Average(name="mean")(turned), name=network.architecture.name
    )


def _orient(pixels: np.ndarray, orientation: int) -> Any:
    """As `trunk.orient`, of transpositions and reversals alone, which every format knows."""
    if orientation % 4 in (1, 3):
        pixels = keras.ops.transpose(pixels, (0, 2, 1, 3))
    axes = {0: (), 1: (1,), 2: (1, 2), 3: (2,)}[orientation % 4]
    if orientation >= 4:
        axes = tuple(set(axes) ^ {2})
    return keras.ops.flip(pixels, axes) if axes else pixels


def _write(model: Any, kind: Any, path: Path) -> None:
    model(
        np.zeros((1, *model.input.shape[1:]), np.uint8)
    )  # Keras exports only what has been called
    if kind == "onnx":
        model.export(path, format="onnx", verbose=False)
    elif kind == "saved_model":
        model.export(path, format="tf_saved_model", verbose=False)
    else:
        with tempfile.TemporaryDirectory() as folder:
            model.export(folder, format="tf_saved_model", verbose=False)
            path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def describe(network: Network, kind: str) -> dict:
    """What a program must know to use an exported model."""
    settings = network.settings
    part = f"central {settings.crop} pixels" if settings.crop else "whole"
    return {
        "format": kind,
        "architecture": network.architecture.name,
        "input": f"RGB, 0 to 255, uint8, of shape (n, {settings.size}, {settings.size}, 3)",
        "pictures": f"{part}, resized by pixel area to {settings.size} x {settings.size}",
        "crop": settings.crop,
        "output": [f"p_{label}" for label in network.classes],
        "orientations_averaged_inside": settings.average,
        "note": RESEARCH_ONLY,
    }


def run(path: str | Path, kind: str, pixels: np.ndarray) -> np.ndarray:
    """Run an exported model, without Keras."""
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return np.concatenate(
            [session.run(None, {name: pixels[k : k + 1]})[0] for k in range(len(pixels))]
        )
    if kind == "saved_model":
        loaded = tf.saved_model.load(str(path))
        return np.concatenate(
            [loaded.serve(tf.constant(pixels[k : k + 1])).numpy() for k in range(len(pixels))]
        )
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    given, answer = (
        interpreter.get_input_details()[0]["index"],
        interpreter.get_output_details()[0]["index"],
    )
    found = []
    for cell in pixels:
        interpreter.set_tensor(given, cell[np.newaxis])
        interpreter.invoke()
        found.append(interpreter.get_tensor(answer))
    return np.concatenate(found)
