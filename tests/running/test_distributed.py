"""One network's frozen part, divided among actors: the same bytes as by one process."""

import contextlib
import importlib.util
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import loading
from allhelpers.running import SweepOptions, distribute_features, distributed
from allhelpers.settings import TrainingSettings
from allhelpers.training import trunk
from tests.helpers import network_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (importlib.util.find_spec("ray") and importlib.util.find_spec("pyarrow")),
        reason="Ray Data is not installed (requirements-cluster.txt)",
    ),
]
OPTIONS = SweepOptions(parallel=2)


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    """Twenty blocks of rows: 640 cells, each turned in eight ways."""
    folder = tmp_path_factory.mktemp("divided")
    return TrainingSettings(
        sample_cells=640,
        input_size=64,
        weights="random",
        unfreeze="none",
        orientations=8,
        deterministic=True,
        cache_folder=str(folder / "alone"),
        run_folder=str(folder / "run"),
    )


@pytest.fixture(scope="session")
def alone(settings):
    """The cache file that one process leaves."""
    cells = loading.prepare(settings)
    trunk.compute_features(network_of("mobilenet", settings, cells), cells)
    return features_file(settings)


def features_file(settings):
    (path,) = settings_folder(settings).glob("*.npy")
    return path


def settings_folder(settings):
    return Path(settings.cache_folder) / "features"


def another(settings, tmp_path):
    """A network and its cells, with a cache folder of their own."""
    settings = settings.model_copy(update={"cache_folder": str(tmp_path)})
    cells = loading.prepare(settings)
    return network_of("mobilenet", settings, cells), cells, settings


def assert_the_same(one, other):
    for suffix in (".npy", ".json"):
        assert one.with_suffix(suffix).read_bytes() == other.with_suffix(suffix).read_bytes()
    assert one.name == other.name


def test_divided_features_are_the_same_to_the_byte(settings, alone, tmp_path):
    network, cells, settings = another(settings, tmp_path)
    features = distribute_features(network, cells, OPTIONS)
    assert_the_same(alone, features_file(settings))
    assert features.shape[:2] == (8, len(cells.table))
    stamp = features_file(settings).stat().st_mtime_ns
    assert np.array_equal(trunk.compute_features(network, cells), features)
    assert features_file(settings).stat().st_mtime_ns == stamp


def test_a_killed_actor_costs_no_byte(settings, alone, tmp_path):
    network, cells, settings = another(settings, tmp_path)
    killed = []
    thread = threading.Thread(target=kill_one, args=(settings_folder(settings), killed))
    thread.start()
    distribute_features(network, cells, OPTIONS)
    thread.join()
    assert len(killed) == 1
    assert_the_same(alone, features_file(settings))


def kill_one(folder, killed):
    """Kill an actor at work, once the first blocks have been taken in."""
    while not list(folder.glob("*.progress.json")):
        time.sleep(0.02)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.cmdline() and process.cmdline()[0].startswith("ray::MapWorker"):
                process.kill()
                killed.append(process.pid)
                return


def test_what_was_done_before_a_stop_is_not_done_again(settings, alone, tmp_path, monkeypatch):
    network, cells, settings = another(settings, tmp_path)
    blocks, asked = distributed._blocks, []

    def five(starts, *given):
        asked.append(len(starts))
        with contextlib.closing(blocks(starts, *given)) as stream:
            yield from (next(stream) for _ in range(5))
            raise KeyboardInterrupt

    def all_of_them(starts, *given):
        asked.append(len(starts))
        return blocks(starts, *given)

    monkeypatch.setattr(distributed, "_blocks", five)
    with pytest.raises(KeyboardInterrupt):
        distribute_features(network, cells, OPTIONS)
    monkeypatch.setattr(distributed, "_blocks", all_of_them)
    distribute_features(network, cells, OPTIONS)
    assert asked[0] - asked[1] in (4, 5)
    assert_the_same(alone, features_file(settings))


def test_cells_in_memory_are_refused(settings, tmp_path):
    network, cells, _ = another(settings, tmp_path)
    in_memory = loading.Cells(cells.table, np.array(cells.pixels), [], cells.key, cells.classes)
    with pytest.raises(InputError, match="in memory"):
        distribute_features(network, in_memory, OPTIONS)
