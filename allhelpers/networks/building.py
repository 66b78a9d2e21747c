"""A backbone with a new head, cut into trunk and tail.

Below the cut is the *trunk*: frozen, in inference mode, a pure function of the pixels. Above is the
*tail*: the unfrozen blocks and a new softmax head. The full model shares the layers of both.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from . import calibration, hdf5
from .processor import filled_up

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..data.orientations import OrientedPixels
    from ..settings import TrainingSettings
    from .pretrained import Weights
    from .registry import Architecture, Cut

# Means and deviations of RGB as torchvision has them, on the scale 0..1.
TORCH_MEAN, TORCH_DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# Scale and offset of pixels in 0..255, and the layer's name: the modes of Keras's imagenet_utils.
RESCALING: dict[str, tuple[Any, Any, str]] = {
    "tf": (1 / 127.5, -1.0, "to_plus_minus_one"),
    "torch": (
        (1 / 255 / TORCH_DEVIATION).tolist(),
        (-TORCH_MEAN / TORCH_DEVIATION).tolist(),
        "standardise",
    ),
    # Means of the ImageNet training images (Simonyan & Zisserman 2014).
    "caffe": (1.0, [-123.68, -116.779, -103.939], "subtract_imagenet_mean"),
}

# Cells per forward pass: on a CPU 16 are as quick as 32, and VGG16 then stays under 3 GB of memory.
# A GPU wants more.
FORWARD_BATCH, GPU_FORWARD_BATCH = 16, 128
HELD_AT_ONCE = 256  # cells whose features are held in memory


def preprocess(
    architecture: Architecture, pixels: keras.KerasTensor, brighten: float = 1.0
) -> keras.KerasTensor:
    """Turn pixels into what the backbone was trained on; part of the model's graph."""
    if brighten != 1:  # segmented cells are dark, ImageNet's images not
        pixels = keras.ops.minimum(keras.ops.cast(pixels, "float32") * brighten, 255.0)
    if architecture.preprocessing == "inside":
        return keras.ops.cast(pixels, "float32")
    scale, offset, name = RESCALING[architecture.preprocessing]
    rescaled = keras.layers.Rescaling(scale, offset=offset, name=name)(pixels)
    if architecture.preprocessing != "caffe":
        return rescaled
    return keras.ops.flip(rescaled, axis=-1)  # RGB to BGR, the order that OpenCV and so Caffe used


def pools_depths(settings: TrainingSettings) -> bool:
    """Whether the head sees more than the means of the last maps over the whole image."""
    return bool(settings.depths) or settings.pooling == "cell"


@dataclass(frozen=True)
class Network:
    """A backbone with a new head, cut into trunk and tail.

    Attributes
    ----------
    architecture : Architecture
    settings : TrainingSettings
        What it was built for, and how its tail is trained.
    source : Weights or None
        Where the backbone's weights come from.
    classes : tuple of str
        What the probabilities are of, in this order.
    cut : str or tuple of str
        Layer, or layers, at which the backbone is cut, ``"pooled"`` or ``"pixels"``.
    trunk, tail, full : keras.Model
        Pixels to features, features to probabilities, and pixels to probabilities; ``full`` shares
        all layers.
    backbone : keras.Model or None
        Preprocessed pixels to the last feature maps, of the same layers; ``None`` for a head alone.
    members : tuple of Network
        Of an ensemble; empty for a single network.
    threshold : float or None
        Probability of the positive class from which on a cell is predicted positive; ``None``: the
        most probable class.

    Examples
    --------
    >>> network.trunk.output.shape, network.tail.output.shape, network.classes
    ((None, 1024), (None, 2), ('all', 'hem'))
    """

    architecture: Architecture
    settings: TrainingSettings
    source: Weights | None
    classes: tuple[str, ...]
    cut: Cut
    trunk: keras.Model
    tail: keras.Model
    full: keras.Model
    backbone: keras.Model | None = None
    members: tuple[Network, ...] = ()
    threshold: float | None = None

    @property
    def pools_depths(self) -> bool:
        """Whether the head sees pooled features of several blocks, or of the cell alone."""
        return pools_depths(self.settings)

    def set_temperature(self, temperature: float) -> None:
        """Divide the scores before softmax: above 1 probabilities become more even."""
        if self.settings.calibrate:
            variance = self.tail.get_layer(TEMPERATURE).moving_variance
            variance.assign(np.full(variance.shape, temperature**2 - EPSILON))

    def parameters(self) -> dict[str, int]:
        """Count the model's numbers: ``total`` and ``trained``."""
        tails = [member.tail for member in self.members] or [self.tail]
        trained = sum(int(np.prod(w.shape)) for tail in tails for w in tail.trainable_weights)
        return {"total": self.full.count_params(), "trained": trained}


def build(
    architecture: Architecture,
    settings: TrainingSettings,
    source: Weights | None,
    *,
    cells: Cells | None = None,
    classes: tuple[str, ...] | None = None,
) -> Network:
    """Build a network: backbone, new head, cut.

    The head is what the paper describes: global average pooling and one fully connected layer with
    softmax.

    Parameters
    ----------
    architecture : Architecture
    settings : TrainingSettings
    source : Weights or None
        ``None`` where weights will be loaded afterwards.
    cells : Cells, optional
        On a few of whose training cells random weights are calibrated.
    classes : tuple of str, optional
        By default those of ``cells``.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        If the weights file does not fit, or there is no block of the name in ``unfreeze``.

    Examples
    --------
    >>> from allhelpers.networks import get
    >>> built = build(get("mobilenet"), training_settings, None, classes=("sick", "healthy"))
    >>> built.cut, built.parameters()
    ('pooled', {'total': 3230914, 'trained': 2050})
    """
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    backbone = architecture.build(settings.size)
    pixels = keras.Input((settings.size, settings.size, 3), dtype="uint8", name="pixels")
    preprocessed = preprocess(architecture, pixels, settings.brighten)
    if source and source.source == "random" and cells:
        rows = np.random.default_rng(settings.seed).permutation(cells.rows("train"))
        rows = np.sort(rows[: calibration.CALIBRATION_CELLS])
        prepare = keras.Model(pixels, preprocessed)
        calibration.draw_random(backbone, prepare.predict_on_batch(cells.pixels[rows]))
    elif source and source.path:
        hdf5.load(backbone, source.path)
    elif source:
        raise ValueError("random weights need cells, and others a file: see fetch")
    # Batch normalisation that is trained everywhere leaves no frozen part below it.
    cut = "pixels" if settings.batch_norm == "all" else architecture.cut(settings.unfreeze)
    classes = classes or (cells.classes if cells else ())
    trunk, above, pooled = _divide(architecture, settings, cut, backbone, pixels, preprocessed)
    tail = keras.Model(above, _head(settings, classes, pooled), name="tail")
    trunk.trainable = False
    _freeze(architecture, backbone, settings, all_in_tail=cut == "pixels")
    full = keras.Model(pixels, tail(trunk(pixels)), name=architecture.name)
    return Network(architecture, settings, source, classes, cut, trunk, tail, full, backbone)


def prepared(network: Network, pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Pixels as the network's backbone sees them."""
    return preprocess(network.architecture, pixels, network.settings.brighten)


def _divide(
    architecture: Architecture,
    settings: TrainingSettings,
    cut: Cut,
    backbone: keras.Model,
    pixels: keras.KerasTensor,
    preprocessed: keras.KerasTensor,
) -> tuple[keras.Model, keras.KerasTensor, keras.KerasTensor]:
    """The trunk, what enters the tail, and what its head sees."""
    pool = keras.layers.GlobalAveragePooling2D(name="pool")
    ends: list[keras.KerasTensor] = []
    if pools_depths(settings):
        maps = keras.Model(backbone.input, depth_outputs(architecture, backbone, settings.depths))
        each = keras.tree.flatten(maps(preprocessed))
        computed = _joined([pool_maps(one, pixels, settings.pooling) for one in each])
    elif cut == "pooled":
        computed = pool(backbone(preprocessed))
    elif cut == "pixels":
        return keras.Model(pixels, pixels, name="trunk"), pixels, pool(backbone(preprocessed))
    else:
        ends = _outputs(backbone, cut)
        below = keras.Model(backbone.input, _joined(ends), name="frozen_blocks")
        computed = below(preprocessed)
    trunk = keras.Model(pixels, computed, name="trunk")
    if len(ends) == 1:
        return trunk, ends[0], pool(backbone.output)
    features = keras.Input(trunk.output.shape[1:], name="features")
    if not ends:
        return trunk, features, features
    above = keras.Model(ends, backbone.output, name="trained_blocks")
    borders = np.cumsum([end.shape[-1] for end in ends])[:-1].tolist()
    return trunk, features, pool(above(keras.ops.split(features, borders, axis=-1)))


def depth_outputs(
    architecture: Architecture, backbone: keras.Model, depths: str
) -> list[keras.KerasTensor]:
    """Maps at the ends of the blocks that are named; of the last block where none is."""
    ends = [architecture.end(name.strip()) for name in depths.split(",") if name.strip()]
    maps = [_outputs(backbone, end) if end else [backbone.output] for end in ends]
    return [one for several in maps for one in several] or [backbone.output]


def pool_maps(
    maps: keras.KerasTensor, pixels: keras.KerasTensor, pooling: str
) -> keras.KerasTensor:
    """Mean of each map; of the cell alone, as the black around it says only how large it is."""
    if pooling != "cell":
        return keras.ops.mean(maps, axis=(1, 2))
    inside = keras.ops.cast(keras.ops.any(pixels > 0, axis=-1, keepdims=True), "float32")
    height = maps.shape[1]
    if pixels.shape[1] % height:
        share = keras.ops.image.resize(inside, (height, maps.shape[2]), interpolation="bilinear")
    else:
        share = keras.ops.average_pool(inside, pixels.shape[1] // height)
    total = keras.ops.maximum(keras.ops.sum(share, axis=(1, 2)), 1e-6)
    return keras.ops.sum(maps * share, axis=(1, 2)) / total


def _joined(outputs: list[keras.KerasTensor]) -> keras.KerasTensor:
    """One output for several, by channels."""
    return outputs[0] if len(outputs) == 1 else keras.layers.Concatenate(name="features")(outputs)


def _outputs(backbone: keras.Model, cut: Cut) -> list[keras.KerasTensor]:
    """What crosses the cut: the outputs of one layer or of several."""
    return [backbone.get_layer(name).output for name in keras.tree.flatten(cut)]


def _head(
    settings: TrainingSettings, classes: tuple[str, ...], outputs: keras.KerasTensor
) -> keras.KerasTensor:
    """A fully connected layer with softmax; before it what the settings ask for."""
    if settings.standardise:
        outputs = scaler(STANDARDISE)(outputs)
    if settings.hidden_units:
        shape = {"units": settings.hidden_units, "activation": settings.activation}
        outputs = keras.layers.Dense(**shape, name="hidden")(outputs)
    if settings.dropout:
        outputs = keras.layers.Dropout(settings.dropout, name="dropout")(outputs)
    decay = keras.regularizers.L2(settings.weight_decay) if settings.weight_decay else None
    last = functools.partial(
        keras.layers.Dense, len(classes), kernel_regularizer=decay, dtype="float32"
    )
    if settings.calibrate:
        return tempered(last(name="scores")(outputs))
    return last(activation="softmax", name="probabilities")(outputs)


def tempered(scores: keras.KerasTensor) -> keras.KerasTensor:
    """Softmax of scores after their division by a temperature, at first 1."""
    softmax = keras.layers.Softmax(name="probabilities", dtype="float32")
    return softmax(scaler(TEMPERATURE)(scores))


STANDARDISE, TEMPERATURE = "standardise_features", "temperature"
EPSILON = 1e-8  # which the layer adds to a variance


def head_input(tail: keras.Model) -> keras.KerasTensor:
    """What the head sees: pooled features."""
    seen = tail.output  # back through the head, whose layers have one input each
    while True:
        operation, node, _ = seen._keras_history
        before = operation._inbound_nodes[node].input_tensors
        if operation.name == "pool" or not before:
            return seen
        seen = before[0]


def scaler(name: str) -> keras.Layer:
    """A layer that subtracts means and divides by deviations, which are measured, not trained."""
    return keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=EPSILON, trainable=False, name=name, dtype="float32"
    )


def standardise(tail: keras.Model, features: np.ndarray) -> None:
    """Give the tail the mean and the deviation of its training features."""
    layer = tail.get_layer(STANDARDISE)
    layer.moving_mean.assign(features.mean(axis=0))
    layer.moving_variance.assign(features.var(axis=0))


def head_alone(
    architecture: Architecture,
    settings: TrainingSettings,
    *,
    channels: int,
    classes: tuple[str, ...],
) -> Network:
    """A new head on pooled features that are there already: they stand in the place of pixels."""
    keras.utils.set_random_seed(settings.seed)
    features = keras.Input((channels,), name="features")
    trunk = keras.Model(features, features, name="trunk")
    tail = keras.Model(features, _head(settings, classes, features), name="tail")
    return Network(architecture, settings, None, classes, "pooled", trunk, tail, full=tail)


def _freeze(
    architecture: Architecture,
    backbone: keras.Model,
    settings: TrainingSettings,
    *,
    all_in_tail: bool,
) -> None:
    """Frozen, a batch normalisation keeps its statistics too, and a dropout drops nothing."""
    above = layers_above(architecture, backbone, settings.unfreeze)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.name not in above:
            layer.rate = 0.0
        if all_in_tail:
            layer.trainable = layer.name in above
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = settings.batch_norm_momentum
            if settings.batch_norm != "tail":
                layer.trainable = settings.batch_norm == "all"


def layers_above(architecture: Architecture, backbone: keras.Model, unfreeze: str) -> set[str]:
    """Names of the backbone's layers above the cut."""
    cut, names = architecture.cut(unfreeze), {layer.name for layer in backbone.layers}
    if cut in ("pooled", "pixels"):
        return names if cut == "pixels" else set()
    below = keras.Model(backbone.input, _outputs(backbone, cut))
    return names - {layer.name for layer in below.layers}


def predict(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Outputs of a model in inference mode, batch by batch.

    Parameters
    ----------
    model : keras.Model
        A trunk, a tail, or a full model, whose outputs are probabilities in the order of
        ``classes``.
    inputs : ndarray of shape (n, ...)

    Returns
    -------
    ndarray of shape (n, ...), float32

    Examples
    --------
    >>> predict(network.full, cells.pixels[:3]).shape
    (3, 2)
    """
    size = FORWARD_BATCH if gpu() is None else GPU_FORWARD_BATCH
    outputs = np.empty((len(inputs), *model.output.shape[1:]), np.float32)
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        computed = model.predict_on_batch(filled_up(batch, size))
        outputs[start : start + len(batch)] = computed[: len(batch)]
    return outputs


def predict_rows(
    model: keras.Model, features: np.ndarray | OrientedPixels, rows: np.ndarray, view: int = 0
) -> np.ndarray:
    """Outputs of a model for some cells in one view, the features of few in memory at a time."""
    parts = [rows[start : start + HELD_AT_ONCE] for start in range(0, len(rows), HELD_AT_ONCE)]
    none = np.zeros((0, *model.output.shape[1:]), np.float32)
    return np.concatenate([none, *(predict(model, features[view, part]) for part in parts)])


@functools.cache
def gpu() -> dict[str, Any] | None:
    """Details of the first GPU that TensorFlow computes with, or ``None``."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]) if gpus else None


def device() -> str:
    """What computes: the name of the first GPU, or ``"CPU"``."""
    details = gpu()
    return "CPU" if details is None else details.get("device_name", "GPU")
