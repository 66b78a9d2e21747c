"""What is the user's stays; what is damaged or stale is computed again or refused."""

import itertools
import json
import os
import shutil
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from allhelpers import inference
from allhelpers._core.errors import InputError
from allhelpers.running import notebooks, planning
from allhelpers.running.planning import plan_run
from allhelpers.runs import Result, Run
from allhelpers.settings import TrainingSettings
from tests.commands import command, options, refused
from tests.helpers import ten_cells, write_run

TOY = {"architectures": "mobilenet", "weights": "random", "epochs": 2}


def emptied(content):
    return b""


def halved(content):
    return content[: len(content) // 2]


def flipped(content):
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def longer(content):
    return content + b"\0"


DAMAGES = (emptied, halved, flipped, longer)


@pytest.fixture
def finished(stubs, tmp_path):
    """A finished run of stubs."""
    return Run(plan_run(TOY).run(tmp_path / "run"))


def files_of(run):
    return [path for path in sorted(run.folder.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_run_with_a_damaged_file_counts_as_finished(finished, damage):
    plan = plan_run(TOY)
    assert plan.is_finished(finished.folder)
    for path in files_of(finished):
        if path.name == "settings.yaml":  # it says what was asked, and is refused where it differs
            continue
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        assert not plan.is_finished(finished.folder), path
        path.write_bytes(whole)
    assert plan.is_finished(finished.folder)


@pytest.mark.parametrize("damage", [emptied, flipped])
def test_the_same_command_computes_a_damaged_part_again_or_refuses(finished, damage):
    kept = finished.result("mobilenet").predictions_path
    predictions = kept.read_bytes()
    for path in files_of(finished):
        path.write_bytes(damage(path.read_bytes()))
        done = command("run", *options(**TOY), "--output", finished.folder)
        if path.name == "settings.yaml":
            if done.status:
                assert refused(done, "--overwrite")
                again = command("run", *options(**TOY), "--output", finished.folder, "--overwrite")
                assert again.status == 0
            continue
        assert done.status == 0, (path, done.err)
        assert "computed again" in done.out, path
        assert kept.read_bytes() == predictions
        assert plan_run(TOY).is_finished(finished.folder)


def test_a_damaged_result_is_not_summed_up(finished):
    path = finished.result("mobilenet").predictions_path
    path.write_text(path.read_text().replace("0.1", "0.2", 1))
    done = command("summary", finished.folder, "--output", finished.folder.parent / "s.csv")
    refused(done, "predictions.csv has changed since it was written")


@pytest.mark.parametrize("name", ["predictions.csv", "metrics.json", "files.json"])
def test_no_bit_of_a_result_can_be_another_unseen(tmp_path, name):
    result = Result(tmp_path)
    result.finish(ten_cells().head(2), {"test": {"f1": 0.5}}, {"settings": {}})
    whole = (tmp_path / name).read_bytes()
    kept = result.predictions().to_csv(), result.metrics()
    for place, bit in itertools.product(range(len(whole)), range(8)):
        flipped = bytes([whole[place] ^ 1 << bit])
        (tmp_path / name).write_bytes(whole[:place] + flipped + whole[place + 1 :])
        with suppress(InputError):
            read = result.predictions().to_csv(), result.metrics()
            assert read == kept, (place, bit)


@pytest.mark.parametrize("name", ["predictions.csv", "metrics.json", "parameters.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_of_a_run_without_checksums_are_one_sentence_or_read(tmp_path, name, damage):
    folder = write_run(tmp_path / "run", ten_cells())
    path = folder / "mobilenet" / name
    path.write_bytes(damage(path.read_bytes()))
    done = command("summary", folder, "--output", tmp_path / "s.csv")
    assert done.status == 0 or refused(done)


def test_run_of_an_earlier_version_is_finished_as_it_lies_there(finished):
    finished.files_path.unlink()
    finished.result("mobilenet").files_path.unlink()
    assert plan_run(TOY).is_finished(finished.folder)
    done = command("run", *options(**TOY), "--output", finished.folder)
    assert done.out.count("finished already") == 3


def test_run_that_is_reached_by_another_path_or_was_moved_is_the_same_run(finished, tmp_path):
    (tmp_path / "link").symlink_to(finished.folder)
    assert plan_run(TOY).is_finished(tmp_path / "link")
    with notebooks.alone(finished.folder), pytest.raises(InputError, match="Another process"):
        plan_run(TOY).run(tmp_path / "link" / ".." / "link")
    shutil.move(finished.folder, tmp_path / "moved")
    assert plan_run(TOY).is_finished(tmp_path / "moved")


@pytest.mark.parametrize("folder", ["o {date}", "o {split}", "{}", "{0}", "}{", "{run_folder!r}"])
def test_braces_in_the_run_folder_are_braces(stubs, tmp_path, folder):
    assert command("run", *options(**TOY), "--output", tmp_path / folder).status == 0
    assert (tmp_path / folder / "report.html").is_file()


# What the cells are made of, changed in one way each.


def images(folder):
    for label in ("blast", "healthy"):
        for number in range(4):
            path = folder / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = np.full((64, 64, 3), 40 * number + len(label), np.uint8)
            Image.fromarray(shade).save(path)
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in folder.rglob("*.png")]
    (folder.parent / "cells.csv").write_text("\n".join(["file,label", *sorted(rows)]) + "\n")
    return folder


def correct_a_label(here):
    path = here / "cells.csv"
    path.write_text(path.read_text().replace("0.png,blast", "0.png,healthy"))


def exchange_two_images(here):
    """As an archive with constant times leaves them: size and time of change stay the same."""
    one, two = here / "cells" / "blast" / "0.png", here / "cells" / "healthy" / "0.png"
    contents = one.read_bytes(), two.read_bytes()
    size = max(map(len, contents))
    for path, content in zip((two, one), contents, strict=True):
        before = path.stat()
        path.write_bytes(content.ljust(size, b"\0"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def add_a_image(here):
    shutil.copy(here / "cells" / "blast" / "0.png", here / "cells" / "blast" / "9.png")


def remove_a_image(here):
    (here / "cells" / "blast" / "0.png").unlink()


@pytest.mark.parametrize(
    "change", [correct_a_label, exchange_two_images, add_a_image, remove_a_image]
)
def test_cells_that_have_changed_are_read_again(stubs, tmp_path, change):
    values = {**TOY, "images": str(images(tmp_path / "cells")), "image_size": 0}
    values["manifest"] = str(tmp_path / "cells.csv")
    plan_run(values).run(tmp_path / "run")
    assert plan_run(values).is_finished(tmp_path / "run")
    change(tmp_path)
    assert not plan_run(values).is_finished(tmp_path / "run")
    done = command("run", *options(**values), "--output", tmp_path / "run")
    assert "not those that it has read: computed again" in done.out


# What is the user's.


@pytest.fixture
def own_files(tmp_path):
    """A folder of the user's, with the names that runs use."""
    folder = images(tmp_path / "own" / "cells").parent
    (folder / "mobilenet").mkdir()
    names = ["settings.yaml", "thesis.docx", "manifest.csv", "comparison.csv"]
    for name in [*names, "mobilenet/predictions.csv"]:
        (folder / name).write_text("{}")
    (folder / "settings.yaml").write_text("# mine\narchitectures: mobilenet\nweights: random\n")
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_folder_of_the_users_is_no_run(stubs, own_files, overwrite):
    before = contents(own_files)
    given = ["--settings", own_files / "settings.yaml", "--output", own_files, *overwrite]
    refused(command("run", *given), "not the folder of a run")
    for path in sorted(own_files.iterdir()):  # and with the settings file alone
        if path.name != "settings.yaml":
            shutil.move(path, own_files.parent / f"away-{path.name}")
    refused(command("run", *given), "not the folder of a run")
    assert (own_files / "settings.yaml").read_bytes() == before[own_files / "settings.yaml"]


def test_overwriting_removes_what_the_run_has_left_and_nothing_else(finished, tmp_path):
    mine = [finished.folder / name for name in ("notes.txt", "mobilenet/mine.csv", "x/cell.png")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    values = {**TOY, "epochs": 3}
    done = command("run", *options(**values), "--output", finished.folder, "--overwrite")
    assert done.status == 0, done.err
    assert len(finished.result("mobilenet").history()) == 3
    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_overwriting_never_touches_what_the_run_is_made_from(finished):
    inside = images(finished.folder / "cells")
    before = contents(finished.folder)
    for given in (
        ["--images", inside, "--manifest", "folders"],
        ["--settings", finished.settings_path],
        ["--images", "kaggle", "--manifest", finished.manifest_path],
    ):
        asked = [*options(**TOY), *given, "--output", finished.folder, "--overwrite"]
        refused(command("run", *asked), "would replace")
    assert contents(finished.folder) == before


def test_a_foreign_folder_called_like_a_method_is_not_taken(tmp_path):
    folder = tmp_path / "run" / "mobilenet"
    folder.mkdir(parents=True)
    (folder / "thesis.docx").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="of no training"):
            Result(folder).claim({"epochs": 1}, None, overwrite=overwrite)
    assert (folder / "thesis.docx").read_text() == "mine"


def test_no_command_replaces_a_file_that_lies_there(tmp_path, monkeypatch):
    """Asked before anything is read: the model need not even exist."""
    monkeypatch.chdir(tmp_path)
    names = ["predictions.csv", "data_manifest.csv", "summary.csv", "model.onnx", "new.onnx.json"]
    for name in names:
        (tmp_path / name).write_text("mine")
    export = ("export", "RUN", "--format", "onnx", "--output")
    for given in (
        ("predict", "RUN", "."),
        ("manifest", "."),
        ("summary", "."),
        (*export, "model.onnx"),
        (*export, "new.onnx"),
    ):
        refused(command(*given), "exists", "--overwrite")
    (tmp_path / "folder").mkdir()
    refused(command(*export, "folder"), "is a folder")
    assert {(tmp_path / name).read_text() for name in names} == {"mine"}


def test_files_of_a_run_are_replaced_by_no_other_command(finished, monkeypatch):
    monkeypatch.chdir(finished.result("mobilenet").folder)
    before = contents(finished.folder)
    refused(command("predict", ".", ".", "--overwrite"), "is a file of a run")
    assert contents(finished.folder) == before


# Faults of the program, and records of others.


def test_an_unforeseen_error_is_one_sentence(monkeypatch):
    def fail(*_, **__):
        raise KeyError("odd")

    monkeypatch.setattr(planning, "run_notebooks", fail)
    refused(command("run"), "KeyError", "line")


def test_summary_of_runs_with_other_classes_is_one_sentence(tmp_path):
    write_run(tmp_path / "one", ten_cells())
    other = ten_cells().rename(columns={"p_all": "p_blast"})
    write_run(tmp_path / "two", other.replace({"label": {"all": "blast"}}))
    done = command("summary", tmp_path / "one", tmp_path / "two", "--output", tmp_path / "s.csv")
    refused(done, "other classes")


RECORD = {
    "architecture": "toy",
    "classes": ["all", "hem"],
    "model": {"sha256": ""},
    "settings": TrainingSettings(weights="random").model_dump(),
}
FORGED = [
    {"architecture": ["toy"]},
    {"architecture": {}},
    {"settings": []},
    {"settings": None},
    {"settings": "x"},
    {"classes": []},
    {"classes": ["all", "all"]},
    {"classes": [["a"], "b"]},
    {"classes": "ab"},
    {"classes": list(map(str, range(10**5)))},
    {"settings": {**RECORD["settings"], "hidden_units": 10**12}},
    {"settings": {**RECORD["settings"], "seed": 2**40}},
    {"settings": {**RECORD["settings"], "sample_cells": 10**9}},
]


@pytest.mark.parametrize("change", FORGED, ids=lambda change: str(change)[:40])
def test_a_forged_record_is_one_sentence(tmp_path, change):
    result = Result(tmp_path / "run" / "toy")
    result.folder.mkdir(parents=True)
    result.model_path.write_bytes(b"model")
    record = {**RECORD, "model": {"sha256": planning.sha256(result.model_path)}, **change}
    result.record_path.write_text(json.dumps(record))
    with pytest.raises(InputError):
        inference.load(result.folder)
