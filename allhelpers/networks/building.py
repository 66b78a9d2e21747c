"""A backbone with a new head, cut into trunk and tail.

The backbone is cut at the last frozen layer. Below is the *trunk*: frozen, in inference mode, a pure function of the
pixels. Above is the *tail*: the unfrozen blocks and a new softmax head. The full model, pixels in and probabilities
out, shares the layers of both: nothing is copied after training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from . import calibration, hdf5
from .calibration import CALIBRATION_CELLS
from .pretrained import Weights
from .registry import TORCH_DEVIATION_RGB, TORCH_MEAN_RGB, Architecture

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..settings import TrainingSettings

# Means of the ImageNet training pictures in RGB order, on the scale 0..255 (Simonyan & Zisserman 2014, as in
# keras.applications.imagenet_utils, mode "caffe").
IMAGENET_MEAN_RGB = (123.68, 116.779, 103.939)


def preprocess(architecture: Architecture, pixels: np.ndarray) -> Any:
    """Turn pixels into what the backbone was trained on; part of the model's graph."""
    if architecture.preprocessing == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="to_plus_minus_one")(pixels)
    if architecture.preprocessing == "torch":
        scale = [1 / 255 / deviation for deviation in TORCH_DEVIATION_RGB]
        offset = [
            -mean / deviation
            for mean, deviation in zip(TORCH_MEAN_RGB, TORCH_DEVIATION_RGB, strict=True)
        ]
        return keras.layers.Rescaling(scale, offset=offset, name="standardise")(pixels)
    offset = [-mean for mean in IMAGENET_MEAN_RGB]
    centred = keras.layers.Rescaling(1.0, offset=offset, name="subtract_imagenet_mean")(pixels)
    return keras.ops.flip(centred, axis=-1)  # RGB to BGR, the order that OpenCV and so Caffe used


# Cells per forward pass: on a CPU 16 are as quick as 32, and VGG16 then stays under 3 GB of memory. A GPU wants more.
FORWARD_BATCH, GPU_FORWARD_BATCH = 16, 128


@dataclass(frozen=True)
class Network:
    """A backbone with a new head, cut into trunk and tail.

    Attributes
    ----------
    architecture : Architecture
    settings : TrainingSettings
        What it was built for.
    source : pretrained.Weights or None
        Where the backbone's weights come from.
    classes : tuple of str
        What the probabilities are of, in this order.
    cut : str or tuple of str
        Layer, or layers, at which the backbone is cut, ``"pooled"`` or ``"pixels"``.
    trunk, tail, full : keras.Model
        Pixels to features, features to probabilities, and pixels to probabilities; ``full`` shares all layers.
    backbone : keras.Model or None
        Preprocessed pixels to the last feature maps, of the same layers; ``None`` for a head alone.
    """

    architecture: Architecture
    settings: TrainingSettings
    source: Weights | None
    classes: tuple
    cut: str | tuple
    trunk: keras.Model
    tail: keras.Model
    full: keras.Model
    backbone: keras.Model | None = None

    def parameters(self) -> dict[str, int]:
        """Count the model's numbers.

        Returns
        -------
        dict of str to int
            ``total`` and ``trained``.
        """
        trained = sum(int(np.prod(w.shape)) for w in self.tail.trainable_weights)
        return {"total": self.full.count_params(), "trained": trained}


def build(
    architecture: Architecture,
    settings: TrainingSettings,
    source: Weights | None,
    cells: Cells | None = None,
    classes: tuple[str, ...] | None = None,
) -> Network:
    """Build a network: backbone, new head, cut.

    The head is what the paper describes: global average pooling and one fully connected layer with softmax.

    Parameters
    ----------
    architecture : Architecture
    settings : TrainingSettings
    source : pretrained.Weights or None
        ``None`` where weights will be loaded afterwards.
    cells : loading.Cells, optional
        On a few of whose training cells random weights are calibrated.
    classes : tuple of str, optional
        By default those of ``cells``.

    Returns
    -------
    Network

    Examples
    --------
    >>> built = build(registry.get("mobilenet"), training_settings, None, classes=("sick", "healthy"))
    >>> built.cut, built.parameters()
    ('pooled', {'total': 3230914, 'trained': 2050})
    """
    cut, classes = _cut(architecture, settings), classes or cells.classes
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    backbone = architecture.build(settings.size)
    pixels = keras.Input((settings.size, settings.size, 3), dtype="uint8", name="pixels")
    preprocessed = preprocess(architecture, pixels)
    if source and source.source == "random":
        chosen = np.random.default_rng(settings.seed).permutation(cells.rows("train"))[
            :CALIBRATION_CELLS
        ]
        sight = keras.Model(pixels, preprocessed)
        calibration.draw_random(backbone, sight.predict_on_batch(cells.pixels[np.sort(chosen)]))
    elif source:
        hdf5.load(backbone, source.path)
    trunk, tail = _divide(backbone, pixels, preprocessed, cut, _head(settings, classes))
    _freeze(architecture, trunk, tail, backbone, settings)
    full = keras.Model(pixels, tail(trunk(pixels)), name=architecture.name)
    return Network(architecture, settings, source, classes, cut, trunk, tail, full, backbone)


def _cut(architecture: Architecture, settings: TrainingSettings) -> Any:
    """Batch normalisation that is trained everywhere leaves no frozen part below it."""
    cut = architecture.cut(settings.unfreeze)
    return "pixels" if settings.batch_norm == "all" else cut


def _divide(
    backbone: keras.Model,
    pixels: np.ndarray,
    preprocessed: np.ndarray,
    cut: str | tuple[str, ...],
    head: Any,
) -> Any:
    pool = keras.layers.GlobalAveragePooling2D(name="pool")
    if cut == "pooled":
        trunk = keras.Model(pixels, pool(backbone(preprocessed)), name="trunk")
        features = keras.Input(trunk.output.shape[1:], name="features")
        return trunk, keras.Model(features, head(features), name="tail")
    if cut == "pixels":
        trunk = keras.Model(pixels, pixels, name="trunk")
        return trunk, keras.Model(pixels, head(pool(backbone(preprocessed))), name="tail")
    ends = _outputs(backbone, cut)
    if len(ends) == 1:
        below = keras.Model(backbone.input, ends[0], name="frozen_blocks")
        trunk = keras.Model(pixels, below(preprocessed), name="trunk")
        return trunk, keras.Model(ends[0], head(pool(backbone.output)), name="tail")
    below = keras.Model(
        backbone.input, keras.layers.Concatenate(name="features")(ends), name="frozen_blocks"
    )
    trunk = keras.Model(pixels, below(preprocessed), name="trunk")
    above = keras.Model(ends, backbone.output, name="trained_blocks")
    features = keras.Input(trunk.output.shape[1:], name="features")
    borders = np.cumsum([end.shape[-1] for end in ends])[:-1].tolist()
    parts = keras.ops.split(features, borders, axis=-1)
    return trunk, keras.Model(features, head(pool(above(parts))), name="tail")


def _outputs(backbone: keras.Model, cut: str | tuple[str, ...]) -> Any:
    """What crosses the cut: the outputs of one layer or of several."""
    return [backbone.get_layer(name).output for name in ((cut,) if isinstance(cut, str) else cut)]


def _head(settings: TrainingSettings, classes: tuple[str, ...]) -> Any:
    """The fully connected layer with softmax; before it a hidden layer and dropout where the settings ask for them."""
    layers = []
    if settings.hidden:
        layers.append(
            keras.layers.Dense(settings.hidden, activation=settings.activation, name="hidden")
        )
    if settings.dropout:
        layers.append(keras.layers.Dropout(settings.dropout, name="dropout"))
    layers.append(
        keras.layers.Dense(
            len(classes), activation="softmax", dtype="float32", name="probabilities"
        )
    )

    def head(outputs: Any) -> Any:
        for layer in layers:
            outputs = layer(outputs)
        return outputs

    return head


def head_alone(
    architecture: Architecture, settings: TrainingSettings, channels: int, classes: tuple[str, ...]
) -> Network:
    """A new head on pooled features that are there already; it has no trunk and no full model.

    Parameters
    ----------
    architecture : Architecture
    settings : TrainingSettings
    channels : int
        Of the features.
    classes : tuple of str

    Returns
    -------
    Network

    Examples
    --------
    >>> head = head_alone(registry.get("mobilenet"), training_settings, 1024, ("sick", "healthy"))
    >>> head.tail.count_params()
    2050
    """
    keras.utils.set_random_seed(settings.seed)
    features = keras.Input((channels,), name="features")
    tail = keras.Model(features, _head(settings, classes)(features), name="tail")
    return Network(architecture, settings, None, classes, "pooled", None, tail, None)


def _freeze(
    architecture: Architecture,
    trunk: keras.Model,
    tail: Any,
    backbone: keras.Model,
    settings: TrainingSettings,
) -> None:
    """Decide for every layer whether it is trained; a frozen batch normalisation also keeps its statistics."""
    trunk.trainable = False
    is_norm = {
        layer.name: isinstance(layer, keras.layers.BatchNormalization) for layer in backbone.layers
    }
    above = layers_above(architecture, backbone, settings.unfreeze)
    if tail.input.dtype == "uint8":  # the cut is at the pixels: the tail holds the whole backbone
        for layer in backbone.layers:
            layer.trainable = layer.name in above
    for layer in backbone.layers:
        if is_norm[layer.name]:
            layer.momentum = settings.norm_momentum
            if settings.batch_norm != "tail":
                layer.trainable = settings.batch_norm == "all"


def layers_above(architecture: Architecture, backbone: keras.Model, unfreeze: str) -> Any:
    """Names of the backbone's layers above the cut."""
    cut = architecture.cut(unfreeze)
    if cut == "pooled":
        return set()
    if cut == "pixels":
        return {layer.name for layer in backbone.layers}
    below = keras.Model(backbone.input, _outputs(backbone, cut))
    return {layer.name for layer in backbone.layers} - {layer.name for layer in below.layers}


def predict(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Outputs of a model in inference mode, batch by batch.

    Parameters
    ----------
    model : keras.Model
        A trunk, a tail, or a full model, whose outputs are probabilities in the order of ``classes``.
    inputs : array of shape (n, ...)

    Returns
    -------
    ndarray of shape (n, ...), float32

    Examples
    --------
    >>> predict(network.full, cells.pixels[:3]).shape
    (3, 2)
    """
    size = GPU_FORWARD_BATCH if tf.config.list_physical_devices("GPU") else FORWARD_BATCH
    outputs = np.empty((len(inputs), *model.output.shape[1:]), np.float32)
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        outputs[start : start + len(batch)] = model.predict_on_batch(filled_up(batch, size))[
            : len(batch)
        ]
    return outputs


def filled_up(batch: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last row until a batch has its full size: with one shape only, a model is compiled once."""
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])


def device() -> Any:
    """What computes: the name of the first GPU, or ``"CPU"``.

    Examples
    --------
    On a machine of Colab with a T4::

        device()  # 'Tesla T4'
    """
    gpus = tf.config.list_physical_devices("GPU")
    return (
        tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        if gpus
        else "CPU"
    )
