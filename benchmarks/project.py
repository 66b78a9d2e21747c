"""This project: from files to a trained network, with the paper's recipe, stage by stage."""

import argparse
import json
import tempfile

from allhelpers._core.machine import Clock
from allhelpers.networks import building, pretrained, registry
from allhelpers.runs import Result
from allhelpers.settings import TrainingSettings
from allhelpers.training import finetuning, trunk
from benchmarks import cells as benchmark_cells


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("cells", type=int)
    parser.add_argument("architecture")
    parser.add_argument("unfreeze")
    parser.add_argument("epochs", type=int)
    parser.add_argument("folder", help="of caches")
    parser.add_argument("--engine", default="auto")
    args = parser.parse_args()
    settings = TrainingSettings(
        images=args.images,
        unfreeze=args.unfreeze,
        epochs=args.epochs,
        engine=args.engine,
        weights="random",
        cache_folder=args.folder,
    )
    architecture, clock = registry.get(args.architecture), Clock()
    with clock("decoding"):
        cells = benchmark_cells.decoded(*benchmark_cells.chosen(args.images, args.cells), settings)
    with clock("building"):
        source = pretrained.locate(architecture, settings.weights)
        network = building.build(architecture, settings, source, cells=cells)
    with clock("frozen part"):
        features = trunk.compute_features(network, cells)
    with clock("training"), tempfile.TemporaryDirectory() as run_folder:
        history = finetuning.train(network, features, cells, result=Result(run_folder), quiet=True)
    said = {"cells": len(cells.table), "stages": clock.seconds}
    print(json.dumps({**said, "epochs": history["seconds"].tolist()}))


if __name__ == "__main__":
    main()
