"""Many runs from one file."""

import pandas as pd
import pytest
import yaml

from allhelpers._core.errors import InputError
from allhelpers._core.files import sha256
from allhelpers.running import cli, sweep
from allhelpers.running.sweep import Run
from tests.helpers import with_p_all, write_run

QUICK = {
    "architectures": "mobilenet",
    "weights": "random",
    "unfreeze": "none",
    "epochs": 2,
    "learning_rate": 0.01,
}


def write(folder, **content):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({"settings": QUICK, **content}, sort_keys=False))
    return path


def test_variants_and_grid_are_all_combined_and_overrule_the_rest(tmp_path):
    (tmp_path / "base.yaml").write_text("momentum: 0.5\nepochs: 9\n")
    variants, grid = (
        {"a": {}, "b": {"epochs": 3}},
        {"split": ["patient:1/2", "patient:2/2"], "seed": [1, 2]},
    )
    path = write(tmp_path, base="base.yaml", variants=variants, grid=grid)
    planned = sweep.read_sweep(path, {"seed": 7, "learning_rate": 0.5}, tmp_path / "out")
    assert len(planned) == len({one.folder for one in planned}) == 8
    assert [one.values["epochs"] for one in planned] == [2] * 4 + [3] * 4
    assert {one.values["seed"] for one in planned} == {1, 2}
    assert all(
        one.values["learning_rate"] == 0.5 and one.values["momentum"] == 0.5 for one in planned
    )
    assert planned[0].folder == tmp_path / "out" / "a" / "split=patient-1of2,seed=1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"grid": {"epochs": []}}, "empty list"),
        ({"grid": {"epochs": [1, -1]}}, "epochs = -1 cannot be used"),
        ({"variants": {"a": {"lr": 1}}}, "'lr' is not a setting"),
        ({"variants": {}}, "variants"),
        ({"grids": {}}, "'grids' is not a setting: choose from base, settings, variants, grid"),
        ({"variants": {"a b": {}, "a-b": {}}}, "share a folder"),
        ({"base": "none.yaml"}, "none.yaml cannot be read"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused_before_anything_is_written(
    tmp_path, content, message
):
    with pytest.raises(InputError, match=message):
        sweep.read_sweep(write(tmp_path, **content), {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("split", "fold_0:fold_7", "knows no fold_7"),
        ("images", "nowhere", "nowhere does not exist: give a folder"),
    ],
)
def test_one_run_without_cells_stops_the_sweep_before_anything_runs(
    tmp_path, cache, capsys, setting, value, message
):
    path, out = write(tmp_path, variants={"good": {}, "bad": {setting: value}}), tmp_path / "out"
    assert cli.main(["sweep", str(path), "--cache-folder", str(cache), "--output", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_variants_are_measured_against_the_first_on_the_same_cells(tmp_path, predictions):
    """The second variant gets every cell right; the first is right in 7 of 10."""
    perfect = with_p_all(predictions, (predictions["label"] == "all").astype(float))
    done = []
    for variant, table in (("first", predictions), ("second", perfect)):
        folder = write_run(tmp_path / variant, table)
        done.append(Run(variant, {"seed": 1}, {}, folder))
    first, second = sweep.variants(done).to_dict("records")
    assert first["weighted_f1_gain"] == 0
    assert second["weighted_f1_gain"] == pytest.approx(1 - first["weighted_f1"])
    assert (
        second["weighted_f1_gain_low"]
        <= second["weighted_f1_gain"]
        <= second["weighted_f1_gain_high"]
    )
    assert "gain +" in sweep.sentence(second)
    assert sweep.table(done)["variant"].tolist() == ["first", "second"]


def test_variant_on_other_cells_has_no_gain(tmp_path, predictions):
    other = predictions.assign(file="x" + predictions["file"])
    folders = {"first": predictions, "second": other}
    done = [Run(name, {}, {}, write_run(tmp_path / name, table)) for name, table in folders.items()]
    second = sweep.variants(done).to_dict("records")[1]
    assert pd.isna(second.get("weighted_f1_gain"))
    assert "gain" not in sweep.sentence(second)


def test_sweep_runs_each_once_and_lists_what_fails(tmp_path, cache, capsys):
    """The second variant learns at a rate at which nothing can be learnt."""
    variants = {
        "works": {"sample_cells": 160},
        "fails": {"sample_cells": 160, "learning_rate": 1e39},
    }
    path, out = write(tmp_path, variants=variants), tmp_path / "out"
    command = [
        "sweep",
        str(path),
        "--cache-folder",
        str(cache),
        "--output",
        str(out),
        "--retries",
        "0",
    ]
    assert cli.main(command) == 1
    assert "1 run has failed" in capsys.readouterr().err
    (failed,) = pd.read_csv(out / "failed.csv").to_dict("records")
    assert failed["variant"] == "fails"
    assert "loss is not finite" in failed["reason"]
    (row,) = pd.read_csv(out / "sweep.csv").to_dict("records")
    assert row["epochs"] == 2
    (notebook,) = out.glob("works/**/2_mobilenet.ipynb")
    before = sha256(notebook)
    cli.main(command)
    assert sha256(notebook) == before
    assert "2/3 2_mobilenet: finished already, not run again" in capsys.readouterr().out
