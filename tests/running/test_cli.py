"""The command line: options made from settings, and refusals of one sentence."""

import os
import re
import shutil
import subprocess
import sys
import time
import types

import click
import pandas as pd
import pytest

from allhelpers._core import renaming
from allhelpers.data import manifest as manifests
from allhelpers.networks import pretrained
from allhelpers.networks.registry import NAMES
from allhelpers.running import cli, messages, options
from allhelpers.settings import RunSettings
from tests.commands import command, refused
from tests.helpers import ROOT

COMMANDS = tuple(cli.allhelpers.commands)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, and the user is in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command_of_its_own_starts_without_tensorflow_and_refuses_in_one_sentence(tmp_path):
    code = (
        "import sys; from allhelpers.running.cli import main; status = main(sys.argv[1:]); "
        "assert not {'keras', 'tensorflow', 'ray'} & set(sys.modules); sys.exit(status)"
    )
    for program in (["-c", code], ["-m", "allhelpers"]):
        done = subprocess.run(
            [sys.executable, *program, "run", "--epochs", "-3"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: epochs = -3 cannot be used")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_a_terminal_and_explains_every_option(name):
    done = command(*filter(None, [name]), "--help")
    assert done.status == 0
    assert max(map(len, done.out.splitlines())) <= 80
    if name in ("run", "sweep"):
        for setting in set(RunSettings.model_fields) - set(options.NO_OPTIONS):
            assert f"  --{setting.replace('_', '-')} " in done.out
        for heading in ("Cells:", "Networks:", "Training:", "Machine:"):
            assert done.out.count(f"{heading}\n") == 1


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["rnu"], ["No such command 'rnu'", "Did you mean 'run'?"]),
        (["run", "--epoch", "3"], ["No such option '--epoch'", "Did you mean", "'--epochs'"]),
        (["run", "--learn", "0.1"], ["No such option '--learn'"]),  # nothing is guessed
        (["run", "--output", "--overwrite"], ["'--output' needs a value, not --overwrite"]),
        (["run", "somewhere"], ["unexpected extra argument", "somewhere"]),
        (["predict", "model.keras"], ["Missing argument", "FILE|FOLDER"]),
        (["export", "net", "--format", "pdf"], ["'pdf' is not one of", "onnx"]),
        (["serve", "net", "--port", "door"], ["'door' is not a valid integer"]),
        (["serve", "net", "--port", "99999"], ["99999 is not in the range"]),
        ([], ["Missing command"]),
    ],
)
def test_wrong_usage_is_one_sentence_that_says_where_help_is(arguments, parts):
    done = command(*arguments)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert done.err.endswith("--help.\n")
    assert done.err.count("\n") == 1
    assert all(part in done.err for part in parts), done.err


ODD_NUMBERS = ("[", "{", "*a", "@", "\t", "2020-13-45", "!!timestamp x", "nan", "1:30", "9" * 5000)
BOUNDED = ("epochs", "hidden-units", "sample-cells", "batch-size", "crop", "patience", "seed")


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (["--epochs", "-3"], ["epochs = -3 cannot be used"]),
        (["--epochs", "many"], ["epochs = 'many' cannot be used"]),
        *((["--epochs", odd], ["epochs = ", "cannot be used"]) for odd in ODD_NUMBERS),
        *((["--seed", odd], ["seed = ", "cannot be used"]) for odd in (",", "9" * 5000, "!!int x")),
        (["--split", ","], ["split"]),
        *((["--" + name, "9" * 20], [name.replace("-", "_")]) for name in BOUNDED),
        (["--seed", str(2**32)], ["seed = 4294967296 cannot be used"]),
        (["--architectures", "svm,svm"], ["svm twice"]),
        (
            ["--architectures", "lenet"],
            ["'lenet' is not an architecture", "mobilenet, vgg16, resnet50"],
        ),
        (["--unfreeze", "block_99"], ["block_99", "block_13"]),
        (["--weights", "mobilenet=none.h5"], ["none.h5", "does not exist"]),
        (["--settings", "none.yaml"], ["none.yaml cannot be read"]),
        (["--images", "kaggle", "--weights", "auto"], ["sample only"]),
        (["--images", "cells.zip", "--weights", "none.h5"], ["cells.zip does not exist"]),
        (["--manifest", "none.csv"], ["none.csv does not exist"]),
    ],
)
def test_wrong_options_stop_before_anything_is_written(given, parts, here):
    refused(command("run", *given, "--output", "run"), *parts)
    assert list(here.iterdir()) == []


def test_imagenet_without_network_is_one_sentence_within_ten_seconds(here, monkeypatch):
    """A proxy on a closed local port stands for a network that is not there."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(here / "keras"))
    pretrained._server_answers.cache_clear()
    began = time.monotonic()
    done = command("run", "--weights", "imagenet", "--output", "run")
    pretrained._server_answers.cache_clear()
    refused(done, "ImageNet weights of MobileNet", "connect to the network", "mobilenet=PATH")
    assert time.monotonic() - began < 10
    assert list(here.iterdir()) == []


def test_predict_refuses_what_is_no_model(here):
    (here / "model.keras").write_bytes(b"PK")
    refused(command("predict", "model.keras", "x.bmp"), "x.bmp does not exist")
    (here / "x.bmp").write_bytes(b"BM")
    beside = "parameters.json beside it does not exist"
    refused(command("predict", "model.keras", "x.bmp"), beside)
    assert not (here / "predictions.csv").exists()


@pytest.fixture
def official(cells, cache, here):
    """A folder of 160 official files."""
    shutil.copytree(cache / "sample-160", here / "cells", copy_function=os.link)
    return here / "cells"


def test_manifest_command_makes_the_manifest_of_a_folder(official, here):
    done = command("manifest", "cells", "--output", "m.csv", "--seed", "5")
    assert done.status == 0, done.err
    table = manifests.read(here / "m.csv")
    assert len(table) == 160
    assert table["paper_split"].value_counts().to_dict() == {"val": 70, "test": 70, "train": 20}
    assert not (here / "rejected.csv").exists()


def test_manifest_command_lists_images_that_it_leaves_out(official, here):
    (official / "holiday.BMP").write_bytes(b"BM")
    done = command("manifest", "cells", "--output", "m.csv")
    assert "1 images have no official name or label and are left out: rejected.csv" in done.out
    assert pd.read_csv(here / "rejected.csv")["file"].tolist() == ["holiday.BMP"]


def test_run_says_what_it_reads_of_the_folders_before_anything_runs(here, stubs):
    for name in ("a/P1/1.png", "a/P2/1.png", "b/P3/1.png"):
        (here / "kaggle_cells" / name).parent.mkdir(parents=True)
        (here / "kaggle_cells" / name).touch()
    given = ["--manifest", "folders", "--architectures", "mobilenet", "--weights", "random"]
    done = command("run", "--images", "kaggle_cells", *given, "--output", "run")
    assert "class    folder 1 of 2    a (2), b (1)" in done.out
    assert done.out.index("class    folder") < done.out.index("accuracy (95 %)")
    (here / "kaggle_cells" / "lone.png").touch()
    refused(command("run", "--images", "kaggle_cells", *given, "--output", "run2"), "lone.png lies")


def test_options_under_their_former_names_are_taken_with_one_warning(here, stubs):
    renaming.warn.cache_clear()
    given = ["--architectures", "mobilenet", "--weights", "random", "--average", "4"]
    done = command("run", *given, "--optimiser", "adam", "--output", "run")
    assert done.status == 0, done.err
    assert done.err.count("The setting average is called tta now: write tta.") == 1
    assert done.err.count("The setting optimiser is called optimizer now") == 1
    assert "average" not in command("run", "--help").out.replace("averaged", "")


@pytest.mark.parametrize(
    ("given", "spread"),
    [
        ("net --images a b --format onnx", "net --images a --images b --format onnx"),
        ("--images a --images b", "--images a --images b"),
        ("net --format onnx", "net --format onnx"),
    ],
)
def test_several_values_may_follow_an_option_that_takes_a_list(given, spread):
    assert options._repeated(given.split(), ("--images",)) == spread.split()


def test_command_of_another_room_is_there_where_the_room_is(monkeypatch):
    @click.command("cells", short_help="cut cells out")
    def cells():
        click.echo("cut")

    listed = "\n  cells " in command("--help").out
    assert listed == options._is_there(options.ELSEWHERE["cells"])
    monkeypatch.setitem(sys.modules, "a_room", types.ModuleType("a_room"))
    monkeypatch.setitem(sys.modules, "a_room.command", types.SimpleNamespace(cells=cells))
    monkeypatch.setattr(options, "_is_there", lambda module: True)
    monkeypatch.setitem(options.ELSEWHERE, "cells", "a_room.command")
    assert "cut cells out" in command("--help").out
    assert command("cells").out == "cut\n"


def test_commands_stand_in_groups_with_none_left_out():
    shown = command("--help").out
    assert [*options.COMMAND_GROUPS] == re.findall(r"^(\w[\w ]+):\n  \w", shown, re.M)
    grouped = [name for group in options.COMMAND_GROUPS.values() for name in group]
    assert set(cli.allhelpers.commands) <= set(grouped)
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_last_table_fits_a_terminal_whatever_the_method():
    figures = {"test_accuracy": 1, "low": 0.987, "high": 1, "auroc": 0.9, "auroc_equal_size": 0.8}
    counts = {"test_correct": 14_000, "test_cells": 14_000, "seconds": 99_999.2}
    rows = [cli._comparison_row({"architecture": n, **figures, **counts}) for n in NAMES]
    rows.append(cli._comparison_row({**rows[0], "architecture": "svm", **figures, **counts}))
    lines = pd.DataFrame(rows).to_string(index=False).splitlines()
    assert max(map(len, lines)) <= 80
    old = cli._comparison_row(
        {"architecture": "svm", "test_accuracy": 1, "low": 1, "high": 1, **counts}
    )
    assert old["equal size"] == ""


def test_what_is_said_breaks_between_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    said = messages.wrapped("* random weights: this shows the pipeline, not transfer learning")
    assert said == "* random weights: this shows the\n  pipeline, not transfer learning"
    table = "class    folder 1 of 2    a (2), b (1), and so on"
    assert messages.wrapped(table) == table


def test_audit_takes_the_settings_of_cells_alone():
    shown = command("audit", "--help").out
    assert all(f"--{name.replace('_', '-')}" in shown for name in {"images", "split", "crop"})
    assert "--epochs" not in shown
