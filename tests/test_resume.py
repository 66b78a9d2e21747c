"""A run that is killed at any moment goes on and ends as one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from tests.helpers import ROOT

KILLS = 30
OPTIONS = {
    "architectures": "mobilenet", "weights": "random", "unfreeze": "none", "epochs": 200, "learning_rate": 0.01,
    "sample_cells": 160, "orientations": 8, "dropout": 0.2, "schedule": "cosine",
}  # fmt: skip


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
        member.send_signal(signal.SIGKILL)
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


def test_killed_while_training_it_goes_on_and_ends_with_the_same_predictions(tmp_path, cache):
    """The quick one: one kill, at the moment when training has begun."""
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    finish(whole, cache)
    process = start(folder, cache)
    checkpoint = folder / "mobilenet" / "checkpoint.npz"
    deadline = time.monotonic() + 300
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.01)
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
