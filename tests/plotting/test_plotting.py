import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from allhelpers import plotting
from allhelpers.evaluation import comparison, gathering
from allhelpers.reporting import report
from tests.helpers import with_p_all


def texts(figure):
    return " ".join(
        t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    )


@pytest.fixture
def figures(cells, run_folder):
    history = pd.read_csv(run_folder / "mobilenet" / "history.csv")
    compared = gathering.compare(run_folder, ["mobilenet"])
    test = with_p_all(cells.table[cells.table["split"] == "test"], 0.9)
    mixed = with_p_all(test, np.linspace(0, 1, len(test)))
    predictions = gathering.predictions_of(run_folder, ["mobilenet"])
    return {
        "cells_per_side": plotting.cells_per_side(cells.table),
        "cell_gallery": plotting.cell_gallery(cells),
        "learning_curves": plotting.learning_curves(history, "MobileNet"),
        "confusion_matrix": plotting.confusion_matrix(test, "MobileNet"),
        "mistakes": plotting.mistakes(cells, test),
        "no_mistakes": plotting.mistakes(cells, test[test["label"] == "all"]),
        "ranking_curves": plotting.ranking_curves(mixed, "MobileNet"),
        "reliability": plotting.reliability(mixed, "MobileNet"),
        "patients": plotting.patients(mixed, "MobileNet"),
        "methods": plotting.methods(comparison.compare_methods(predictions), compared),
        "differences": plotting.differences(comparison.compare_pairs(predictions)),
        "accuracy": plotting.accuracy_with_intervals(compared),
        "cost": plotting.cost(compared, gathering.stages(run_folder, ["mobilenet"])),
    }


def test_every_figure_is_a_figure_that_is_shown_once(figures):
    assert all(isinstance(figure, Figure) for figure in figures.values())
    assert plt.get_fignums() == []  # else a notebook would show it twice


def test_synthetic_cells_are_called_synthetic(figures):
    assert "synthetic" in texts(figures["cell_gallery"])
    assert "Synthetic sample" in texts(figures["accuracy"])
    assert "Synthetic sample" in texts(figures["methods"])
    assert "not for diagnosis" in texts(figures["accuracy"])


def test_axes_say_what_they_show(figures):
    assert "epoch" in texts(figures["learning_curves"])
    assert "true class" in texts(figures["confusion_matrix"])
    assert "95 % Wilson interval" in texts(figures["accuracy"])
    assert "1 - specificity" in texts(figures["ranking_curves"])
    assert "stated probability of ALL" in texts(figures["reliability"])
    assert "share of cells right" in texts(figures["patients"])
    assert "weighted F1, 95 % over resampled patients" in texts(figures["methods"])
    assert "MobileNet less cell area alone" in texts(figures["differences"])


def test_one_cell_or_one_class_is_drawn_too(cells):
    files = cells.table["file"]
    near = pd.DataFrame([{"file_1": files[0], "file_2": files[1], "grey_values": 2.0}])
    assert len(plotting.cell_gallery(cells, per_class=1).axes) == 2
    assert len(plotting.near_pairs(cells, near, most=1).axes) == 2
    assert len(plotting.cells_per_patient(cells.table[cells.table["label"] == "all"]).axes) == 1


def test_a_method_without_weights_is_named_alone(run_folder):
    compared = gathering.compare(run_folder, ["mobilenet"])
    both = pd.concat(
        [compared, compared.assign(architecture="svm", weights=None)], ignore_index=True
    )
    labels = [
        text.get_text() for text in plotting.accuracy_with_intervals(both).axes[0].get_yticklabels()
    ]
    assert labels == ["MobileNet\n(random)", "support vector machine"]


def test_gallery_shows_the_mistakes_only(figures):
    assert "true HEM" in texts(figures["mistakes"])
    assert "true ALL" not in texts(figures["mistakes"])
    assert "no cell is wrong" in texts(figures["no_mistakes"])


def test_report_is_one_file_that_escapes_what_it_is_given(run_folder):
    page = report.write_report(run_folder, ["mobilenet"]).read_text()
    assert "7 of 10 test cells right" in page
    assert "not for diagnosis" in page
    assert "synthetic cells" in page
    assert "a&lt;b&gt;" in page
    assert "<b>" not in page
    assert not {"NA&gt;", "<td>None<", "<td>NaN<"} & set(re.findall(r"NA&gt;|<td>\w+<", page))
    assert 'src="data:image/webp;base64,' in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_report_of_notebooks_that_were_run_by_hand_says_what_they_were_given(run_folder):
    page = report.write_report(run_folder, ["mobilenet"]).read_text()
    said = page.split("<h2>The settings</h2>")[1].split("<h2>")[0]
    assert {"unfreeze = none", "epochs = 2", "seed = 1"} <= set(
        re.findall(r"<code>(.*?)</code>", said)
    )
    assert "batch_norm" not in said


@pytest.mark.parametrize("by", ["seed", "split"])
def test_spread_has_a_dot_for_every_run_and_a_row_for_what_stays_the_same(by):
    names = [
        f"{metric}{end}" for metric in ("auroc", "weighted_f1") for end in ("", "_low", "_high")
    ]
    runs = [{"variant": "all", "architecture": "mobilenet", "seed": seed, "split": split, "notes": "",
             **dict.fromkeys(names, 0.5)} for seed in (1, 2, 3) for split in ("a:b", "b:a")]  # fmt: skip
    figure = plotting.spread(pd.DataFrame(runs), by, ["split", "seed"])
    ax = figure.axes[0]
    assert len(ax.containers) == 6
    assert len(ax.get_yticklabels()) == {"seed": 2, "split": 3}[by]
    assert (
        ax.get_yticklabels()[0].get_text()
        == {"seed": "MobileNet, a:b", "split": "MobileNet, seed 1"}[by]
    )
