"""Today's guide: Keras 3, a cached and prefetched data set, the frozen backbone called with
``training=False``.

After "Transfer learning & fine-tuning" of Keras's own guides (keras.io/guides/transfer_learning).
"""

import argparse
import json
import time

import keras
import tensorflow as tf

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("architecture", choices=sorted(KINDS))
    parser.add_argument("trained_layers", type=int)
    parser.add_argument("epochs", type=int)
    args = parser.parse_args()
    cells = keras.utils.image_dataset_from_directory(
        args.folder, label_mode="categorical", image_size=(224, 224), batch_size=32
    )
    count = len(cells.file_paths)
    cells = cells.cache().prefetch(tf.data.AUTOTUNE)
    module = getattr(keras.applications, args.architecture)
    backbone = getattr(module, KINDS[args.architecture])(
        weights=None, include_top=False, input_shape=(224, 224, 3)
    )
    for layer in backbone.layers[: len(backbone.layers) - args.trained_layers]:
        layer.trainable = False
    pixels = keras.Input((224, 224, 3))
    features = backbone(module.preprocess_input(pixels), training=False)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(pooled))
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    timer = Timer()
    model.fit(cells, epochs=args.epochs, verbose=0, callbacks=[timer])
    print(json.dumps({"cells": count, "epochs": timer.seconds}))


if __name__ == "__main__":
    main()
