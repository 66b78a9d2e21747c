"""The page that shows a trained model new pictures, and what it is made of."""

import re
import urllib.error
import urllib.request

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.machine import Clock
from allhelpers.data import loading, sources
from allhelpers.evaluation import metrics
from allhelpers.inference import page, similar
from allhelpers.inference.similar import NEIGHBOURS
from allhelpers.networks import building, registry
from allhelpers.networks.pretrained import Weights
from allhelpers.running import cli
from allhelpers.training import records
from tests.helpers import with_p_all


@pytest.fixture(scope="module")
def trained(make_settings, cells, tmp_path_factory):
    """A network with random weights, as if it had been trained."""
    return building.build(
        registry.get("mobilenet"), make_settings(unfreeze="none"), Weights("random"), cells
    )


@pytest.fixture(scope="module")
def known(trained, cells):
    return similar.reference_cells(trained, cells)


@pytest.fixture(scope="module")
def files(make_settings, cells):
    source = sources.open_images(make_settings())
    return [source.path / file for file in cells.table["file"].iloc[:3]]


def test_new_cells_get_probabilities_evidence_and_neighbours(trained, known, files):
    seen = similar.explain(trained, files, known)
    assert seen.table[["p_all", "p_hem"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert seen.evidence.shape == seen.pixels.shape[:3]
    assert ((seen.evidence >= 0) & (seen.evidence <= 1)).all()
    assert (np.diff(seen.distances, axis=1) >= 0).all()


def test_a_training_cell_is_its_own_nearest_neighbour(trained, known, cells, make_settings):
    source = sources.open_images(make_settings())
    seen = similar.explain(trained, [source.path / known.table["file"].iloc[5]], known)
    assert seen.neighbours[0, 0] == 5
    assert seen.distances[0, 0] == pytest.approx(0, abs=1e-5)


def test_only_training_cells_are_neighbours(known, cells):
    assert set(known.table["split"]) == {"train"}
    assert len(known.table) == len(cells.rows("train"))


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


@pytest.fixture
def finished(trained, cells, make_settings, tmp_path):
    """A finished run of that network on the sample, with the predictions of one that guesses."""
    rows = cells.table[cells.table["split"] != "train"]
    predictions = with_p_all(rows, np.random.default_rng(0).random(len(rows)))
    settings = make_settings(unfreeze="none", run_folder=str(tmp_path))
    loading.record_cells(cells, settings)
    record = records.describe(trained, cells, cells.notes, "x", Clock())
    records.finish(
        trained,
        tmp_path / "mobilenet",
        predictions,
        metrics.evaluate(predictions, cells.notes),
        record,
    )
    return tmp_path / "mobilenet"


def test_heading_warns_and_gives_intervals(finished):
    said = page.page_heading(finished)
    assert said.startswith("# MobileNet: ALL (leukaemic) or HEM (normal)?")
    assert "Research only, not for diagnosis." in said
    assert "On its 70 test cells: accuracy" in said
    assert re.search(r"AUROC 0\.\d\d \(0\.\d\d to [01]\.\d\d\) \(95 %, patients resampled\)", said)
    assert "synthetic cells" in said


def test_training_cells_of_a_finished_run_are_found_again(finished, cells):
    assert similar.cells_of(finished).table.equals(cells.table)


def test_other_pictures_than_the_training_had_are_refused(finished):
    path = finished.parent / "manifest.csv"
    path.write_text(path.read_text().replace("train", "valid", 1))
    with pytest.raises(InputError, match="holds other cells than"):
        similar.cells_of(finished)


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
