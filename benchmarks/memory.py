"""Memory while a tail trains on features that are larger than it may hold: 14 x 14 x 512 in single
precision.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from allhelpers._core.caching import filled
from allhelpers.data.loading import Cells
from allhelpers.data.manifest import OFFICIAL_CLASSES
from allhelpers.networks import building, registry
from allhelpers.settings import TrainingSettings
from allhelpers.training import finetuning

ARCHITECTURE = "vgg16"  # whose default cut has these features


def main(count, folder):
    count = int(count)
    settings = TrainingSettings(
        epochs=1, feature_dtype="float32", cache_folder=folder, run_folder=folder
    )
    network = building.build(registry.get(ARCHITECTURE), settings, None, classes=OFFICIAL_CLASSES)
    random, shape = np.random.default_rng(settings.seed), network.tail.input.shape[1:]
    features = filled(
        Path(folder) / "features.npy",
        "random numbers",
        (count, *shape),
        "float32",
        lambda start, stop: random.random((stop - start, *shape), np.float32),
        "features",
    )
    labels = np.tile(["all", "hem"], count)[:count]
    table = pd.DataFrame({"sha256": "", "split": "train", "label": labels})
    cells = Cells(table, features, [], "random numbers", OFFICIAL_CLASSES)
    history = finetuning.train(network, features[np.newaxis], cells, quiet=True)
    print(json.dumps({"features_gb": features.nbytes / 1e9, "epoch": history["seconds"].iloc[0]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
