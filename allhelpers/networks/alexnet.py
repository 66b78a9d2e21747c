"""AlexNet, which Keras does not have: torchvision's variant, and its weights.

A. Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks": without
response normalisation.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import h5py
import keras
import numpy as np

from .._core.errors import InputError
from .._core.files import atomic

# Number of torchvision's module, channels, kernel, stride, padding, and whether pooling follows.
CONVOLUTIONS = (
    (0, 64, 11, 4, 2, True),
    (3, 192, 5, 1, 2, True),
    (6, 384, 3, 1, 1, False),
    (8, 256, 3, 1, 1, False),
    (10, 256, 3, 1, 1, True),
)

READ_CHECKPOINT = """
import sys, numpy, torch
options = {"progress": False, "check_hash": True, "weights_only": True}
state = torch.hub.load_state_dict_from_url(sys.argv[1], **options)
numpy.savez(sys.argv[2], **{name: tensor.numpy() for name, tensor in state.items()})
"""


def AlexNet(  # noqa: N802 (as in keras.applications)
    weights: None = None,
    include_top: Literal[False] = False,
    input_shape: tuple[int, ...] = (224, 224, 3),
) -> keras.Model:
    """Build AlexNet without its classification layers, with random weights."""
    if weights is not None or include_top:
        raise InputError(
            "AlexNet is built with random weights and without its classification layers: load a "
            "file afterwards."
        )
    inputs = outputs = keras.Input(input_shape)
    for number, (_, channels, kernel, stride, padding, pooled) in enumerate(CONVOLUTIONS, 1):
        name = f"conv{number}"
        outputs = keras.layers.ZeroPadding2D(padding, name=f"{name}_pad")(outputs)
        convolve = keras.layers.Conv2D(channels, kernel, stride, activation="relu", name=name)
        outputs = convolve(outputs)
        if pooled:
            outputs = keras.layers.MaxPooling2D(3, 2, name=f"{name}_pool")(outputs)
    return keras.Model(inputs, outputs, name="alexnet")


def from_torch(state: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Arrange the weights of torchvision's convolutions as Keras has them."""
    arranged, channels = {}, 3
    for number, (module, filters, kernel, *_) in enumerate(CONVOLUTIONS, 1):
        name, shape = f"features.{module}", (filters, channels, kernel, kernel)
        weight, bias = (np.asarray(state.get(f"{name}.{part}", ())) for part in ("weight", "bias"))
        if weight.shape != shape or bias.shape != shape[:1]:
            raise InputError(
                f"The checkpoint of AlexNet holds {name} with shape {weight.shape}, not {shape}: "
                "use torchvision's own."
            )
        arranged[f"conv{number}"] = [weight.transpose(2, 3, 1, 0), bias]
        channels = filters
    return arranged


def convert(url: str, path: Path) -> None:
    """Download torchvision's checkpoint and write its convolutions as a Keras weights file."""
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "AlexNet's ImageNet weights are torchvision's and need torch to be read: install "
            "torch, run it in Colab, or choose weights = random."
        )
    with tempfile.TemporaryDirectory() as scratch:
        arrays = Path(scratch) / "state.npz"
        command = [sys.executable, "-c", READ_CHECKPOINT, url, str(arrays)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(f"The download of {url} failed ({reason}): run it again.")
        with np.load(arrays) as state:
            write(from_torch(state), path)


def write(weights: dict[str, list[np.ndarray]], path: Path) -> None:
    """Write weights in the layout of Keras's own HDF5 files."""
    with atomic(path) as partial, h5py.File(partial, "w") as stream:
        stream.attrs["layer_names"] = list(weights)
        for layer, (kernel, bias) in weights.items():
            group = stream.create_group(layer)
            group.attrs["weight_names"] = ["kernel", "bias"]
            group["kernel"], group["bias"] = np.ascontiguousarray(kernel), bias
