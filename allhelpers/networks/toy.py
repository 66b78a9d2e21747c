"""A backbone for tests: what the real ones are made of, in a few thousand numbers."""

from __future__ import annotations

import keras


def Toy(  # noqa: N802 (as in keras.applications)
    weights: None = None, include_top: bool = False, input_shape: tuple[int, ...] = (64, 64, 3)
) -> keras.Model:
    """Three convolutions with batch normalisation, one of them with a residual connection."""
    if weights is not None or include_top:
        raise ValueError("The toy has random weights and no classification layer.")
    inputs = keras.Input(input_shape)
    below = _convolve(inputs, 8, 2, "block1")
    residual = _convolve(_convolve(below, 16, 2, "block2a"), 16, 1, "block2b")
    shortcut = keras.layers.Conv2D(16, 1, 2, name="block2_shortcut")(below)
    middle = keras.layers.Add(name="block2_out")([residual, shortcut])
    return keras.Model(inputs, _convolve(middle, 32, 2, "block3"), name="toy")


def _convolve(
    inputs: keras.KerasTensor, channels: int, stride: int, name: str
) -> keras.KerasTensor:
    convolution = keras.layers.Conv2D(
        channels, 3, stride, padding="same", use_bias=False, name=f"{name}_conv"
    )
    normed = keras.layers.BatchNormalization(name=f"{name}_bn")(convolution(inputs))
    return keras.layers.ReLU(name=f"{name}_relu")(normed)
