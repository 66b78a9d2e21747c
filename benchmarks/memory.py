"""Memory while a tail trains on features that are larger than it may hold: 14 x 14 x 512 in single
precision.
"""

import argparse
import json
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cells", type=int)
    parser.add_argument("folder", help="of caches")
    args = parser.parse_args()
    settings = TrainingSettings(
        epochs=1, feature_dtype="float32", cache_folder=args.folder, run_folder=args.folder
    )
    network = building.build(registry.get(ARCHITECTURE), settings, None, classes=OFFICIAL_CLASSES)
    random, shape = np.random.default_rng(settings.seed), network.tail.input.shape[1:]
    features = filled(
        Path(args.folder) / "features.npy",
        "random numbers",
        (args.cells, *shape),
        "float32",
        lambda start, stop: random.random((stop - start, *shape), np.float32),
        "features",
    )
    labels = np.tile(["all", "hem"], args.cells)[: args.cells]
    table = pd.DataFrame({"sha256": "", "split": "train", "label": labels})
    cells = Cells(table, features, [], "random numbers", OFFICIAL_CLASSES)
    history = finetuning.train(network, features[np.newaxis], cells, quiet=True)
    print(json.dumps({"features_gb": features.nbytes / 1e9, "epoch": history["seconds"].iloc[0]}))


if __name__ == "__main__":
    main()
