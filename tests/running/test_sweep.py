"""Many runs from one file."""

import importlib.util
import re
import socket
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json, write_json
from allhelpers.running import cli, cluster, planning, sweep, warmups
from allhelpers.running.cluster import SweepOptions
from allhelpers.running.planning import Plan
from allhelpers.running.sweep import SweepRun
from tests.helpers import ten_cells, with_p_all, write_run

QUICK = {
    "architectures": "mobilenet",
    "weights": "random",
    "unfreeze": "none",
    "epochs": 2,
    "learning_rate": 0.01,
}
GRID = {"split": ["fold_0:fold_1", "fold_1:fold_0"]}


def write(folder, **content):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({"settings": QUICK, **content}, sort_keys=False))
    return path


@pytest.fixture
def executed(monkeypatch):
    """Runs leave what the notebooks would, without executing them; a step of 1e39 diverges."""
    folders = []

    def run(plan, folder, *, overwrite=False, retries=0):
        folders.append(Path(folder))
        settings = plan.settings_of("mobilenet")
        if settings.learning_rate > 1e38:
            error = InputError("the loss is not finite")
            error.notebook = "2_mobilenet.ipynb"
            raise error
        record = write_run(Path(folder), ten_cells()) / "mobilenet" / "parameters.json"
        content = read_json(record)
        content["settings"]["seed"] = settings.seed
        write_json(record, content)
        return Path(folder)

    monkeypatch.setattr(Plan, "run", run)
    monkeypatch.setattr(Plan, "is_finished", lambda _, folder: (folder / "mobilenet").exists())
    return folders


def finished(variant, folder, point=None):
    return SweepRun(variant, folder, point or {}, None)


def test_variants_and_grid_are_all_combined_and_overrule_the_rest(tmp_path):
    (tmp_path / "base.yaml").write_text("momentum: 0.5\nepochs: 9\n")
    variants = {"a": {}, "b": {"epochs": 3}}
    grid = {"split": ["patient:1/2", "patient:2/2"], "seed": [1, 2]}
    path = write(tmp_path, base="base.yaml", variants=variants, grid=grid)
    runs = sweep.read_sweep(path, {"seed": 7, "learning_rate": 0.5}, tmp_path / "out")
    values = [run.plan.settings_of("mobilenet").model_dump() for run in runs]
    assert len(runs) == len({run.folder for run in runs}) == 8
    assert [own["epochs"] for own in values] == [2] * 4 + [3] * 4
    assert {own["seed"] for own in values} == {1, 2}
    assert all(own["learning_rate"] == 0.5 and own["momentum"] == 0.5 for own in values)
    assert runs[0].folder == tmp_path / "out" / "a" / "split=patient-1of2,seed=1"


def test_each_run_is_planned_once(tmp_path, monkeypatch):
    plan, planned = planning.plan_run, []
    monkeypatch.setattr(planning, "plan_run", lambda v: planned.append(v) or plan(v))
    sweep.read_sweep(write(tmp_path, grid={"seed": [1, 2, 3]}), {}, tmp_path / "out")
    assert [own["seed"] for own in planned] == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"grid": {"epochs": []}}, "empty list"),
        ({"grid": {"epochs": [1, -1]}}, "epochs = -1 cannot be used"),
        ({"grid": {"step": [1, 2]}}, "'step' is not a setting"),
        ({"grid": {"split": ["patient:3/2"]}}, "is not a rule"),
        ({"variants": {"a": {"lr": 1}}}, "'lr' is not a setting"),
        ({"variants": {}}, "variants"),
        *(({"variants": {odd: {}}}, "A variant of .* is called") for odd in ("..", ".", "", " ")),
        ({"grids": {}}, "'grids' is not a setting: choose from grid"),
        ({"variants": {"a b": {}, "a-b": {}}}, "share a folder"),
        ({"grid": {"seed": [1, 1]}}, "share a folder"),
        (
            {"grid": {"learning_rate": [1, 1.0], "seed": [1, 2]}},
            r"are the same \(learning_rate in two spellings\)",
        ),
        ({"base": "none.yaml"}, "none.yaml cannot be read"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_one_sentence_before_anything_is_written(
    tmp_path, capsys, content, message
):
    path, out = write(tmp_path, **content), tmp_path / "out"
    assert cli.main(["sweep", str(path), "--output", str(out)]) == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert len(error.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("split", "fold_0:fold_7", "knows no fold_7"),
        ("images", "nowhere", "nowhere does not exist: give a folder"),
    ],
)
def test_one_run_without_cells_stops_the_sweep_before_anything_runs(
    tmp_path, cache, capsys, executed, setting, value, message
):
    path, out = write(tmp_path, variants={"good": {}, "bad": {setting: value}}), tmp_path / "out"
    assert cli.main(["sweep", str(path), "--cache-folder", str(cache), "--output", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()
    assert not executed


def test_variants_are_measured_against_the_first_on_the_same_cells(tmp_path, predictions):
    """The second variant gets every cell right; the first is right in 7 of 10."""
    perfect = with_p_all(predictions, (predictions["label"] == "all").astype(float))
    tables = {"first": predictions, "second": perfect}
    done = [
        finished(variant, write_run(tmp_path / variant, table), {"momentum": 0.9, "seed": 1})
        for variant, table in tables.items()
    ]
    first, second = sweep.variants(done).to_dict("records")
    gain = second["weighted_f1_gain"]
    assert first["weighted_f1_gain"] == 0
    assert gain == pytest.approx(1 - first["weighted_f1"])
    assert second["weighted_f1_gain_low"] <= gain <= second["weighted_f1_gain_high"]
    assert "gain +" in sweep.sentence(second)
    rows = sweep.table(done)
    assert rows.columns[:3].tolist() == ["variant", "momentum", "architecture"]
    assert rows["variant"].tolist() == ["first", "second"]
    assert rows["momentum"].tolist() == [0.9, 0.9]
    assert rows["test_correct"].tolist() == [7, 10]


def test_variant_on_other_cells_has_no_gain(tmp_path, predictions):
    other = predictions.assign(file="x" + predictions["file"])
    folders = {"first": predictions, "second": other}
    done = [finished(name, write_run(tmp_path / name, table)) for name, table in folders.items()]
    second = sweep.variants(done).to_dict("records")[1]
    assert pd.isna(second.get("weighted_f1_gain"))
    assert "gain" not in sweep.sentence(second)


def test_sweep_lists_what_fails_and_goes_on(tmp_path, cache, executed, caplog):
    """The first variant learns at a rate at which nothing can be learnt."""
    variants = {"fails": {"learning_rate": 1e39}, "works": {}}
    path, out = write(tmp_path, variants=variants, grid={"seed": [1, 2]}), tmp_path / "out"
    given = {"cache_folder": str(cache), "sample_cells": 160}
    with caplog.at_level("INFO"):
        failed = sweep.run_sweep(sweep.read_sweep(path, given, out), out)
    assert "[1/4] fails/seed=1" in caplog.text
    assert len(executed) == 4
    assert [record["variant"] for record in failed] == ["fails", "fails"]
    with pytest.raises(InputError, match=r"2 runs have failed \(fails/seed=1, fails/seed=2\)"):
        sweep.report_failures(failed, out)
    listed = pd.read_csv(out / "failed.csv")
    assert listed["seed"].tolist() == [1, 2]
    assert set(listed["reason"]) == {"the loss is not finite"}
    assert set(listed["notebook"]) == {"2_mobilenet.ipynb"}
    assert pd.read_csv(out / "sweep.csv")["variant"].tolist() == ["works", "works"]
    assert (out / "figures" / "seeds.png").stat().st_size > 10_000
    lines = (out / "sweep.log").read_text().splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines][2:] == [
        "finished: works/seed=1",
        "finished: works/seed=2",
    ]


def test_where_all_fail_there_is_no_table(tmp_path, cache, executed):
    path, out = write(tmp_path), tmp_path / "out"
    given = {"cache_folder": str(cache), "sample_cells": 160, "learning_rate": 1e39}
    with pytest.raises(InputError, match="No run has succeeded"):
        sweep.run_sweep(sweep.read_sweep(path, given, out), out)
    assert [found.name for found in out.glob("*.csv")] == ["failed.csv"]


def plans(cache, grid, **changes):
    common = {**QUICK, "sample_cells": 160, "cache_folder": str(cache), **changes}
    return [planning.plan_run({**common, **point}) for point in grid]


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "mobilenet.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    return str(path)


def test_what_runs_have_in_common_is_found_once(cache, weights):
    """Whatever the seed and the direction; other cells, sizes and cuts are something else."""
    splits = [{"split": split, "seed": seed} for split in GRID["split"] for seed in (1, 2)]
    cells, frozen = warmups.find(plans(cache, splits, weights=weights))
    assert [job.title for job in cells] == ["cells of 224 pixels"]
    assert [job.title for job in frozen] == ["MobileNet's frozen part below pooled"]
    cells, frozen = warmups.find(plans(cache, [*splits, {"split": "paper"}], weights=weights))
    assert (len(cells), len(frozen)) == (2, 2)
    changed = [{"input_size": 64}, {"unfreeze": "block_12"}, {"orientations": 8}, {"epochs": 9}]
    cells, frozen = warmups.find(plans(cache, changed, weights=weights))
    assert (len(cells), len(frozen)) == (2, 4)


@pytest.mark.parametrize("changes", [{"weights": "random"}, {"unfreeze": "all"}])
def test_some_frozen_parts_are_no_two_runs(cache, weights, changes):
    (plan,) = plans(cache, [{"weights": weights, **changes}])
    assert warmups.find([plan])[1] == []


class FakeRay:
    """Tasks are done when they are asked for; one whose name is given is lost with its machine."""

    def __init__(self, lost=""):
        self.lost, self.started = lost, []
        self.exceptions = SimpleNamespace(RayError=RuntimeError)

    def remote(self, **options):
        def make(function):
            def start(job, *rest):
                self.started.append((function.__name__, options["num_cpus"]))
                return lambda: function(job, *rest)

            return SimpleNamespace(remote=start)

        return make

    def wait(self, tasks):
        return tasks[:1], tasks[1:]

    def get(self, task):
        if self.lost:
            self.lost = ""
            raise RuntimeError("the machine is gone\nand so on")
        return task()


def by_fake_ray(monkeypatch, tmp_path, cache, *, lost="", **options):
    ray = FakeRay(lost)
    monkeypatch.setattr(cluster, "check", lambda _: None)
    monkeypatch.setattr(cluster, "connect", lambda _: nullcontext(ray))
    monkeypatch.setattr(warmups.WarmUp, "compute", lambda job, _: f"ready: {job.title}")
    path, out = write(tmp_path, grid={"learning_rate": [0.01, 1e39, 0.1]}), tmp_path / "out"
    given = {"cache_folder": str(cache), "sample_cells": 160}
    runs = sweep.read_sweep(path, given, out)
    failed = sweep.run_sweep(runs, out, SweepOptions(parallel=2, cpus=2, **options))
    return ray, failed, [line[20:] for line in (out / "sweep.log").read_text().splitlines()]


def test_by_ray_what_is_in_common_comes_first(monkeypatch, tmp_path, cache, executed):
    ray, failed, lines = by_fake_ray(monkeypatch, tmp_path, cache)
    assert ray.started == [("_warm_up", 2), ("_run", 2), ("_run", 2), ("_run", 2)]
    assert lines[0] == "ready: cells of 224 pixels"
    assert sorted(lines[1:]) == [
        "failed: all/learning_rate=1e-39: the loss is not finite",
        "finished: all/learning_rate=0.01",
        "finished: all/learning_rate=0.1",
    ]
    assert [record["notebook"] for record in failed] == ["2_mobilenet.ipynb"]


def test_a_lost_warm_up_costs_no_run(monkeypatch, tmp_path, cache, executed):
    _, failed, lines = by_fake_ray(monkeypatch, tmp_path, cache, lost="_warm_up")
    assert lines[0] == "failed: cells of 224 pixels: RuntimeError: the machine is gone"
    assert len(failed) == 1
    assert len(executed) == 3


def test_what_is_finished_is_not_asked_of_ray(monkeypatch, tmp_path, cache, executed):
    by_fake_ray(monkeypatch, tmp_path, cache)
    ray, _, _ = by_fake_ray(monkeypatch, tmp_path, cache)
    assert [name for name, _ in ray.started] == ["_warm_up", "_run"]  # the one that has failed


needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed (requirements-cluster.txt)",
)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "nowhere"}, "HOST:PORT"),
        pytest.param({"address": "127.0.0.1:PORT"}, "No Ray cluster answers", marks=needs_ray),
        ({"parallel": -1}, "parallel = -1 cannot be used"),
        ({"retries": -1}, "retries = -1 cannot be used"),
        ({"parallel": 2, "address": "a:1"}, "one of them"),
        ({"distribute": True}, "--distribute needs Ray"),
    ],
)
def test_what_ray_cannot_do_is_one_sentence(options, message):
    options = {
        name: value.replace("PORT", str(free_port())) if isinstance(value, str) else value
        for name, value in options.items()
    }
    with pytest.raises(InputError, match=message) as refused:
        cluster.check(SweepOptions(**options))
    assert "\n" not in str(refused.value)


def test_without_ray_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    arguments = ["sweep", str(write(tmp_path)), "--output", str(tmp_path / "out")]
    assert cli.main([*arguments, "--parallel", "2"]) == 1
    assert "pip install -r requirements-cluster.txt" in capsys.readouterr().err
