"""A sweep in sequence, by Ray on this machine, and on a cluster: the same results, and shared work
done once.
"""

import contextlib
import importlib.util
import json
import os
import random
import re
import shutil
import socket
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
from allhelpers.data import decoding, loading, synthetic
from allhelpers.data import manifest as manifests
from allhelpers.networks import calibration, registry
from allhelpers.running import cli, notebooks, planning, sharing
from allhelpers.running.sharing import FeatureShard
from allhelpers.running.store import Store
from tests.helpers import ROOT

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed (requirements-cluster.txt)",
)
CELLS, SIZE, PER_SHARD = 160, 64, 48
TOKEN = "a" * 64  # of Ray
GRID = {"split": ["fold_0:fold_1", "fold_1:fold_0"]}


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Cells in a folder, their manifest, and weights that every seed has in common."""
    import h5py

    folder = tmp_path_factory.mktemp("sweep")
    source = synthetic.draw_sample(folder / "cells", CELLS, 1)
    table = manifests.from_folder(source)
    write_csv(folder / "cells.csv", table)
    keras.utils.set_random_seed(1)
    backbone = registry.get("mobilenet").build(SIZE)
    pixels = np.random.default_rng(1).uniform(-1, 1, (16, SIZE, SIZE, 3)).astype(np.float32)
    calibration.draw_random(backbone, pixels)
    with h5py.File(folder / "mobilenet.h5", "w") as stream:
        legacy_h5_format.save_weights_to_hdf5_group(stream, backbone)
    return folder


def settings_in(place, **changes):
    return {
        "images": str(place / "cells"), "manifest": str(place / "cells.csv"), "architectures": "mobilenet",
        "weights": str(place / "mobilenet.h5"), "unfreeze": "none", "epochs": 2, "learning_rate": 0.01,
        "input_size": SIZE, "deterministic": True, **changes,
    }  # fmt: skip


def write(place, name, grid, **changes):
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"settings": settings_in(place, **changes), "grid": grid}))
    return path


def command(path, output, *options):
    return ["sweep", str(path), "--output", str(output), "--per-shard", str(PER_SHARD), *options]


def start(path, output, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": TOKEN}
    arguments = [sys.executable, "-m", "allhelpers", *command(path, output, *options)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(arguments, env=environment, cwd=path.parent, **streams)


def finish(path, output, *options):
    process = start(path, output, *options)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said[-3000:]
    return said


def predictions(output):
    """The bytes of each run's predictions."""
    found = sorted(Path(output).rglob("predictions.csv"))
    return {str(path.relative_to(output)): path.read_bytes() for path in found}


def computed(output):
    """Shards that were computed, by their keys, as the log has them."""
    return re.findall(r" computed: .*\[(\w+)\]", (Path(output) / "sweep.log").read_text())


def bars(output):
    """What the runs' own notebooks have decoded, or put through a trunk, themselves."""
    executed = [path.read_text() for path in Path(output).rglob("notebooks/2_*.ipynb")]
    return [bar for text in executed for bar in re.findall(r"decoding cells|frozen part:", text)]


@pytest.fixture(scope="session")
def in_sequence(place):
    """The sweep without Ray."""
    output = place / "in_sequence"
    finish(write(place, "two", GRID), output, "--cache-folder", str(place / "cache_sequence"))
    return output


def test_in_sequence_what_runs_have_in_common_is_computed_once(in_sequence):
    keys = computed(in_sequence)
    used = 120  # of 160 cells, fold_2's are not
    assert len(keys) == len(set(keys)) == 2 * -(-used // PER_SHARD)
    assert bars(in_sequence) == []
    assert (in_sequence / "figures" / "splits.png").stat().st_size > 10_000
    assert len(pd.read_csv(in_sequence / "sweep.csv")) == 2


def test_single_run_gives_the_same_without_the_store(place, in_sequence):
    """What comes from shards is to the bit what a run's own notebooks compute."""
    values = settings_in(place, split="fold_1:fold_0", cache_folder=str(place / "cache_alone"))
    folder = notebooks.run_notebooks(values, place / "alone")
    (expected,) = [
        text for name, text in predictions(in_sequence).items() if "fold_1-fold_0" in name
    ]
    assert (folder / "mobilenet" / "predictions.csv").read_bytes() == expected


@needs_ray
def test_by_ray_on_this_machine_results_are_the_same(place, in_sequence):
    output = place / "parallel"
    said = finish(
        place / "two.yaml",
        output,
        "--cache-folder",
        str(place / "cache_parallel"),
        "--parallel",
        "2",
    )
    assert predictions(output) == predictions(in_sequence)
    assert sorted(computed(output)) == sorted(computed(in_sequence))
    assert bars(output) == []
    assert "runs and what they share" in said
    before = (output / "sweep.log").read_text()
    finish(
        place / "two.yaml",
        output,
        "--cache-folder",
        str(place / "cache_parallel"),
        "--parallel",
        "2",
    )
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
    """A head, which asks for a token, and two worker nodes; a line of input kills one node and
    starts another.
    """
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


@needs_ray
def test_on_a_cluster_results_are_the_same(place, in_sequence, ray_cluster):
    output = place / "cluster"
    options = ("--cache-folder", str(place / "cache_cluster"), "--address", ray_cluster[0])
    finish(place / "two.yaml", output, *options)
    assert predictions(output) == predictions(in_sequence)
    assert sorted(computed(output)) == sorted(computed(in_sequence))
    assert (output / "store").is_dir()


@pytest.fixture
def planned(place, tmp_path):
    """Needs of two runs, the second with the folds swapped and another seed."""
    each = [settings_in(place, split=split, seed=seed, cache_folder=str(tmp_path / "cache"))
            for split, seed in (("fold_0:fold_1", 1), ("fold_1:fold_0", 2))]  # fmt: skip
    return sharing.plan(each, PER_SHARD)


def test_runs_share_shards_whatever_their_seed_and_the_direction_of_the_folds(planned):
    first, second = ({shard.key for shard in sharing.used(needs)} for needs in planned)
    assert first == second


def test_synthetic_cells_are_the_same_for_every_seed(place, tmp_path):
    values = {
        "images": "sample",
        "manifest": "",
        "sample_cells": 160,
        "cache_folder": str(tmp_path),
    }
    first, second = sharing.plan([settings_in(place, seed=seed, **values) for seed in (1, 2)])
    assert {shard.key for shard in sharing.used(first)} == {
        shard.key for shard in sharing.used(second)
    }


def test_a_lost_or_damaged_shard_alone_is_computed_again(planned, tmp_path):
    store, shards = Store(tmp_path / "store"), sharing.used(planned[0])
    assert all(sharing.complete(shard, store).startswith("computed") for shard in shards)
    Path(store.path(shards[0].key)).unlink()
    Path(store.path(shards[-1].key)).write_bytes(b"PK")
    again = [sharing.complete(shard, store).split(":")[0] for shard in shards]
    assert again == ["computed", *["there already"] * (len(shards) - 2), "computed"]


def test_run_finds_its_rows_in_its_own_order(planned, place, tmp_path):
    store = Store(tmp_path / "store")
    sharing.gather(planned[1], store)
    data, training = planning.settings_of(
        settings_in(place, split="fold_1:fold_0", seed=2, cache_folder=str(tmp_path / "cache"))
    )
    files = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "pixels").glob("*.npy")
    }
    cells = loading.prepare(
        training["mobilenet"].model_copy(update={"run_folder": str(tmp_path / "run")})
    )
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "pixels").glob("*.npy")
    } == files
    row = len(cells.table) // 2
    picture = decoding.decode_file(place / "cells" / cells.table["file"][row], data)
    assert (cells.pixels[row] == picture).all()


def test_random_trunks_are_not_shared(place):
    (needs,) = sharing.plan([settings_in(place, weights="random")])
    assert not any(isinstance(shard, FeatureShard) for shard in sharing.used(needs))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("options", "grid", "message"),
    [
        (["--address", "nowhere"], GRID, "HOST:PORT"),
        pytest.param(
            ["--address", "127.0.0.1:PORT"], GRID, "No Ray cluster answers", marks=needs_ray
        ),
        (["--parallel", "-1"], GRID, "parallel = -1 cannot be used"),
        (["--parallel", "2", "--address", "a:1"], GRID, "one of them"),
        (["--store", "nowhere://x"], GRID, "cannot be used"),
        (["--store", "FILE/store"], GRID, "cannot be written"),
        ([], {"step": [1, 2]}, "'step' is not a setting"),
        ([], {"split": ["patient:3/2"]}, "is not a rule"),
        ([], {"seed": []}, "empty list"),
    ],
)
def test_what_cannot_be_run_is_one_sentence_before_anything_runs(
    place, tmp_path, capsys, options, grid, message
):
    path, output = (
        write(place, "wrong", grid, cache_folder=str(tmp_path / "cache")),
        tmp_path / "out",
    )
    options = [
        option.replace("PORT", str(free_port())).replace("FILE", str(path)) for option in options
    ]
    assert cli.main(command(path, output, *options)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not output.exists()


def test_without_ray_it_says_what_to_install(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert cli.main(command(write(place, "two", GRID), tmp_path / "out", "--parallel", "2")) == 1
    assert "pip install -r requirements-cluster.txt" in capsys.readouterr().err


@needs_ray
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
                ("ray::_run", "ray::_complete")
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


@needs_ray
@pytest.mark.slow
def test_killed_at_random_moments_a_sweep_ends_with_the_same_table(place, in_sequence, ray_cluster):
    """In turn a worker process, a worker node, and the sweep itself are killed, until it has been
    ten times.
    """
    address, cluster = ray_cluster
    output, draw, kills = place / "killed", random.Random(1), []
    options = [
        "--cache-folder",
        str(place / "cache_killed"),
        "--address",
        address,
        "--retries",
        "10",
    ]
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
