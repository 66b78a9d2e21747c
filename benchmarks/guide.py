"""Today's guide: Keras 3, a cached and prefetched data set, the frozen backbone called with
``training=False``.

After "Transfer learning & fine-tuning" of Keras's own guides (keras.io/guides/transfer_learning).
"""

import keras
import tensorflow as tf

from benchmarks import plain_keras


def main():
    args = plain_keras.arguments()
    cells = keras.utils.image_dataset_from_directory(
        args.folder, label_mode="categorical", image_size=(224, 224), batch_size=32
    )
    count = len(cells.file_paths)
    cells = cells.cache().prefetch(tf.data.AUTOTUNE)
    module, backbone = plain_keras.frozen_backbone(args)
    pixels = keras.Input((224, 224, 3))
    features = backbone(module.preprocess_input(pixels), training=False)
    plain_keras.train(pixels, features, cells, count, args.epochs)


if __name__ == "__main__":
    main()
