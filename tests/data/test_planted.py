"""A shortcut is planted in the synthetic sample: the audit names it, and only what is beside it
stays at equal size.
"""

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from allhelpers.data import loading, synthetic, tables
from allhelpers.data.shortcuts import find_shortcuts, sentence_of_shortcuts
from allhelpers.evaluation.metrics import measure
from allhelpers.reporting.sentences import sentence_of_size
from allhelpers.settings import DataSettings
from allhelpers.training import classical


def strongest(cells):
    table = find_shortcuts(cells)
    table = table[(table["fold"] == "") & (table["split"] == "train")]
    return table.sort_values("auroc").iloc[-1]


@pytest.mark.parametrize(
    ("differs", "nuisance", "words"),
    [
        ("size", "area", "cell area"),
        ("brightness", "brightness", "brightness"),
        ("file", "bytes", "file size"),
    ],
)
def test_the_audit_names_what_was_planted(make_settings, differs, nuisance, words):
    cells = loading.prepare(make_settings(split="patient", sample_differs=differs, input_size=64))
    assert strongest(cells)["nuisance"] == nuisance
    assert words in sentence_of_shortcuts(find_shortcuts(cells))


def measured_on(make_settings, differs):
    """What a classifier on shape, colour and texture is worth on patients that it has not met."""
    cells = loading.prepare(make_settings(sample_differs=differs, sample_cells=480))
    features = classical.handcrafted_features(cells, make_settings().cache_folder)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    probabilities = cross_val_predict(
        model,
        features,
        cells.table["label"],
        groups=cells.table["patient"],
        cv=GroupKFold(8),
        method="predict_proba",
    )
    return measure(tables.tabulate(cells, np.arange(480), probabilities), resamples=0)


def test_at_equal_size_a_planted_size_is_worth_nothing_and_the_cell_all(make_settings):
    planted = measured_on(make_settings, "size")
    assert planted["auroc"]["value"] > 0.62
    assert planted["auroc_equal_size"]["value"] == pytest.approx(0.5, abs=0.1)
    assert "most of the figure is the cell's size" in sentence_of_size(planted)
    real = measured_on(make_settings, "cell+size")
    assert real["auroc_equal_size"]["value"] > 0.8


def test_the_usual_sample_is_what_it_was():
    usual = synthetic.draw_cell("all", 1, 1)
    assert (usual == synthetic.draw_cell("all", 1, 1, differs="cell+size")).all()
    alike = [synthetic.draw_cell("hem", 1, 1, differs=kind) for kind in ("cell+size", "")]
    assert (alike[1] > 0).any(axis=-1).sum() > (alike[0] > 0).any(axis=-1).sum()


@pytest.mark.parametrize("differs", ["colour", "size+", "+size", "size brightness"])
def test_unknown_differences_are_refused(differs):
    with pytest.raises(ValidationError):
        DataSettings(sample_differs=differs)
