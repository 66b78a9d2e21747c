"""Signs that a training has gone wrong."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from allhelpers.networks import registry
from allhelpers.training import diagnostics
from tests.helpers import few, with_p_all

HISTORY = pd.DataFrame({"accuracy": [0.9], "val_accuracy": [0.85]})
NETWORK = SimpleNamespace(architecture=registry.get("resnet50"), cut="pooled")


def features_of(cells, deviation):
    return np.random.default_rng(0).normal(1, deviation, (1, len(cells.table), 64))


@pytest.fixture
def some(small_cells):
    """A few cells of both classes in each split."""
    return few(small_cells)


def found(some, predictions, network=NETWORK, deviation=0.1, history=HISTORY):
    features = features_of(some, deviation)
    return diagnostics.diagnose(network, features, some, history=history, predictions=predictions)


def test_nothing_is_said_when_all_is_well(some, predictions):
    assert found(some, predictions) == []


def test_network_that_calls_all_cells_the_same_is_flagged(some, predictions):
    (sentence,) = found(some, with_p_all(predictions[predictions["split"] == "test"], 0.7))
    assert sentence.startswith("ResNet50: all 10 test cells are predicted as ALL")


def test_features_without_spread_are_flagged_unless_nothing_is_frozen(some, predictions):
    (sentence,) = found(some, predictions, deviation=0.006)
    assert "hardly differ between cells (0.6%" in sentence
    unfrozen = SimpleNamespace(architecture=NETWORK.architecture, cut="pixels")
    assert found(some, predictions, unfrozen, deviation=0.006) == []


def test_training_and_validation_far_apart_is_flagged(some, predictions):
    far = pd.DataFrame({"accuracy": [0.85], "val_accuracy": [0.5]})
    (sentence,) = found(some, predictions, history=far)
    assert "training accuracy is 85% and validation accuracy 50%" in sentence
    refit = pd.DataFrame({"accuracy": [0.85], "val_accuracy": [np.nan]})
    assert found(some, predictions, history=refit) == []


def test_side_without_a_class_is_flagged(some, predictions):
    lost = (some.table["split"] == "val") & (some.table["label"] == "hem")
    only = SimpleNamespace(table=some.table[~lost], classes=some.classes)
    assert any(
        "val cells hold no HEM (normal)" in sentence for sentence in found(only, predictions)
    )


def test_notes_can_be_told_apart_in_a_table(some, predictions):
    """comparison.csv joins notes by semicolons."""
    sentences = found(some, with_p_all(predictions, 0.7), deviation=0.001)
    assert len(sentences) >= 2
    separator = "; "
    assert separator.join(sentences).split(separator) == sentences
