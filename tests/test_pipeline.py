"""The command line, as a user meets it."""

import html
import json
import os
import shutil
import subprocess
import sys
import time

import nbformat
import pandas as pd
import pytest
import yaml

from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json
from allhelpers.data import manifest as manifests
from allhelpers.data import synthetic
from allhelpers.data.manifest import PROJECT_MANIFEST
from allhelpers.networks.pretrained import RANDOM_NOTE
from allhelpers.reporting.report import COMMAND, FIGURES
from allhelpers.running import planning
from allhelpers.running.notebooks import _alone, is_finished, run_notebooks
from tests.helpers import ROOT

QUICK = {
    "architectures": "mobilenet", "weights": "random", "unfreeze": "none", "epochs": 3, "learning_rate": 0.01,
    "sample_cells": 160,
}  # fmt: skip


def allhelpers(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "allhelpers", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )


def refused(done, *parts):
    """One clear sentence, a non-zero exit, no traceback."""
    assert done.returncode == 1
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for part in parts:
        assert part in message
    assert "Traceback" not in done.stderr
    return True


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    """A small run from the command line."""
    folder = tmp_path_factory.mktemp("pipeline") / "run"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]
    done = allhelpers(
        "run", *options, "--cache-folder", cache, "--output", folder, cwd=folder.parent
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done


def test_run_prints_the_comparison_the_report_and_the_warnings(finished):
    folder, done = finished
    assert done.stdout.splitlines()[0] == f"* {RANDOM_NOTE} (MobileNet)"
    assert "Research only, not for diagnosis." in done.stdout
    assert f"report: {folder / 'report.html'}" in done.stdout
    assert "mobilenet" in done.stdout
    assert "1/3 1_data_split" in done.stderr  # a bar per notebook


def test_random_weights_and_synthetic_cells_are_said_everywhere(finished):
    folder, done = finished
    record = json.loads((folder / "mobilenet" / "parameters.json").read_text())
    executed = nbformat.read(folder / "notebooks" / "2_mobilenet.ipynb", 4)
    printed = "".join(o.get("text", "") for c in executed.cells for o in c.get("outputs", []))
    places = [
        done.stdout,
        printed,
        "; ".join(record["notes"]),
        (folder / "mobilenet" / "metrics.json").read_text(),
        (folder / "comparison.csv").read_text(),
        (folder / "report.html").read_text(),
    ]
    for place in places:
        assert RANDOM_NOTE in place
        assert "synthetic" in place


def test_run_leaves_the_files_of_the_design(finished):
    folder, _ = finished
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "settings.yaml", "manifest.csv", "data.json", "audit.json", "report.html",
        "comparison.csv", "methods.csv", "pairs.csv", "baselines/majority.csv", "baselines/area.csv",
        "notebooks/1_data_split.ipynb", "notebooks/2_mobilenet.ipynb", "notebooks/3_comparison.ipynb",
        *(f"mobilenet/{name}" for name in
          ("parameters.json", "history.csv", "predictions.csv", "metrics.json", "model.keras", "model_card.md")),
        *(f"mobilenet/figures/{name}.webp" for name in
          ("patient_strips", "patient_cells", "mistakes", "uncertain", "grad_cam", "mean_grad_cam", "feature_map")),
    }  # fmt: skip


def test_model_card_says_what_the_model_is_and_is_not(finished):
    folder, _ = finished
    card = (folder / "mobilenet" / "model_card.md").read_text()
    record, metrics = (
        read_json(folder / "mobilenet" / f"{name}.json") for name in ("parameters", "metrics")
    )
    for part in (record["model"]["sha256"], "Not for diagnosis", "synthetic cells", RANDOM_NOTE):
        assert part in card
    assert f"| weighted F1 | {metrics['test']['weighted_f1']['value']:.3f} |" in card
    assert "patients stand on more than one side" in card


def test_several_splits_become_several_runs_and_a_summary(tmp_path, cache):
    options = [
        f"--{name.replace('_', '-')}={value}" for name, value in {**QUICK, "epochs": 1}.items()
    ]
    splits = "--split=patient:1/2,patient:2/2"
    done = allhelpers(
        "run", *options, splits, "--cache-folder", cache, "--output", "cv", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "MobileNet: 2 runs, 160 test cells" in done.stdout
    folders = [tmp_path / "cv" / f"patient-{number}of2-seed2019" for number in (1, 2)]
    tested = [
        pd.read_csv(folder / "mobilenet" / "predictions.csv").query("split == 'test'")
        for folder in folders
    ]
    assert set(tested[0]["subject"]).isdisjoint(tested[1]["subject"])
    (row,) = pd.read_csv(tmp_path / "cv" / "summary.csv").to_dict("records")
    each = [
        read_json(folder / "mobilenet" / "metrics.json")["test"]["auroc"]["value"]
        for folder in folders
    ]
    assert row["auroc_mean"] == pytest.approx(sum(each) / 2)
    assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]


def test_metrics_can_be_computed_again_from_the_predictions(finished):
    folder, _ = finished
    predictions = pd.read_csv(folder / "mobilenet" / "predictions.csv")
    test = predictions[predictions["split"] == "test"]
    right = ((test["p_all"] >= 0.5) == (test["label"] == "all")).sum()
    assert read_json(folder / "mobilenet" / "metrics.json")["test"]["accuracy"]["correct"] == right


def test_executed_notebooks_show_figures(finished):
    folder, _ = finished
    for name, figures in (("1_data_split", 5), ("2_mobilenet", 13), ("3_comparison", 5)):
        cells = nbformat.read(folder / "notebooks" / f"{name}.ipynb", 4).cells
        outputs = [o for cell in cells for o in cell.get("outputs", [])]
        assert sum("image/png" in o.get("data", {}) for o in outputs) == figures


def test_recorded_settings_give_the_run_again(finished):
    folder, _ = finished
    recorded = yaml.safe_load((folder / "settings.yaml").read_text())
    assert recorded["epochs"] == {"mobilenet": 3}
    common, own = planning._plan(recorded)
    assert planning._recorded(common, own) == recorded


@pytest.mark.parametrize(
    ("values", "number"),
    [
        ({}, 1),
        ({"seed": 3}, 1),
        ({"seed": "1,2,3"}, 3),
        ({"split": "paper,patient", "seed": "1,2"}, 4),
    ],
)
def test_several_splits_and_seeds_are_all_combined(values, number):
    each = planning.expand(values)
    assert len(each) == number
    assert len({planning.folder_of(one, "runs") for one in each}) == number


def test_run_folder_with_other_settings_is_refused(finished):
    folder, _ = finished
    before = (folder / "settings.yaml").read_text()
    with pytest.raises(InputError, match=r"other settings \(.*epochs.*\).*--overwrite"):
        run_notebooks({**QUICK, "epochs": 4}, folder)
    assert (folder / "settings.yaml").read_text() == before


def test_run_that_stopped_before_its_cells_were_known_can_be_given_other_settings(tmp_path):
    wrong = {**QUICK, "images": str(tmp_path / "nothing")}
    (tmp_path / "nothing").mkdir()
    for split in ("paper", "patient"):
        with pytest.raises(InputError, match="There is no picture"):
            run_notebooks({**wrong, "split": split}, tmp_path / "run")


def test_report_says_what_was_asked_what_cannot_be_concluded_and_the_command(finished):
    folder, _ = finished
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "MobileNet was trained" in page
    assert "test cells come from patients who also train" in page
    assert "these were drawn by a program" in page
    assert COMMAND in page
    assert all(caption in html.unescape(page) for caption in FIGURES.values())
    assert read_json(folder / "audit.json")["sentences"][0] in html.unescape(page)


def test_report_is_shown_whole_by_a_browser_without_a_network(finished):
    folder, _ = finished
    pytest.importorskip("playwright", reason="playwright is not installed (requirements-docs.txt)")
    from tools import screenshots

    if not any(map(shutil.which, screenshots.BROWSERS)):
        pytest.skip("there is no Chromium on this machine")
    assert screenshots.report(folder) == (folder / "report.html").read_text().count("<img ")


def test_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="not the folder of a run"):
        run_notebooks(QUICK, tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_predict_writes_probabilities_of_a_folder(finished, tmp_path):
    folder, _ = finished
    pictures = synthetic.draw_sample(tmp_path / "new", 16)
    done = allhelpers(
        "predict",
        folder / "mobilenet" / "model.keras",
        pictures,
        "--output",
        "out.csv",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["file", "p_all", "p_hem", "predicted"]
    assert len(table) == 16
    assert (table["p_all"] + table["p_hem"]).round(4).eq(1).all()
    assert "not for diagnosis" in done.stdout


def test_predict_agrees_with_the_runs_own_predictions(finished, cache, tmp_path):
    folder, _ = finished
    predictions = pd.read_csv(folder / "mobilenet" / "predictions.csv").head(5)
    images = cache / "sample-160"
    files = [images / file for file in predictions["file"]]
    allhelpers("predict", folder / "mobilenet", *files, "--output", "out.csv", cwd=tmp_path)
    assert pd.read_csv(tmp_path / "out.csv")["p_all"].tolist() == pytest.approx(
        predictions["p_all"].tolist(), abs=1e-4
    )


def test_folder_that_cannot_be_written_is_one_sentence(finished, tmp_path):
    folder, _ = finished
    pictures = synthetic.draw_sample(tmp_path / "new", 16)
    (tmp_path / "taken").write_text("a file, not a folder")
    done = allhelpers(
        "predict", folder / "mobilenet", pictures, "--output", "taken/out.csv", cwd=tmp_path
    )
    refused(done, "taken", "cannot be used")


def test_predict_refuses_what_is_no_model(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK")
    refused(allhelpers("predict", "model.keras", "x.bmp", cwd=tmp_path), "x.bmp does not exist")
    (tmp_path / "x.bmp").write_bytes(b"BM")
    refused(
        allhelpers("predict", "model.keras", "x.bmp", cwd=tmp_path),
        "parameters.json beside it does not exist",
    )
    assert not (tmp_path / "predictions.csv").exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--epochs", "-3"], ["epochs = -3 cannot be used"]),
        (["--epochs", "many"], ["epochs = 'many' cannot be used"]),
        (
            ["--architectures", "lenet"],
            ["'lenet' is not an architecture", "mobilenet, vgg16, resnet50"],
        ),
        (["--unfreeze", "block_99"], ["block_99", "block_13"]),
        (["--weights", "mobilenet=none.h5"], ["none.h5", "does not exist"]),
        (["--settings", "none.yaml"], ["none.yaml cannot be read"]),
        (["--images", "cells.zip", "--weights", "auto"], ["sample only"]),
    ],
)
def test_wrong_options_stop_before_anything_is_written(options, parts, tmp_path):
    refused(allhelpers("run", *options, "--output", "run", cwd=tmp_path), *parts)
    assert list(tmp_path.iterdir()) == []


def test_imagenet_without_network_is_one_sentence_within_ten_seconds(tmp_path):
    """A proxy on a closed local port stands for a network that is not there."""
    closed = {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    began = time.monotonic()
    done = allhelpers("run", "--weights", "imagenet", "--output", "run", cwd=tmp_path, **closed)
    refused(done, "ImageNet weights of MobileNet", "connect to the network", "mobilenet=PATH")
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


def test_failing_notebook_is_named(tmp_path, cache):
    """A manifest with an unknown label is found in the first notebook."""
    table = manifests.read(PROJECT_MANIFEST)
    table.loc[5, "label"] = "aml"
    table.to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.bmp").write_bytes(b"BM")
    done = allhelpers(
        "run", "--images", "images", "--manifest", "manifest.csv", "--weights", "random", "--output", "run",
        "--cache-folder", cache, cwd=tmp_path,
    )  # fmt: skip
    refused(
        done, "impossible label 'aml'", str(tmp_path / "run" / "notebooks" / "1_data_split.ipynb")
    )


def test_manifest_command_makes_the_manifest_of_a_folder(tmp_path):
    synthetic.draw_sample(tmp_path / "cells", 192)
    done = allhelpers("manifest", "cells", "--output", "m.csv", "--seed", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = manifests.read(tmp_path / "m.csv")
    assert len(table) == 192
    assert table["paper_split"].value_counts().to_dict() == {"valid": 70, "test": 70, "train": 52}
    assert not (tmp_path / "rejected.csv").exists()


def test_manifest_command_lists_pictures_that_it_leaves_out(tmp_path):
    synthetic.draw_sample(tmp_path / "cells", 192)
    (tmp_path / "cells" / "holiday.BMP").write_bytes(b"BM")
    done = allhelpers("manifest", "cells", "--output", "m.csv", cwd=tmp_path)
    assert "1 pictures have no official name or label and are left out: rejected.csv" in done.stdout
    assert pd.read_csv(tmp_path / "rejected.csv")["file"].tolist() == ["holiday.BMP"]


def test_two_processes_in_one_run_folder_are_refused(tmp_path):
    with _alone(tmp_path / "run"), pytest.raises(InputError, match="Another process is running"):
        run_notebooks(QUICK, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_notebook_is_finished_only_with_its_parameters_code_and_files(finished, tmp_path):
    folder, _ = finished
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    notebooks = {path.stem: path for path in (copy / "notebooks").glob("*.ipynb")}
    parameters = nbformat.read(notebooks["3_comparison"], 4).metadata.papermill.parameters
    assert is_finished("3_comparison", parameters, copy)
    assert not is_finished("3_comparison", {**parameters, "split": "patient"}, copy)
    (copy / "report.html").unlink()
    assert not is_finished("3_comparison", parameters, copy)
    text = notebooks["2_mobilenet"].read_text()
    parameters = nbformat.read(notebooks["2_mobilenet"], 4).metadata.papermill.parameters
    assert is_finished("2_mobilenet", parameters, copy)
    interrupted = nbformat.read(notebooks["2_mobilenet"], 4)
    [cell for cell in interrupted.cells if cell.cell_type == "code"][-1].execution_count = None
    others = [text[: len(text) // 2], "", text.replace("finetuning.train", "finetuning.other")]
    for odd in (*others, nbformat.writes(interrupted)):
        notebooks["2_mobilenet"].write_text(odd)
        assert not is_finished("2_mobilenet", parameters, copy)


def test_same_seed_gives_the_same_predictions_on_another_cache(finished, tmp_path):
    folder, _ = finished
    again = run_notebooks({**QUICK, "cache_folder": str(tmp_path / "cache")}, tmp_path / "again")
    for name in ("predictions.csv", "metrics.json"):
        assert (again / "mobilenet" / name).read_bytes() == (
            folder / "mobilenet" / name
        ).read_bytes()
