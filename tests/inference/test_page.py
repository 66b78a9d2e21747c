"""The page that shows a trained model new pictures, and what it is made of."""

import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.inference import page, saved, similar
from allhelpers.inference.similar import NEIGHBOURS
from allhelpers.running import cli
from allhelpers.runs import Run


@pytest.fixture(scope="module")
def result(real_run):
    """What MobileNet has left in the real run."""
    return Run(real_run.folder).result("mobilenet")


@pytest.fixture(scope="module")
def trained(result):
    return saved.load(result.folder)


@pytest.fixture(scope="module")
def run_cells(result):
    """The run's cells, found again."""
    return similar.cells_of(result.folder)


@pytest.fixture(scope="module")
def known(trained, run_cells):
    return similar.reference_cells(trained, run_cells)


@pytest.fixture(scope="module")
def images(real_run):
    return Path(real_run.values["cache_folder"]) / "sample-160"


@pytest.fixture(scope="module")
def files(images, run_cells):
    return [images / file for file in run_cells.table["file"].iloc[:3]]


def test_new_cells_get_probabilities_evidence_and_neighbours(trained, known, files):
    seen = similar.explain(trained, files, known)
    assert seen.table[["p_all", "p_hem"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert seen.evidence.shape == seen.pixels.shape[:3]
    assert ((seen.evidence >= 0) & (seen.evidence <= 1)).all()
    assert (np.diff(seen.distances, axis=1) >= 0).all()


def test_a_training_cell_is_its_own_nearest_neighbour(trained, known, images):
    seen = similar.explain(trained, [images / known.table["file"].iloc[5]], known)
    assert seen.neighbours[0, 0] == 5
    assert seen.distances[0, 0] == pytest.approx(0, abs=1e-5)


def test_only_training_cells_are_neighbours(known, run_cells):
    assert set(known.table["split"]) == {"train"}
    assert len(known.table) == len(run_cells.rows("train"))


def test_answer_names_each_picture_and_class(trained, known, files):
    table, figure = page.answer(trained, [str(file) for file in files], known)
    assert list(table.columns) == ["picture", "predicted", "p(ALL)", "p(HEM)"]
    assert list(table["picture"]) == [file.name for file in files]
    assert len(figure.axes) == len(files) * (2 + NEIGHBOURS)


def test_what_cannot_be_shown_is_said_in_one_sentence(trained, tmp_path):
    with pytest.raises(InputError, match="There is no picture: choose 1 to 32"):
        page.answer(trained, None)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="not a BMP, PNG or JPEG"):
        page.answer(trained, [str(tmp_path / "text.png")])


def test_heading_warns_and_gives_intervals(result):
    said = page.page_heading(result.folder)
    assert said.startswith("# MobileNet: ALL (leukaemic) or HEM (normal)?")
    assert "Research only, not for diagnosis." in said
    assert "On its 70 test cells: accuracy" in said
    assert re.search(r"AUROC 0\.\d\d \(0\.\d\d to [01]\.\d\d\) \(95 %, patients resampled\)", said)
    assert "synthetic cells" in said


def test_training_cells_of_a_finished_run_are_found_again(real_run, run_cells):
    assert run_cells.table.astype(str).equals(Run(real_run.folder).manifest().astype(str))


def test_other_pictures_than_the_training_had_are_refused(real_run, result, tmp_path):
    other = Run(tmp_path / "run")
    shutil.copytree(result.folder, other.result("mobilenet").folder)
    manifest = Run(real_run.folder).manifest_path.read_text()
    other.manifest_path.write_text(manifest.replace("train", "valid", 1))
    with pytest.raises(InputError, match="holds other cells than"):
        similar.cells_of(other.result("mobilenet").folder)


def test_page_answers_on_this_machine_only(trained, known):
    pytest.importorskip("gradio", reason="the page needs gradio (requirements-page.txt)")
    built = page.build_page(trained, "Research only, not for diagnosis.", known)
    try:
        address = page.launch_page(built, port=7877)
        assert address.startswith("http://127.0.0.1:7877")
        assert "Cells before a trained network" in urllib.request.urlopen(address).read().decode()
        with pytest.raises(InputError, match="Port 7877 on 127.0.0.1 cannot be used"):
            page.launch_page(page.build_page(trained, ""), port=7877)
    finally:
        built.close()


def test_serve_refuses_what_is_no_model(tmp_path, capsys):
    assert cli.main(["serve", str(tmp_path)]) == 1
    assert "give a model.keras of a finished run" in capsys.readouterr().err
