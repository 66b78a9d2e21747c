"""A run that is killed at any moment goes on and ends as one that was not."""

import json
import os
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from tests.helpers import ROOT

KILLS = 30
OPTIONS = {
    "architectures": "mobilenet",
    "weights": "random",
    "unfreeze": "none",
    "epochs": 200,
    "learning_rate": 0.01,
    "sample_cells": 160,
    "orientations": 8,
    "dropout": 0.2,
    "schedule": "cosine",
}
# Trains the toy's tail, batch norm and all, on features in memory; in the folder that is named
# first, and where there is a second also without one.
TRAIN = """
import logging, sys
import numpy as np
import pandas as pd
from allhelpers.data.loading import Cells
from allhelpers.networks import Weights, build, get
from allhelpers.runs import Result
from allhelpers.settings import TrainingSettings
from allhelpers.training import train

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
table = pd.DataFrame({"file": [f"{k}.bmp" for k in range(48)], "sha256": "x"})
table["patient"], table["label"] = table["file"], ["all", "hem"] * 24
table["split"] = ["train"] * 40 + ["val"] * 8
pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 64, 3), dtype=np.uint8)
cells = Cells(table, pixels, [], "made up", ("all", "hem"))
settings = TrainingSettings(
    input_size=64, epochs=150, batch_size=8, learning_rate=0.01, dropout=0.2, schedule="cosine",
    patience=150, deterministic=True,
)
for folder in sys.argv[1:]:
    result = Result(folder) if folder != "none" else None
    network = build(get("toy"), settings, Weights("random"), cells=cells)
    shape = 1, 48, *network.trunk.output.shape[1:]
    features = np.random.default_rng(1).normal(size=shape).astype("float32")
    history = train(network, features, cells, result=result, quiet=True)
    weights = {f"weight_{k}": value for k, value in enumerate(network.full.get_weights())}
    name = f"{sys.argv[1]}/{folder[-4:]}.npz"
    np.savez(name, history=history.drop(columns="seconds"), **weights)
"""


def start(folder, cache):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    command = [sys.executable, "-m", "allhelpers", "run", *options, "--deterministic"]
    command += ["--output", str(folder), "--cache-folder", str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, cwd=folder.parent, **streams)


def finish(folder, cache):
    process = start(folder, cache)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output[-3000:]
    return output


def kill(process):
    """As the machine would: the command, its kernel and all threads at once."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=30)
    process.communicate()


READERS = {
    ".json": lambda path: json.loads(path.read_text()),
    ".yaml": lambda path: yaml.safe_load(path.read_text()),
    ".csv": pd.read_csv,
    ".npy": lambda path: np.load(path, mmap_mode="r").sum(),
    ".npz": lambda path: dict(np.load(path)),
    ".keras": lambda path: zipfile.ZipFile(path).testzip(),
    ".ipynb": lambda path: nbformat.read(path, 4),
    ".html": lambda path: path.read_text().index("</html>"),
    ".md": lambda path: path.read_text(),
    ".bmp": lambda path: path.read_bytes()[:2].index(b"BM"),
    ".webp": lambda path: cv2.imread(str(path)).shape,
}
UNFINISHED = (".partial", ".lock", ".running.ipynb")


def all_files_are_whole(*folders):
    """Every file under a final name can be read to its end."""
    for path in [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]:
        if not path.name.startswith(".") and not path.name.endswith(UNFINISHED):
            READERS[path.suffix](path)
    return True


def left_over(*folders):
    """Files of processes that were killed."""
    names = [path.name for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return [
        name
        for name in names
        if ".partial" in name or name.endswith((".running.ipynb", ".progress.json"))
    ]


@pytest.mark.slow
def test_killed_at_random_moments_the_run_ends_with_the_same_predictions(tmp_path):
    whole = tmp_path / "whole"
    began = time.monotonic()
    finish(whole, tmp_path / "cache")
    took, draw, kills, rounds = time.monotonic() - began, random.Random(1), 0, 0
    expected = (whole / "mobilenet" / "predictions.csv").read_bytes()
    while kills < KILLS:
        rounds += 1
        folder, cache = tmp_path / f"run{rounds}", tmp_path / f"cache{rounds}"
        while True:
            process = start(folder, cache)
            try:
                process.wait(timeout=draw.uniform(1, took))
            except subprocess.TimeoutExpired:
                kill(process)
                kills += 1
                assert all_files_are_whole(folder, cache)
            else:
                assert process.returncode == 0, process.communicate()[0][-3000:]
                process.communicate()
                break
        assert (folder / "mobilenet" / "predictions.csv").read_bytes() == expected
        assert all_files_are_whole(folder, cache)
        assert left_over(folder, cache) == []
    print(f"{kills} kills in {rounds} runs of {took:.0f} s")


def train_tail(*folders):
    """A process that trains in each of the folders."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": "1"}
    command = [sys.executable, "-c", TRAIN, *map(str, folders)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **streams)


def test_training_that_is_killed_goes_on_and_ends_as_one_that_was_not(tmp_path):
    """The quick one: to the bit, with the state of batch norm, momentum, dropout and patience."""
    folder = tmp_path / "killed"
    process = train_tail(folder)
    wait_for(folder / "checkpoint.npz", process)
    kill(process)
    with np.load(folder / "checkpoint.npz") as stored:
        assert 0 < len(json.loads(str(stored["record"]))["history"]) < 150
    assert all_files_are_whole(folder)
    process = train_tail(folder, "none")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output[-3000:]
    assert "Training goes on after epoch" in output
    resumed, whole = (dict(np.load(folder / f"{name}.npz")) for name in ("lled", "none"))
    assert len(whole) > 10
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values, err_msg=name)
    assert len(whole["history"]) == 150


def wait_for(path, process):
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_while_training_the_run_ends_with_the_same_predictions(tmp_path, cache):
    """One kill, at the moment when training has begun."""
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    finish(whole, cache)
    process = start(folder, cache)
    checkpoint = folder / "mobilenet" / "checkpoint.npz"
    wait_for(checkpoint, process)
    kill(process)
    assert checkpoint.exists()
    assert all_files_are_whole(folder)
    output = finish(folder, cache)
    assert "1_data_split: finished already, not run again" in output
    executed = (folder / "notebooks" / "2_mobilenet.ipynb").read_text()
    assert "Training goes on after epoch" in executed
    names = [f"mobilenet/{name}" for name in ("predictions.csv", "metrics.json")]
    assert all((folder / name).read_bytes() == (whole / name).read_bytes() for name in names)
    assert left_over(folder) == []


@pytest.mark.slow
def test_four_runs_share_one_cache(tmp_path):
    folders = [tmp_path / f"run{number}" for number in range(4)]
    processes = [start(folder, tmp_path / "cache") for folder in folders]
    for process in processes:
        output = process.communicate(timeout=900)[0]
        assert process.returncode == 0, output[-3000:]
    assert len({(folder / "mobilenet" / "predictions.csv").read_bytes() for folder in folders}) == 1
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 1
    assert left_over(tmp_path / "cache") == []
