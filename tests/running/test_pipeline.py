"""What a run of the real notebooks leaves, and what is done with it then."""

import html
import json
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

from allhelpers.data import synthetic
from allhelpers.networks.pretrained import RANDOM_NOTE
from allhelpers.reporting.report import COMMAND, FIGURES
from allhelpers.running import planning
from allhelpers.running.planning import plan_run
from allhelpers.runs import Run
from tests.commands import command, refused

RUN_FIGURES = (
    *("accuracy_with_intervals", "cells_per_split", "cost", "differences", "methods"),
    *("size_gap", "suspects"),
)
CURVES = ("learning_curves", "ranking_curves", "confusion_matrix", "reliability", "patients")
GALLERIES = ("patient_strips", "patient_cells", "mistakes", "uncertain")
FIGURES_KEPT = (*CURVES, *GALLERIES, "grad_cam", "mean_grad_cam", "feature_map")


@pytest.fixture
def run(real_run):
    return Run(real_run.folder)


@pytest.fixture
def mobilenet(run):
    return run.result("mobilenet")


def test_run_prints_the_comparison_the_report_and_the_warnings(real_run):
    done = real_run.done
    assert done.out.splitlines()[0] == f"* {RANDOM_NOTE} (MobileNet)"
    assert "Research only, not for diagnosis." in done.out
    assert f"report: {real_run.folder / 'report.html'}" in done.out
    assert "MobileNet" in done.out
    assert "1/4 1_data_split" in done.err  # a bar per notebook


def test_random_weights_and_synthetic_cells_are_said_everywhere(real_run, run, mobilenet):
    executed = nbformat.read(run.notebook("2_mobilenet"), 4)
    printed = "".join(o.get("text", "") for c in executed.cells for o in c.get("outputs", []))
    places = [
        real_run.done.out,
        printed,
        "; ".join(mobilenet.record()["notes"]),
        mobilenet.metrics_path.read_text(),
        run.table_path("comparison").read_text(),
        run.report_path.read_text(),
    ]
    for place in places:
        assert RANDOM_NOTE in place
        assert "synthetic" in place


def test_run_leaves_the_files_of_the_design(run):
    left = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    mobilenet = {name for name in left if name.startswith("mobilenet/")}
    svm = {name for name in left if name.startswith("svm/")}
    notebooks = ("1_data_split", "2_mobilenet", "2_classical", "3_comparison")
    tables = "manifest comparison methods pairs suspects baselines/majority baselines/area"
    assert left - mobilenet - svm == {
        *("settings.yaml", "data.json", "audit.json", "report.html", "files.json"),
        *(f"{name}.csv" for name in tables.split()),
        *(f"notebooks/{name}.ipynb" for name in notebooks),
        *(f"figures/{name}.webp" for name in RUN_FIGURES),
    }
    files = "parameters.json history.csv predictions.csv metrics.json model.keras model_card.md "
    files += "files.json familiar.npy"
    assert mobilenet == {
        *(f"mobilenet/{name}" for name in files.split()),
        *(f"mobilenet/figures/{name}.webp" for name in FIGURES_KEPT),
    }
    assert {"svm/parameters.json", "svm/predictions.csv", "svm/metrics.json"} <= svm


def test_model_card_says_what_the_model_is_and_is_not(mobilenet):
    card, weighted_f1 = mobilenet.card_path.read_text(), mobilenet.metrics()["test"]["weighted_f1"]
    digest = mobilenet.record()["model"]["sha256"]
    for part in (digest, "Not for diagnosis", "synthetic cells", RANDOM_NOTE):
        assert part in card
    assert f"| weighted F1 | {weighted_f1['value']:.3f} |" in card
    assert "patients stand in more than one split" in card


def test_metrics_can_be_computed_again_from_the_predictions(mobilenet):
    test = mobilenet.predictions("test")
    correct = ((test["p_all"] >= 0.5) == (test["label"] == "all")).sum()
    assert mobilenet.metrics()["test"]["accuracy"]["correct"] == correct


def test_executed_notebooks_show_figures(run):
    for name, figures in (("1_data_split", 5), ("2_mobilenet", 13), ("3_comparison", 7)):
        cells = nbformat.read(run.notebook(name), 4).cells
        outputs = [o for cell in cells for o in cell.get("outputs", [])]
        assert sum("image/png" in o.get("data", {}) for o in outputs) == figures


def test_recorded_settings_give_the_run_again(run):
    recorded = yaml.safe_load(run.settings_path.read_text())
    assert recorded["epochs"] == {"mobilenet": 2}
    plan = plan_run(recorded)
    assert plan.record == recorded
    assert plan.is_finished(run.folder)


def test_report_says_what_was_asked_what_cannot_be_concluded_and_the_command(run):
    page = run.report_path.read_text(encoding="utf-8")
    assert "MobileNet" in page
    assert "test cells come from patients who also train" in page
    assert "these were drawn by a program" in page
    assert COMMAND in page
    assert all(caption in html.unescape(page) for caption in FIGURES.values())
    sentences = json.loads(run.audit_path.read_text())["sentences"]
    assert sentences[0] in html.unescape(page)


def test_report_is_shown_whole_by_a_browser_without_a_network(run):
    pytest.importorskip("playwright", reason="playwright is not installed (requirements-docs.txt)")
    from tools import screenshots

    if not any(map(shutil.which, screenshots.BROWSERS)):
        pytest.skip("there is no Chromium on this machine")
    assert screenshots.report(run.folder) == run.report_path.read_text().count("<img ")


def test_predict_writes_probabilities_of_a_folder(mobilenet, tmp_path):
    images = synthetic.draw_sample(tmp_path / "new", 16)
    done = command("predict", mobilenet.model_path, images, "--output", tmp_path / "out.csv")
    assert done.status == 0, done.err
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["file", "p_all", "p_hem", "predicted", "atypical", "note"]
    assert len(table) == 16
    assert (table["p_all"] + table["p_hem"]).round(4).eq(1).all()
    assert "not for diagnosis" in done.out


def test_predict_agrees_with_the_runs_own_predictions(mobilenet, real_run, tmp_path):
    predictions = mobilenet.predictions().head(5)
    cache = Path(real_run.values["cache_folder"])
    files = [cache / "sample-160" / file for file in predictions["file"]]
    command("predict", mobilenet.folder, *files, "--output", tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["p_all"].tolist() == pytest.approx(
        predictions["p_all"].tolist(), abs=1e-4
    )


def test_folder_that_cannot_be_written_is_one_sentence(mobilenet, tmp_path):
    images = synthetic.draw_sample(tmp_path / "new", 16)
    (tmp_path / "taken").write_text("a file, not a folder")
    done = command("predict", mobilenet.folder, images, "--output", tmp_path / "taken" / "out.csv")
    refused(done, "taken", "cannot be written")


def test_export_says_how_far_probabilities_differ(mobilenet, tmp_path):
    images = synthetic.draw_sample(tmp_path / "new", 16)
    files = sorted(images.rglob("*.bmp"))[:2]
    done = command(
        "export",
        mobilenet.folder,
        "--images",
        *files,
        "--format",
        "litert",
        "--output",
        tmp_path / "net.tflite",
    )
    assert done.status == 0, done.err
    assert "probabilities of 2 cells differ by" in done.out
    assert {"net.tflite", "net.tflite.json"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_same_seed_gives_the_same_predictions_on_another_cache(real_run, mobilenet, tmp_path):
    values = {**real_run.values, "cache_folder": str(tmp_path / "cache")}
    again = Run(planning.run_notebooks(values, tmp_path / "again")).result("mobilenet")
    assert again.predictions_path.read_bytes() == mobilenet.predictions_path.read_bytes()
    assert again.metrics_path.read_bytes() == mobilenet.metrics_path.read_bytes()
