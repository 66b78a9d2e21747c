"""The study of a published ResNet50's collapse."""

import numpy as np
import pytest

from allhelpers.networks.pretrained import Weights
from allhelpers.settings import CollapseSettings
from allhelpers.studies import collapse
from allhelpers.studies.collapse import NORMS, PREPARATIONS


@pytest.fixture(scope="module")
def pool(cells):
    return collapse.pool(cells, 160, seed=0)


@pytest.fixture(scope="module")
def few(small_cells):
    return collapse.pool(small_cells, 64, seed=0)


@pytest.fixture(scope="module")
def network(few):
    return collapse.frozen(few, Weights("random"), seed=0)


def test_pool_is_balanced_and_mixed(pool, cells):
    assert pool.table["label"].value_counts().to_dict() == {"all": 80, "hem": 80}
    assert pool.table["label"].iloc[:32].nunique() == 2
    row = cells.table.index[cells.table["file"] == pool.table["file"].iloc[5]][0]
    np.testing.assert_array_equal(pool.pixels[5], cells.pixels[row])


def test_live_statistics_depend_on_the_batch_and_stored_ones_do_not(network, few):
    """A cell among its own 31 neighbours and among others."""
    batches = few.pixels[:32], np.concatenate([few.pixels[:16], few.pixels[32:48]])
    for norm, alike in (("stored", True), ("live", False)):
        one, other = (np.asarray(network(batch, "rescaled", norm))[5] for batch in batches)
        assert np.allclose(one, other, rtol=1e-3, atol=1e-6) == alike


def test_division_by_255_flattens_the_features(few, network, monkeypatch):
    monkeypatch.setattr(collapse, "frozen", lambda *_: network)
    features = collapse.features(few, Weights("random"), seed=0)
    assert set(features) == {(p, n) for p in PREPARATIONS for n in NORMS}
    rescaled, own = (collapse.feature_std(features[name, "stored"]) for name in ("rescaled", "own"))
    assert rescaled < own


def test_study_finds_a_collapse_that_is_there(pool):
    """Features hold the label: at their own scale the head learns, at a thousandth it guesses."""
    random = np.random.default_rng(0)
    truth = (pool.table["label"] == "all").to_numpy()
    good = np.where(truth[:, np.newaxis], 1, -1) + random.normal(0, 1, (160, 50))
    found = {("own", norm): good.astype("float32") for norm in NORMS}
    found |= {("rescaled", norm): (good / 1000).astype("float32") for norm in NORMS}
    settings = CollapseSettings(seeds="1,2", epochs=60, learning_rate=1e-3)
    table = collapse.study(pool, found, settings)
    assert len(table) == 8
    summary = collapse.summarise(table).set_index(["pixels", "batch norm"])["test_accuracy"]
    assert summary[("own preprocessing", "stored statistics")] > 0.95
    assert summary[("pixels / 255", "stored statistics")] < 0.9
    lines = collapse.verdict(collapse.summarise(table))
    assert "training 84% and test 51.4%: nearest to it is pixels / 255" in lines[4]
    assert "1000.0 times less" in lines[5]
    assert "what is missing is not information but scale" in lines[6]
