"""The paper's stack, for Python 3.7: Keras 2.3.1's generator over files, every epoch through the
whole network.
"""

import keras

from benchmarks import plain_keras


def main():
    args = plain_keras.arguments()
    module, backbone = plain_keras.frozen_backbone(args)
    generator = keras.preprocessing.image.ImageDataGenerator(
        preprocessing_function=module.preprocess_input
    )
    cells = generator.flow_from_directory(args.folder, target_size=(224, 224), batch_size=32)
    plain_keras.train(backbone.input, backbone.output, cells, cells.samples, args.epochs)


if __name__ == "__main__":
    main()
