"""The paper's stack, today's guide and this project on the same work: cells, recipe, backbone,
trained part.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from allhelpers.networks import building, registry
from allhelpers.settings import PAPERS_THREE, TrainingSettings
from benchmarks import cells, measuring
from tools import pythons

PAPER, GUIDE = "paper's stack", "today's guide"
PAPERS_PYTHON = "3.7"
EPOCHS = 100
MEASURED_EPOCHS = 3  # of the others; the first, which also prepares, is not counted
FEW_EPOCHS = 6  # of this project with the trained part
PARTS = ("none", "default")


def measure(images, count, folder):
    """One row per stack, architecture and trained part, scaled to the paper's cells and epochs."""
    rows = []
    with tempfile.TemporaryDirectory() as linked:
        cells.link(images, count, linked)
        for name in PAPERS_THREE:
            for part in PARTS:
                rows += [*_others(linked, name, part), *_project(images, count, folder, name, part)]
    table = pd.DataFrame(rows)
    table["cells_per_second"] = EPOCHS * cells.PAPERS_CELLS / table["seconds"]
    own = pd.MultiIndex.from_frame(table[["architecture", "part"]])
    for stack in (PAPER, GUIDE):
        theirs = table[table["stack"] == stack].set_index(["architecture", "part"]).reindex(own)
        for column in ("seconds", "epoch"):
            table[f"{column}_of_{stack}"] = theirs[column].to_numpy() / table[column]
    return table


def _others(linked, name, part):
    """The paper's stack, where its Python is installed, and today's guide."""
    trained = _trained_layers(name, part)
    python = pythons.find(PAPERS_PYTHON)
    if python:
        listed = Path(__file__).with_name("paper.txt")
        python = pythons.environment(listed, python, "-r", listed)
        said = measuring.run("paper_stack", linked, name, trained, MEASURED_EPOCHS, python=python)
        yield _scaled(PAPER, name, part, said)
    else:
        print(f"the paper's stack is skipped: Python {PAPERS_PYTHON} is not installed", flush=True)
    yield _scaled(GUIDE, name, part, measuring.run("guide", linked, name, trained, MEASURED_EPOCHS))


def _trained_layers(name, part):
    """How many of the backbone's layers, counted from the top, are trained."""
    architecture = registry.get(name)
    backbone = architecture.build(TrainingSettings().size)
    return len(building.layers_above(architecture, backbone, part))


def _scaled(stack, name, part, said):
    """Epochs of the paper's size, from the later epochs that were measured; starting up is not
    counted.
    """
    epoch = float(np.median(said["epochs"][1:])) * cells.PAPERS_CELLS / said["cells"]
    facts = {"stack": stack, "architecture": name, "part": part, "cells": said["cells"]}
    return {**facts, "epoch": epoch, "seconds": EPOCHS * epoch, "memory_gb": said["memory_gb"]}


def _project(images, count, folder, name, part):
    """Everything is counted: start, decoding, frozen part; cold, and warm on the caches that this
    leaves.

    The head alone is trained on all cells for all epochs. With the trained part a few epochs of a
    few cells are measured, as for the others.
    """
    head_only = part == "none"
    size, epochs = (cells.PAPERS_CELLS, EPOCHS) if head_only else (count, FEW_EPOCHS)
    for state in ("cold", "warm"):
        said = measuring.run("project", images, size, name, part, epochs, folder)
        scale, stages = cells.PAPERS_CELLS / said["cells"], said["stages"]
        row = _scaled(f"this project, {state}", name, part, said)
        row |= {f"{stage}_s": value for stage, value in stages.items()}
        if head_only:
            row["seconds"] = scale * said["seconds"]
        else:
            once = said["seconds"] - sum(stages.values()) + stages["building"]
            row["seconds"] += once + scale * (stages["decoding"] + stages["frozen part"])
        yield row
