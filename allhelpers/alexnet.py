"""AlexNet, which Keras does not have: torchvision's variant, and its weights.

The variant is that of A. Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", as in
torchvision.models.alexnet: five convolutions of 64, 192, 384, 256 and 256 channels, without response normalisation.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from . import runs
from .errors import InputError

# Number of torchvision's module, channels, kernel, stride, padding, and whether pooling follows.
CONVOLUTIONS = (
    (0, 64, 11, 4, 2, True),
    (3, 192, 5, 1, 2, True),
    (6, 384, 3, 1, 1, False),
    (8, 256, 3, 1, 1, False),
    (10, 256, 3, 1, 1, True),
)
DENSE = ((1, 4096), (4, 4096), (6, 1000))
READ_CHECKPOINT = """
import sys, numpy, torch
state = torch.hub.load_state_dict_from_url(sys.argv[1], progress=False, check_hash=True, weights_only=True)
numpy.savez(sys.argv[2], **{name: tensor.numpy() for name, tensor in state.items()})
"""
TOP_SIDE = 6  # of the last features, for pictures of 224 pixels


def AlexNet(weights=None, include_top=True, input_shape=(224, 224, 3)):  # noqa: N802 (as in keras.applications)
    """Build AlexNet with random weights.

    Parameters
    ----------
    weights : None
        Weights are loaded afterwards.
    include_top : bool
        With the three fully connected layers of the original, which need pictures of 224 pixels.
    input_shape : tuple of int
        Height, width and channels.

    Returns
    -------
    keras.Model

    Examples
    --------
    >>> AlexNet(include_top=False).output_shape
    (None, 6, 6, 256)
    """
    if weights is not None:
        raise InputError("AlexNet is built with random weights: load a file afterwards.")
    inputs = outputs = keras.Input(input_shape)
    for number, (_, channels, kernel, stride, padding, pooled) in enumerate(CONVOLUTIONS, 1):
        name = f"conv{number}"
        outputs = keras.layers.ZeroPadding2D(padding, name=f"{name}_pad")(outputs)
        outputs = keras.layers.Conv2D(channels, kernel, stride, activation="relu", name=name)(outputs)
        if pooled:
            outputs = keras.layers.MaxPooling2D(3, 2, name=f"{name}_pool")(outputs)
    if include_top:
        outputs = keras.layers.Flatten(name="flatten")(outputs)
        for number, units in DENSE[:-1]:
            outputs = keras.layers.Dense(units, activation="relu", name=f"dense{number}")(outputs)
        outputs = keras.layers.Dense(DENSE[-1][1], name=f"dense{DENSE[-1][0]}")(outputs)
    return keras.Model(inputs, outputs, name="alexnet")


def from_torch(state, include_top=False):
    """Arrange torchvision's weights as Keras has them.

    Parameters
    ----------
    state : dict of str to array
        ``features.0.weight`` and so on, as in torchvision's state dict.
    include_top : bool
        With those of the fully connected layers.

    Returns
    -------
    dict of str to list of ndarray
        Kernel and bias of each layer, by the layer's name.

    Raises
    ------
    InputError
        If a weight is missing or has another shape.

    Examples
    --------
    >>> layers = [layer.get_weights() for layer in AlexNet(include_top=False).layers if layer.weights]
    >>> state = {}
    >>> for (module, *_), (kernel, bias) in zip(CONVOLUTIONS, layers, strict=True):
    ...     state |= {f"features.{module}.weight": kernel.transpose(3, 2, 0, 1), f"features.{module}.bias": bias}
    >>> [array.shape for array in from_torch(state)["conv1"]]
    [(11, 11, 3, 64), (64,)]
    """
    found = {}
    channels = 3
    for number, (module, filters, kernel, *_) in enumerate(CONVOLUTIONS, 1):
        weight, bias = _weights(state, f"features.{module}", (filters, channels, kernel, kernel))
        found[f"conv{number}"] = [weight.transpose(2, 3, 1, 0), bias]
        channels = filters
    inputs = channels * TOP_SIDE**2
    for module, units in DENSE if include_top else ():
        weight, bias = _weights(state, f"classifier.{module}", (units, inputs))
        if module == DENSE[0][0]:  # torch flattens channels first, Keras last
            weight = weight.reshape(units, channels, TOP_SIDE, TOP_SIDE).transpose(0, 2, 3, 1).reshape(units, inputs)
        found[f"dense{module}"] = [weight.T, bias]
        inputs = units
    return found


def _weights(state, name, shape):
    weight, bias = (np.asarray(state.get(f"{name}.{part}", ())) for part in ("weight", "bias"))
    if weight.shape != shape or bias.shape != shape[:1]:
        raise InputError(
            f"The checkpoint of AlexNet holds {name} with shape {weight.shape}, not {shape}: use torchvision's own."
        )
    return weight, bias


def convert(url, path):
    """Download torchvision's checkpoint and write its convolutions as a Keras weights file.

    The download is checked against the hash in its name, and read as tensors only (``weights_only``), so that nothing
    of it is executed. That is done by a process of its own, because TensorFlow and torch can crash in one.

    Parameters
    ----------
    url : str
    path : Path
        Where the HDF5 file goes, in the layout of Keras's own files.

    Raises
    ------
    InputError
        If torch is not installed, or the download fails.

    Examples
    --------
    It needs the network and torch::

        convert(architectures.get("alexnet").weights_url, Path("alexnet_torchvision_notop.h5"))
    """
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "AlexNet's ImageNet weights are torchvision's and need torch to be read: install torch, run it in Colab, "
            "or choose weights = random."
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


def write(weights, path):
    """Write weights in the layout of Keras's own HDF5 files.

    Parameters
    ----------
    weights : dict of str to list of ndarray
        From `from_torch`.
    path : Path

    Examples
    --------
    >>> import h5py
    >>> write({"conv1": [np.zeros((11, 11, 3, 64)), np.zeros(64)]}, Path("alexnet.h5"))
    >>> with h5py.File("alexnet.h5") as stream:
    ...     stream["conv1/kernel"].shape
    (11, 11, 3, 64)
    """
    import h5py

    with runs.atomic(path) as partial, h5py.File(partial, "w") as stream:
        stream.attrs["layer_names"] = list(weights)
        for layer, (kernel, bias) in weights.items():
            group = stream.create_group(layer)
            group.attrs["weight_names"] = ["kernel", "bias"]
            group["kernel"], group["bias"] = np.ascontiguousarray(kernel), bias
