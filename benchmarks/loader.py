"""The loader: official files, decoded into the cache, and opened again."""

import argparse
import json
import tempfile
import time

import numpy as np

from allhelpers.settings import DataSettings
from benchmarks import cells as benchmark_cells

ROUNDS = 5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("cells", type=int)
    args = parser.parse_args()
    table, members, source = benchmark_cells.chosen(args.images, args.cells)
    for member in members:  # from here on the files are in the disk cache
        source.read(member)
    first, again = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            settings = DataSettings(images=args.images, cache_folder=folder)
            for times in (first, again):
                began = time.perf_counter()
                benchmark_cells.decoded(table, members, source, settings)
                times.append(time.perf_counter() - began)
    rates = len(table) / np.array(first)
    said = {
        "cells": len(table),
        "median": np.median(rates),
        "best": rates.max(),
        "again": np.median(again),
    }
    print(json.dumps({name: float(value) for name, value in said.items()}))


if __name__ == "__main__":
    main()
