"""What the examples in docstrings may use; pytest runs each of them in an empty folder.

table: manifest of 160 synthetic cells, with a column ``split``
training_settings: the sample at 64 pixels, random weights, the head alone, 2 epochs
cells: those cells, decoded (`loading.Cells`)
network: MobileNet with random weights, built for these cells (`networks.Network`)
predictions: ten test cells and two of validation, with p_all and p_hem
run: folder of a finished run of MobileNet with these predictions
"""

import pytest

from tests.helpers import network_of, ten_cells, write_run


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """The objects, made once."""
    from allhelpers.data import loading
    from allhelpers.settings import TrainingSettings

    folder = tmp_path_factory.mktemp("examples")
    training_settings = TrainingSettings(
        sample_cells=160,
        input_size=64,
        weights="random",
        unfreeze="none",
        epochs=2,
        cache_folder=str(folder / "cache"),
        run_folder=str(folder / "own"),
    )
    cells = loading.prepare(training_settings)
    return {
        "table": cells.table,
        "training_settings": training_settings,
        "cells": cells,
        "network": network_of("mobilenet", training_settings, cells),
        "predictions": ten_cells(),
        "run": write_run(folder / "run", ten_cells()),
    }


@pytest.fixture(autouse=True)
def _an_empty_folder(request):
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
        namespace = request.getfixturevalue("doctest_namespace")
        namespace.update(request.getfixturevalue("examples"))
