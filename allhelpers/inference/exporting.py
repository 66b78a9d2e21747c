"""A trained model in formats that other programs run without Keras and without this project.

Preprocessing and averaging over orientations are inside: plain RGB pixels in, probabilities out.
"""

from __future__ import annotations

import ast
import importlib.util
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from .. import RESEARCH_ONLY
from .._core.errors import InputError
from .._core.files import atomic, write_json
from ..data import images, sources, synthetic
from ..data.images import CELL
from . import predicting
from .command import SUFFIXES

if TYPE_CHECKING:
    from ..networks.building import Network
    from .new_images import ImageFile

ONNX_PACKAGES = ("onnx", "tf2onnx", "onnxruntime")
TOLERANCE = 1e-3  # of a probability
COMPARED = 100  # images at most
SAMPLE = 16  # synthetic cells, where no images are given


def export(
    network: Network,
    kind: str,
    path: str | Path,
    *,
    files: Sequence[str | Path | ImageFile] | None = None,
    image_size: int | None = None,
) -> tuple[str, float]:
    """Write a model in another format, and beside it what a program needs to use it.

    ``NAME.json`` says how, and ``NAME.decoder.zip`` is this project's own decoder as a package that
    Python opens as it is: images become the same pixels as in training.

    Parameters
    ----------
    network : Network
        From `load`.
    kind : {"onnx", "litert", "saved_model"}
    path : str or Path
        A file; for ``"saved_model"`` a folder, which must not exist.
    files : sequence of Path, optional
        Images on which the probabilities are compared; without them, synthetic cells.
    image_size : int, optional
        Height and width that these must have; 0: any. By default as in training.

    Returns
    -------
    cells : str
        What was compared on.
    difference : float
        Largest difference of probabilities.

    Raises
    ------
    InputError
        If ONNX's packages are not installed, the folder exists, or probabilities differ by more
        than `TOLERANCE`; nothing is left behind then.

    Examples
    --------
    With a model of a finished run; converting and comparing take seconds::

        cells, difference = export(load("runs/sample/mobilenet"), "litert", "mobilenet.tflite")
    """
    path = Path(path)
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if kind == "onnx" and missing:
        raise InputError(
            f"ONNX needs {', '.join(missing)}: pip install -r requirements-export.txt."
        )
    if path.is_dir() or (kind == "saved_model" and path.exists()):
        raise InputError(f"{path} exists: remove it, or choose another --output.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        partial = Path(scratch) / f"model{SUFFIXES[kind]}"
        _write(with_averaging(network), kind, partial)
        what, given = "cells", (files or [])[:COMPARED]
        if not given:
            given = sources.Folder(synthetic.draw_sample(Path(scratch) / "cells", SAMPLE)).members
            what, image_size = "synthetic cells", synthetic.SIDE
        cells = f"{len(given)} {what}"
        pixels = predicting.decoded(network.settings, given, image_size)
        expected = predicting.probabilities(network, pixels)
        difference = float(np.abs(run(partial, kind, pixels) - expected).max())
        if difference > TOLERANCE:
            raise InputError(
                f"The exported model's probabilities differ by {difference:.1e} on {cells}, more "
                f"than {TOLERANCE}: export it in another format."
            )
        shutil.move(partial, path)
    write_json(path.with_name(f"{path.name}.json"), describe(network, kind))
    write_decoder(path.with_name(f"{path.name}.decoder.zip"))
    return cells, difference


def write_decoder(path: Path) -> None:
    """The modules that decode images, and those that they import, as a package ``decoder``."""
    package = Path(images.__file__).parent.parent
    waiting, done = {Path(images.__file__).relative_to(package)}, set[Path]()
    while waiting:
        module = waiting.pop()
        done.add(module)
        for node in ast.walk(ast.parse((package / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = module.parents[node.level - 1] / (node.module or "").replace(".", "/")
                names = [folder.with_suffix(".py"), *(folder / f"{n.name}.py" for n in node.names)]
                waiting |= {name for name in names if (package / name).is_file()} - done
    with atomic(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        folders = {parent for module in done for parent in module.parents}
        for folder in sorted(folders):
            archive.writestr(str(Path("decoder") / folder / "__init__.py"), "")
        for module in sorted(done):
            archive.write(package / module, Path("decoder") / module)


def with_averaging(network: Network) -> keras.Model:
    """The full model with the mean over its settings' orientations inside."""
    orientations = network.settings.tta
    if orientations == 1:
        return network.full
    pixels = keras.Input(network.full.input.shape[1:], dtype="uint8", name="pixels")
    turned = [network.full(_orient(pixels, number)) for number in range(orientations)]
    mean = keras.layers.Average(name="mean")(turned)
    return keras.Model(pixels, mean, name=network.architecture.name)


def _orient(pixels: keras.KerasTensor, orientation: int) -> keras.KerasTensor:
    """As `data.orientations.orient`, by transpositions and reversals, which every format knows."""
    if orientation % 4 in (1, 3):
        pixels = keras.ops.transpose(pixels, (0, 2, 1, 3))
    axes: tuple[int, ...] = {0: (), 1: (1,), 2: (1, 2), 3: (2,)}[orientation % 4]
    if orientation >= 4:
        axes = tuple(set(axes) ^ {2})
    return keras.ops.flip(pixels, axes) if axes else pixels


def _write(model: keras.Model, kind: str, path: Path) -> None:
    # Keras exports only what has been called.
    model(np.zeros((1, *model.input.shape[1:]), np.uint8))
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
    part = {0: "whole", CELL: "the cell's own box"}.get(
        settings.crop, f"central {settings.crop} pixels"
    )
    return {
        "format": kind,
        "architecture": network.architecture.name,
        "input": f"RGB, 0 to 255, uint8, of shape (n, {settings.size}, {settings.size}, 3)",
        "images": f"{part}, resized by pixel area to {settings.size} x {settings.size}",
        "crop": settings.crop,
        "size": settings.size,
        "image_size": settings.image_size,
        "output": [f"p_{label}" for label in network.classes],
        "orientations_averaged_inside": settings.tta,
        "note": RESEARCH_ONLY,
    }


def run(path: str | Path, kind: str, pixels: np.ndarray) -> np.ndarray:
    """Run an exported model cell by cell, without Keras."""
    answer = {"onnx": _onnx, "saved_model": _saved_model, "litert": _litert}[kind](str(path))
    return np.concatenate([answer(cell[np.newaxis]) for cell in pixels])


def _onnx(path: str) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda cell: session.run(None, {name: cell})[0]


def _saved_model(path: str) -> Callable[[np.ndarray], np.ndarray]:
    loaded = tf.saved_model.load(path)
    return lambda cell: loaded.serve(tf.constant(cell)).numpy()


def _litert(path: str) -> Callable[[np.ndarray], np.ndarray]:
    runner = tf.lite.Interpreter(path).get_signature_runner()
    (given,), (result,) = runner.get_input_details(), runner.get_output_details()
    return lambda cell: runner(**{given: cell})[result]
