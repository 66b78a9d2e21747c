import dataclasses
import itertools
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from allhelpers import plotting
from allhelpers.evaluation import gathering
from allhelpers.plotting import base, fitting, studies, sweeps
from allhelpers.studies import collapse
from tests.helpers import ROOT, ten_cells, with_p_all, write_run


def texts(figure):
    return " ".join(
        t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))
    )


@pytest.fixture(scope="module")
def figures(cells, tmp_path_factory):
    run_folder = write_run(tmp_path_factory.mktemp("run"), ten_cells())
    history = pd.read_csv(run_folder / "mobilenet" / "history.csv")
    compared = gathering.compare(run_folder, ["mobilenet"])
    test = with_p_all(cells.table[cells.table["split"] == "test"], 0.9)
    mixed = with_p_all(test, np.linspace(0, 1, len(test)))
    methods, pairs = gathering.compare_methods(run_folder, ["mobilenet"])
    return {
        "cells_per_split": plotting.data.cells_per_split(cells.table),
        "cell_gallery": plotting.galleries.cell_gallery(cells),
        "learning_curves": plotting.results.learning_curves(history, "MobileNet"),
        "confusion_matrix": plotting.results.confusion_matrix(test, "MobileNet"),
        "mistakes": plotting.galleries.mistakes(cells, test),
        "no_mistakes": plotting.galleries.mistakes(cells, test[test["label"] == "all"]),
        "ranking_curves": plotting.results.ranking_curves(mixed, "MobileNet"),
        "reliability": plotting.results.reliability(mixed, "MobileNet"),
        "patients": plotting.results.patients(mixed, "MobileNet"),
        "methods": plotting.comparison.methods(methods, compared),
        "differences": plotting.comparison.differences(pairs),
        "accuracy": plotting.comparison.accuracy_with_intervals(compared),
        "cost": plotting.comparison.cost(compared, gathering.stages(run_folder, ["mobilenet"])),
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
    assert "predicted probability of ALL" in texts(figures["reliability"])
    assert "share of cells correct" in texts(figures["patients"])
    assert "weighted F1, 95 % interval by resampling" in texts(figures["methods"])
    assert "MobileNet less cell area alone" in texts(figures["differences"])


def test_labels_of_the_collapse_are_the_studys():
    assert studies.PREPARATIONS == collapse.PREPARATIONS
    assert studies.NORMS == collapse.NORMS


@pytest.fixture
def ways():
    """Four ways of a study of the collapse, two seeds each."""
    names = [(p, n) for p in studies.PREPARATIONS for n in studies.NORMS]
    rows = [(*way, seed, 0.9, 0.5 + place / 10) for place, way in enumerate(names) for seed in "12"]
    columns = ["preparation", "norm", "seed", "train_accuracy", "test_accuracy"]
    return pd.DataFrame(rows, columns=columns), {way: np.random.rand(9, 5) for way in names}


def test_every_seed_of_the_collapse_is_a_dot_in_its_way(ways):
    (_, test, *_) = plotting.studies.collapse(*ways).axes[0].get_lines()
    np.testing.assert_allclose(test.get_xdata(), np.repeat([0.5, 0.6, 0.7, 0.8], 2))
    np.testing.assert_allclose(test.get_ydata(), np.repeat(np.arange(4), 2) + 0.12)


def test_figures_start_without_tensorflow():
    modules = "base, comparison, data, galleries, new, results, studies, sweeps"
    code = (
        f"import sys; from allhelpers.plotting import {modules}; print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr


def test_one_cell_or_one_class_is_drawn_too(cells):
    files = cells.table["file"]
    near = pd.DataFrame([{"file_1": files[0], "file_2": files[1], "grey_values": 2.0}])
    assert len(plotting.galleries.cell_gallery(cells, per_class=1).axes) == 2
    assert len(plotting.galleries.near_pairs(cells, near, most=1).axes) == 2
    one_class = cells.table[cells.table["label"] == "all"]
    assert len(plotting.data.cells_per_patient(one_class).axes) == 1


def test_a_method_without_weights_is_named_alone(run_folder):
    compared = gathering.compare(run_folder, ["mobilenet"])
    both = pd.concat(
        [compared, compared.assign(architecture="svm", weights=None)], ignore_index=True
    )
    (ax,) = plotting.comparison.accuracy_with_intervals(both).axes
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["MobileNet\n(random)", "support vector machine"]


def test_gallery_shows_the_mistakes_only(figures):
    assert "true HEM" in texts(figures["mistakes"])
    assert "true ALL" not in texts(figures["mistakes"])
    assert "no cell is wrong" in texts(figures["no_mistakes"])


@pytest.mark.parametrize("by", ["seed", "split"])
def test_spread_has_a_dot_for_every_run_and_a_row_for_what_stays_the_same(by):
    ends = ("", "_low", "_high")
    metrics = {f"{metric}{end}": 0.5 for metric in ("auroc", "weighted_f1") for end in ends}
    same = {"variant": "all", "architecture": "mobilenet", "notes": "", **metrics}
    points = itertools.product((1, 2, 3), ("a:b", "b:a"))
    runs = [{**same, "seed": seed, "split": split} for seed, split in points]
    figure = sweeps.spread(pd.DataFrame(runs), by, ["split", "seed"])
    ax = figure.axes[0]
    assert len(ax.containers) == 6
    assert len(ax.get_yticklabels()) == {"seed": 2, "split": 3}[by]
    first = {"seed": "MobileNet, a:b", "split": "MobileNet, seed 1"}[by]
    assert ax.get_yticklabels()[0].get_text() == first


def test_one_test_patient_of_a_class_costs_the_arms_and_not_the_figure():
    """There is no interval then, in all rows: pandas hands on None."""
    table = pd.DataFrame({"auroc": [0.8, 0.5], "auroc_low": None, "auroc_high": None})
    assert np.isnan(base.arms(table, "auroc")).all()


@pytest.fixture
def long_names(cells):
    """Classes and patients of twenty letters."""
    labels = {"all": "myeloblast_like_cells", "hem": "lymphocyte_normal_xy"}
    table = cells.table.assign(
        label=cells.table["label"].map(labels),
        patient="patient_ABCDEFGHIJ_" + cells.table["patient"].astype(str),
    )
    return dataclasses.replace(cells, table=table, classes=tuple(sorted(labels.values())))


@pytest.mark.parametrize(
    "draw",
    [
        lambda cells, test: plotting.galleries.cell_gallery(cells),
        plotting.galleries.uncertain,
        lambda cells, test: plotting.results.patients(test),
        lambda cells, test: plotting.results.patient_strips(test),
    ],
    ids=["cell_gallery", "uncertain", "patients", "patient_strips"],
)
def test_titles_keep_to_their_place_with_names_of_twenty_letters(long_names, draw):
    test = long_names.table[long_names.table["split"] == "test"]
    shares = np.linspace(0, 1, len(test))
    columns = {f"p_{c}": abs(place - shares) for place, c in enumerate(long_names.classes)}
    figure = draw(long_names, test.assign(**columns))
    figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in figure.axes if ax.title.get_text()]
    overlap = [a.overlaps(b) for a, b in itertools.combinations(boxes, 2)]
    assert len(boxes) > 1
    assert not any(overlap)
    assert "patient patient" not in texts(figure)


def test_names_are_shortened_in_their_middle():
    assert fitting.shortened("lymphocyte_normal_xy", 11) == "lymph…al_xy"
    assert fitting.shortened("ALL", 11) == "ALL"


def test_cells_are_drawn_large_and_bright_alike_and_this_is_said():
    dark = np.zeros((2, 100, 100, 3), np.uint8)
    dark[0, 40:60, 40:60] = 100
    dark[1, 30:70, 30:70] = 50
    (small, large), note = base.for_display(dark)
    assert small.shape == large.shape == (52, 52, 3)
    assert note == ", brightened 2.4 times for display"
    assert small.max() == 240
    assert large.max() == 120
    whole, _ = base.for_display(dark, crop=False)
    assert whole[0].shape == (100, 100, 3)
    assert base.for_display(np.full((1, 9, 9, 3), 250, np.uint8))[1] == ""
