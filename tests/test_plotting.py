import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure
from test_evaluation import predictions, write_run  # noqa: F401

from allhelpers import evaluation, plotting, report


@pytest.fixture
def run(tmp_path, predictions):  # noqa: F811
    return write_run(tmp_path, predictions)


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.fixture
def figures(cells, run):
    history = pd.read_csv(run / "mobilenet" / "history.csv")
    comparison = evaluation.compare(run, ["mobilenet"])
    test = cells.table[cells.table["split"] == "test"].assign(p_all=0.9)
    return {
        "cells_per_side": plotting.cells_per_side(cells.table),
        "cell_gallery": plotting.cell_gallery(cells),
        "learning_curves": plotting.learning_curves(history, "MobileNet"),
        "confusion_matrix": plotting.confusion_matrix(test, "MobileNet"),
        "mistakes": plotting.mistakes(cells, test),
        "no_mistakes": plotting.mistakes(cells, test[test["label"] == "all"]),
        "accuracy": plotting.accuracy_with_intervals(comparison, evaluation.paper_results()),
        "cost": plotting.cost(comparison),
    }


def test_every_figure_is_a_figure_that_is_shown_once(figures):
    assert all(isinstance(figure, Figure) for figure in figures.values())
    assert plt.get_fignums() == []  # else a notebook would show it twice


def test_synthetic_cells_are_called_synthetic(figures):
    assert "synthetic" in texts(figures["cell_gallery"])
    assert "Synthetic sample" in texts(figures["accuracy"])
    assert "not for diagnosis" in texts(figures["accuracy"])


def test_axes_say_what_they_show(figures):
    assert "epoch" in texts(figures["learning_curves"])
    assert "true class" in texts(figures["confusion_matrix"])
    assert "95 % Wilson interval" in texts(figures["accuracy"])


def test_gallery_shows_the_mistakes_only(figures):
    assert "true HEM" in texts(figures["mistakes"])
    assert "true ALL" not in texts(figures["mistakes"])
    assert "no cell is wrong" in texts(figures["no_mistakes"])


def test_report_is_one_file_that_escapes_what_it_is_given(run):
    page = report.write(run, ["mobilenet"]).read_text()
    assert "7 of 10 test cells right" in page
    assert "not for diagnosis" in page
    assert "synthetic cells" in page
    assert "a&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'src="data:image/png;base64,' in page
    assert 'src="http' not in page
    assert 'href="http' not in page
