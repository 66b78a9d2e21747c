"""A sweep in sequence, by Ray on this machine, and on a cluster: the same results."""

import contextlib
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from keras.src.legacy.saving import legacy_h5_format

from allhelpers._core.files import write_csv
from allhelpers.data import manifest as manifests
from allhelpers.data import synthetic
from allhelpers.networks import calibration, registry
from tests.helpers import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="Ray is not installed (requirements-cluster.txt)",
    ),
]
CELLS, SIZE = 160, 64
TOKEN = "a" * 64  # of Ray
GRID = {"split": ["fold_0:fold_1", "fold_1:fold_0"]}


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Cells in a folder, their manifest, and weights that every seed has in common."""
    import h5py

    folder = tmp_path_factory.mktemp("sweep")
    source = synthetic.draw_sample(folder / "cells", CELLS, 1)
    write_csv(folder / "cells.csv", manifests.from_folder(source))
    keras.utils.set_random_seed(1)
    backbone = registry.get("mobilenet").build(SIZE)
    pixels = np.random.default_rng(1).uniform(-1, 1, (16, SIZE, SIZE, 3)).astype(np.float32)
    calibration.draw_random(backbone, pixels)
    with h5py.File(folder / "mobilenet.h5", "w") as stream:
        legacy_h5_format.save_weights_to_hdf5_group(stream, backbone)
    return folder


def settings_in(place, **changes):
    return {
        "images": str(place / "cells"),
        "manifest": str(place / "cells.csv"),
        "weights": str(place / "mobilenet.h5"),
        "unfreeze": "none",
        "epochs": 2,
        "learning_rate": 0.01,
        "input_size": SIZE,
        "deterministic": True,
        **changes,
    }


def write(place, name, grid, **changes):
    path = place / f"{name}.yaml"
    settings = settings_in(place, architectures="mobilenet", **changes)
    path.write_text(yaml.safe_dump({"settings": settings, "grid": grid}))
    return path


def start(path, output, *options):
    environment = {**os.environ, "RAY_AUTH_TOKEN": TOKEN}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-m", "allhelpers", "sweep", str(path), "--output", str(output)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, *options], env=environment, cwd=path.parent, **streams)


def finish(path, output, *options):
    process = start(path, output, *options)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said[-3000:]
    return said


def predictions(output):
    """The bytes of each run's predictions."""
    paths = sorted(Path(output).rglob("predictions.csv"))
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}


def ready(output):
    """What was computed before the runs, as the log has it."""
    return re.findall(r" ready: (.*?), ", (Path(output) / "sweep.log").read_text())


def bars(output):
    """What the runs' own notebooks have decoded, or put through a frozen part, themselves."""
    executed = [path.read_text() for path in Path(output).rglob("notebooks/2_*.ipynb")]
    return [bar for text in executed for bar in re.findall(r"decoding cells|frozen part:", text)]


@pytest.fixture(scope="session")
def in_sequence(place):
    """The sweep without Ray."""
    output = place / "in_sequence"
    finish(write(place, "two", GRID), output, "--cache-folder", str(place / "cache_sequence"))
    return output


def test_by_ray_on_this_machine_results_are_the_same(place, in_sequence):
    output = place / "parallel"
    options = ("--cache-folder", str(place / "cache_parallel"), "--parallel", "2")
    said = finish(place / "two.yaml", output, *options)
    assert len(predictions(in_sequence)) == 2
    assert predictions(output) == predictions(in_sequence)
    # Both directions between two folds have the same cells, and so one frozen part.
    assert ready(output) == [f"cells of {SIZE} pixels", "MobileNet's frozen part below pooled"]
    assert bars(output) == []
    assert "runs: 100%" in said
    before = (output / "sweep.log").read_text()
    finish(place / "two.yaml", output, *options)
    assert (output / "sweep.log").read_text() == before


CLUSTER = """
import os, sys
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # 127.0.0.1 only
os.environ["RAY_AUTH_MODE"] = "token"
from ray.cluster_utils import Cluster
small = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:  # kill a worker node and start another
    cluster.remove_node(nodes.pop(0), allow_graceful=False)
    nodes.append(cluster.add_node(num_cpus=1, **small))
cluster.shutdown()
"""


@pytest.fixture
def ray_cluster():
    """A head, which asks for a token, and two nodes; a line kills one and starts another."""
    streams = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
        "text": True,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], env={**os.environ, "RAY_AUTH_TOKEN": TOKEN}, **streams
    )
    address = process.stdout.readline().strip()
    yield address, process
    process.stdin.close()
    process.wait(timeout=60)


def test_on_a_cluster_results_are_the_same(place, in_sequence, ray_cluster):
    output = place / "cluster"
    options = ("--cache-folder", str(place / "cache_cluster"), "--address", ray_cluster[0])
    finish(place / "two.yaml", output, *options)
    assert predictions(output) == predictions(in_sequence)
    assert bars(output) == []


def test_by_ray_a_run_that_fails_is_listed_with_its_notebook_and_the_others_go_on(place, tmp_path):
    """The second learns at a rate at which nothing can be learnt."""
    path = write(place, "fails", {"learning_rate": [0.01, 1e39]}, split="fold_0:fold_1")
    options = ("--cache-folder", str(place / "cache_sequence"), "--parallel", "1", "--retries", "1")
    process = start(path, tmp_path / "out", *options)
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 1
    assert "1 run has failed" in said
    (failed,) = pd.read_csv(tmp_path / "out" / "failed.csv").to_dict("records")
    assert "loss is not finite" in failed["reason"]
    assert json.loads(Path(failed["notebook"]).read_text())["cells"]
    assert len(pd.read_csv(tmp_path / "out" / "sweep.csv")) == 1


KILLS = 10


def workers(cluster):
    """Processes of a cluster that are computing something."""
    found = []
    for process in psutil.Process(cluster.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name().startswith("ray::") and process.cmdline()[0].startswith(
                ("ray::_run", "ray::_warm_up")
            ):
                found.append(process)
    return found


def kill(process):
    """As the machine would: at once, with all children."""
    family = [*process.children(recursive=True), process]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=30)


def test_killed_at_random_moments_a_sweep_ends_with_the_same_table(place, in_sequence, ray_cluster):
    """In turn a worker process, a node, and the sweep itself are killed, ten times in all."""
    address, cluster = ray_cluster
    output, draw, kills = place / "killed", random.Random(1), []
    options = ["--cache-folder", str(place / "cache_killed"), "--address", address]
    options += ["--retries", "10"]
    process = start(place / "two.yaml", output, *options)
    while len(kills) < KILLS:
        time.sleep(draw.uniform(2, 12))
        kind = ("process", "node", "sweep")[len(kills) % 3]
        if process.poll() is not None:  # it has ended: on with the next
            assert process.returncode == 0, process.communicate()[0][-3000:]
            assert predictions(output) == predictions(in_sequence)
            shutil.rmtree(output)
            shutil.rmtree(place / "cache_killed")
            process = start(place / "two.yaml", output, *options)
            continue
        if kind == "process":
            if not (busy := workers(cluster)):
                continue
            kill(draw.choice(busy))
        elif kind == "node":
            cluster.stdin.write("\n")
            cluster.stdin.flush()
        else:
            kill(psutil.Process(process.pid))
            process.communicate()
            process = start(place / "two.yaml", output, *options)
        kills.append(kind)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said[-3000:]
    assert predictions(output) == predictions(in_sequence)
    expected, found = (
        pd.read_csv(folder / "sweep.csv").drop(columns="seconds")
        for folder in (in_sequence, output)
    )
    pd.testing.assert_frame_equal(found, expected)
    print(f"killed: {', '.join(kills)}")
