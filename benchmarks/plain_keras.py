"""What the paper's stack and today's guide share; Python 3.7 and Keras 2.3.1 read it, too."""

import argparse
import json
import time

import keras

KINDS = {"mobilenet": "MobileNet", "vgg16": "VGG16", "resnet50": "ResNet50"}


class Timer(keras.callbacks.Callback):
    """Seconds of every epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.began)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("architecture", choices=sorted(KINDS))
    parser.add_argument("trained_layers", type=int)
    parser.add_argument("epochs", type=int)
    return parser.parse_args()


def frozen_backbone(args):
    """The module of a network, and its layers, of which the last are trained."""
    module = getattr(keras.applications, args.architecture)
    backbone = getattr(module, KINDS[args.architecture])(
        weights=None, include_top=False, input_shape=(224, 224, 3)
    )
    for layer in backbone.layers[: len(backbone.layers) - args.trained_layers]:
        layer.trainable = False
    return module, backbone


def train(pixels, features, cells, count, epochs):
    """Train the paper's head on features of cells, and print the seconds of every epoch."""
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(pooled))
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    timer = Timer()
    model.fit(cells, epochs=epochs, verbose=0, callbacks=[timer])
    print(json.dumps({"cells": count, "epochs": timer.seconds}))
