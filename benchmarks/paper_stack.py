"""The paper's stack, for Python 3.7: Keras 2.3.1's generator over files, every epoch through the
whole network.
"""

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("architecture", choices=sorted(KINDS))
    parser.add_argument("trained_layers", type=int)
    parser.add_argument("epochs", type=int)
    args = parser.parse_args()
    module = getattr(keras.applications, args.architecture)
    backbone = getattr(module, KINDS[args.architecture])(
        weights=None, include_top=False, input_shape=(224, 224, 3)
    )
    for layer in backbone.layers[: len(backbone.layers) - args.trained_layers]:
        layer.trainable = False
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.input, keras.layers.Dense(2, activation="softmax")(pooled))
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    generator = keras.preprocessing.image.ImageDataGenerator(
        preprocessing_function=module.preprocess_input
    )
    cells = generator.flow_from_directory(args.folder, target_size=(224, 224), batch_size=32)
    timer = Timer()
    model.fit(cells, epochs=args.epochs, verbose=0, callbacks=[timer])
    print(json.dumps({"cells": cells.samples, "epochs": timer.seconds}))


if __name__ == "__main__":
    main()
