"""Random weights on which features neither vanish nor explode, for tests without downloads."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

CALIBRATION_CELLS = 16


def draw_random(backbone: keras.Model, preprocessed: np.ndarray) -> None:
    """Make random layers pass signals on, so that a frozen backbone is worth something."""
    norms = [each for each in backbone.layers if isinstance(each, keras.layers.BatchNormalization)]
    if norms:
        momenta = [layer.momentum for layer in norms]
        for layer in norms:
            layer.momentum = 0.0
        # Compiled: of an eager call Keras keeps all intermediate results, 1.6 GB for ResNet50.
        compiled = tf.function(lambda cells: backbone(cells, training=True), autograph=False)
        compiled(preprocessed)
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
        return
    if any(isinstance(each, keras.layers.LayerNormalization) for each in backbone.layers):
        return  # it measures each cell anew, so that there is nothing to learn from some
    outputs = keras.ops.convert_to_tensor(preprocessed)
    for layer in backbone.layers[1:]:  # a chain, as VGG16 is
        if isinstance(layer, keras.layers.Conv2D):
            _standardise(layer, outputs)
        outputs = layer(outputs)


def _standardise(layer: keras.Layer, inputs: keras.KerasTensor) -> None:
    """Scale and shift a convolution: each channel, before ReLU, gets mean 0 and variance 1."""
    activation, layer.activation = layer.activation, keras.activations.linear
    mean, variance = keras.ops.moments(layer(inputs), axes=(0, 1, 2))
    layer.activation = activation
    deviation = keras.ops.sqrt(variance + 1e-6)
    layer.kernel.assign(layer.kernel / deviation)
    layer.bias.assign((layer.bias - mean) / deviation)
