"""Training the tail."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.machine import Clock
from allhelpers.data import loading, orientations
from allhelpers.data.orientations import OrientedPixels
from allhelpers.networks import building
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.runs import Result
from allhelpers.settings import TrainingSettings, validate
from allhelpers.training import checkpoints, finetuning, records, trunk
from allhelpers.training.checkpoints import EarlyStopping
from tests.helpers import few, in_memory_features, network_of, norms

# Residual connections and a chain; the others are slow, a cut through two layers among them.
QUICK = ("toy", "mobilenet")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES if name not in QUICK]
FIGURES = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


@pytest.fixture(scope="module")
def make_small(make_settings):
    """Settings for the toy."""
    return lambda **changes: make_settings(**{"input_size": 64, **changes})


@pytest.fixture(scope="module")
def some(small_cells):
    """24 cells for training and 8 for validation."""
    return few(small_cells)


def trained(settings, cells, **options):
    """A toy that was trained on features in memory, and its history."""
    network = network_of("toy", settings, cells)
    features = in_memory_features(network, cells)
    return network, finetuning.train(network, features, cells, quiet=True, **options)


def end_to_end(network):
    """The same network, whose tail is the whole of it."""
    return replace(network, tail=network.full)


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_cached_training_equals_training_end_to_end(name, cells, make_settings):
    sixteen = few(cells, count=12, val=4)
    pixels = np.ascontiguousarray(sixteen.pixels[:, ::3, ::3])  # quick, the same mathematics
    sixteen = replace(sixteen, pixels=pixels)
    settings = make_settings(epochs=2, batch_size=4, learning_rate=1e-3, input_size=75)
    network = network_of(name, settings, sixteen)
    frozen, variables = network.trunk.get_weights(), network.full.variables
    begin = [keras.ops.convert_to_numpy(each) for each in variables]  # what dropout draws, too
    expected = finetuning.train(end_to_end(network), OrientedPixels(pixels), sixteen)
    expected_probabilities = building.predict(network.full, pixels)
    features = in_memory_features(network, sixteen)
    # Half precision moves InceptionV3's loss by .0015 after two epochs.
    for precision, tolerance, of_loss in (("float32", 1e-4, 1e-3), ("float16", 1e-2, 1e-2)):
        for before, after in zip(frozen, network.trunk.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)  # batch-norm statistics too, to the bit
        for variable, value in zip(variables, begin, strict=True):
            variable.assign(value)
        history = finetuning.train(network, features.astype(precision), sixteen)
        np.testing.assert_allclose(history["loss"], expected["loss"], atol=of_loss)
        probabilities = building.predict(network.full, pixels)
        np.testing.assert_allclose(probabilities, expected_probabilities, atol=tolerance)
    for before, after in zip(frozen, network.trunk.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert expected["loss"].iloc[0] != expected["loss"].iloc[1]


def repeated(cells, row):
    """The same cells, one of them three times."""
    rows = [*range(len(cells.table)), row, row]
    table = cells.table.iloc[rows].reset_index(drop=True)
    return replace(cells, table=table, pixels=cells.pixels[rows])


@pytest.mark.parametrize("unfreeze", ["none", "default", "all"])
def test_weighting_a_cell_equals_repeating_it(unfreeze, some, make_small):
    """On cached features and end to end, where the whole of the cells is one batch."""
    changes = {"unfreeze": unfreeze, "batch_norm": "frozen", "batch_size": 64, "momentum": 0.0}
    settings, row = make_small(epochs=5, learning_rate=0.02, **changes), 3
    weights = np.where(np.arange(len(some.table)) == row, 3.0, 1.0)
    outcome = {}
    for name, cells, each in [
        ("weighted", some, weights),
        ("tenfold", some, 10 * weights),
        ("repeated", repeated(some, row), None),
        ("plain", some, None),
        ("all alike", some, np.ones(len(some.table))),
    ]:
        network = network_of("toy", settings, some)
        features = OrientedPixels(cells.pixels)
        if network.cut != "pixels":
            features = in_memory_features(network, cells)
        history = finetuning.train(network, features, cells, weights=each, quiet=True)
        outcome[name] = history["loss"], building.predict(network.full, some.pixels)
    for one, other in [("weighted", "repeated"), ("weighted", "tenfold"), ("plain", "all alike")]:
        np.testing.assert_allclose(outcome[one][0], outcome[other][0], atol=1e-5)
        np.testing.assert_allclose(outcome[one][1], outcome[other][1], atol=1e-5)
    assert np.abs(outcome["weighted"][1] - outcome["plain"][1]).max() > 1e-3


def test_trained_batch_norm_moves_its_statistics_and_frozen_does_not(some, make_small):
    moved = {}
    for choice in ("tail", "frozen"):
        settings = make_small(batch_norm=choice, epochs=1)
        network = network_of("toy", settings, some)
        layer = next(norms(network.tail))
        before = keras.ops.convert_to_numpy(layer.moving_mean).copy()
        finetuning.train(network, in_memory_features(network, some), some)
        moved[choice] = not np.array_equal(before, keras.ops.convert_to_numpy(layer.moving_mean))
    assert moved == {"tail": True, "frozen": False}


def test_eight_cells_can_be_learnt_by_heart(small_cells, make_small):
    settings = make_small(unfreeze="block2", epochs=60, batch_size=8, learning_rate=0.01)
    _, history = trained(settings, few(small_cells, count=8))
    assert history["accuracy"].iloc[-1] == 1.0


@pytest.mark.parametrize("name", ["mobilenet", *SLOW])
def test_random_weights_learn_the_sample(name, make_settings):
    recipe = {"unfreeze": "none", "epochs": 300, "learning_rate": 0.001}
    settings = make_settings(sample_cells=320, input_size=224, **recipe)
    cells = loading.prepare(settings)
    network = network_of(name, settings, cells)
    features = trunk.compute_features(network, cells)
    finetuning.train(network, features, cells)
    held_back = np.concatenate([cells.rows("val"), cells.rows("test")])
    probabilities = building.predict(network.tail, features[0][held_back])
    correct = probabilities.argmax(axis=1) == cells.labels()[held_back].argmax(axis=1)
    # 140 held-back cells; guessing gets 88 or more right in one of 600 tries
    assert 88 <= correct.sum() < 140


def test_order_of_an_epoch_depends_on_seed_and_epoch_alone(make_settings):
    rows, settings = np.arange(50), make_settings(orientations=8)
    first, again, next_epoch = (
        finetuning.epoch_order(rows, epoch, settings) for epoch in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], next_epoch[0])
    assert sorted(first[0]) == rows.tolist()
    assert set(first[1]) <= set(range(8))


def test_loss_that_is_not_finite_stops_training(some, make_small):
    settings = make_small(unfreeze="none", learning_rate=1e30, epochs=3)
    network = network_of("toy", settings, some)
    features = in_memory_features(network, some) * np.float32(1e30)
    with pytest.raises(InputError, match="lower learning_rate"):
        finetuning.train(network, features, some)


@pytest.mark.parametrize("unfreeze", ["default", "all"])
def test_probabilities_are_averaged_over_orientations(unfreeze, small_cells, make_small, tmp_path):
    seven, keeping = few(small_cells, count=4, val=3), {"cache_folder": str(tmp_path)}
    settings = make_small(unfreeze=unfreeze, tta=4, feature_dtype="float32", **keeping)
    network = network_of("toy", settings, seven)
    features = trunk.compute_features(network, seven)
    table = finetuning.predict_cells(network, features, seven)
    held_back = seven.pixels[seven.rows("val")]
    each = [
        building.predict(network.full, orientations.orient(held_back, k))[:, 0] for k in range(4)
    ]
    np.testing.assert_allclose(table["p_all"], np.mean(each, axis=0), atol=1e-4)
    assert np.ptp(each, axis=0).max() > 1e-3  # orientations do differ


def test_refit_trains_on_the_validation_cells_and_gives_no_figures_for_them(
    small_cells, make_small
):
    some, p_true = few(small_cells, count=8, val=8), {}
    for refit in (False, True):
        settings = make_small(unfreeze="none", refit=refit, epochs=40, learning_rate=0.05)
        network, history = trained(settings, some)
        assert history["val_loss"].isna().all() == refit
        table = finetuning.predict_cells(network, in_memory_features(network, some), some)
        assert len(table) == (0 if refit else 8)
        val = some.rows("val")
        probabilities = building.predict(network.full, some.pixels[val])
        p_true[refit] = (probabilities * some.labels()[val]).sum(axis=1).mean()
    assert p_true[True] > p_true[False]


def test_balance_draws_classes_and_patients_equally_often(cells, make_settings):
    table = cells.table[
        cells.table["label"].eq("all") | cells.table.index.isin(cells.table.index[::3])
    ]

    def shares(balance, by="draw"):
        return finetuning.drawn_shares(table, make_settings(balance=balance, balance_by=by))

    assert shares("none") is shares("size") is shares("patient", by="loss") is None
    by_class = table.assign(share=shares("class"))
    assert by_class.groupby("label")["share"].sum().tolist() == pytest.approx([0.5, 0.5])
    assert by_class.groupby("label")["share"].nunique().eq(1).all()
    by_patient = table.assign(share=shares("patient"))
    for _, share in by_patient.groupby(["label", "patient"])["share"].sum().groupby("label"):
        assert share.tolist() == pytest.approx([share.iloc[0]] * len(share))


def test_learning_rate_is_constant_or_falls_to_zero(make_settings):
    assert finetuning.learning_rate(make_settings(learning_rate=0.1), 100) == 0.1
    cosine = {"schedule": "cosine", "epochs": 5, "batch_size": 32}
    schedule = finetuning.learning_rate(make_settings(learning_rate=0.1, **cosine), 100)
    rates = [float(schedule(step)) for step in (0, 10, 20)]  # 4 steps in each of 5 epochs
    assert rates == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)


class StoppedError(Exception):
    """Stands for a kernel that dies."""


@pytest.fixture(scope="module")
def recipe(make_small):
    chosen = {"unfreeze": "none", "epochs": 6, "dropout": 0.2, "schedule": "cosine"}
    return lambda **changes: make_small(**{**chosen, "batch_size": 8, **changes})


def train_in(folder, cells, settings, stop_after=None, monkeypatch=None):
    """Train in a run's folder, as the notebooks do; optionally die after an epoch."""
    if not stop_after:
        return trained(settings, cells, result=Result(folder))
    write = Result.write_history

    def dies(result, history):
        write(result, history)
        if len(history) == stop_after:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Result, "write_history", dies)
        with pytest.raises(StoppedError):
            trained(settings, cells, result=Result(folder))
    return None, None


@pytest.mark.parametrize("changes", [{}, {"patience": 5}, {"unfreeze": "default"}])
def test_training_that_was_stopped_ends_as_one_that_was_not(
    some, recipe, tmp_path, monkeypatch, changes
):
    settings = recipe(**changes)
    monkeypatch.setattr(checkpoints, "MOST_SHARE", np.inf)  # keep every epoch
    expected, history = train_in(tmp_path / "whole", some, settings)
    for stop_after in (2, 5):
        train_in(tmp_path / "stopped", some, settings, stop_after, monkeypatch)
    resumed, resumed_history = train_in(tmp_path / "stopped", some, settings)
    pd.testing.assert_frame_equal(resumed_history[FIGURES], history[FIGURES], check_exact=True)
    for one, two in zip(expected.full.get_weights(), resumed.full.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(Result(tmp_path / "stopped").history()) == 6


def test_checkpoint_of_other_cells_or_damaged_is_not_used_and_the_user_told(
    some, small_cells, recipe, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    train_in(tmp_path, some, recipe(), 2, monkeypatch)
    assert len(train_in(tmp_path, few(small_cells, count=20), recipe())[1]) == 6
    assert "other cells or weights: training begins anew" in caplog.text
    Result(tmp_path).checkpoint_path.write_bytes(b"PK\x03\x04 half a file")
    assert len(train_in(tmp_path, some, recipe())[1]) == 6
    assert "cannot be used" in caplog.text


def test_checkpoint_of_other_weights_of_cells_is_not_used(some, recipe, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    train_in(tmp_path, some, recipe())
    weights = np.linspace(1, 2, len(some.table))
    _, history = trained(recipe(), some, result=Result(tmp_path), weights=weights)
    assert "other cells or weights: training begins anew" in caplog.text
    assert len(history) == 6


def test_patience_stops_and_leaves_the_best_epoch(some, recipe, tmp_path):
    settings = recipe(learning_rate=0.3, schedule="constant", epochs=200, patience=3)
    network, history = train_in(tmp_path, some, settings)
    best = checkpoints.best_epoch(history)
    assert len(history) == best + 4 < 200
    val = some.rows("val")
    probabilities = building.predict(network.full, some.pixels[val])
    loss = float(keras.losses.CategoricalCrossentropy()(some.labels()[val], probabilities))
    assert loss == pytest.approx(history["val_loss"].iloc[best - 1], abs=1e-4)


@pytest.mark.parametrize(
    ("losses", "best", "over"),
    [
        ([], 0, False),
        ([3, 2, 1], 3, False),
        ([1, 2, 3], 1, False),
        ([1, 2, 3, 4], 1, True),
        ([2, 1, 1, 1], 2, False),
    ],
)
def test_patience_of_two_epochs(losses, best, over, make_settings):
    history = [{"epoch": k + 1, "val_loss": loss} for k, loss in enumerate(losses)]
    waiting = EarlyStopping(make_settings(patience=2, epochs=10), [])
    patient = EarlyStopping(make_settings(patience=0, epochs=4), [])
    assert checkpoints.best_epoch(history) == best
    assert waiting.is_over(history) == over
    assert patient.is_over(history) == (len(losses) == 4)


@pytest.mark.parametrize("weighted", [False, True])
def test_training_that_has_ended_is_not_repeated(some, recipe, tmp_path, caplog, weighted):
    caplog.set_level(logging.INFO)
    weights = np.linspace(1, 2, len(some.table)) if weighted else None
    result = Result(tmp_path)
    network, history = trained(recipe(), some, result=result, weights=weights)
    record = records.describe(
        network, some, [], manifest_sha256="hash", clock=Clock(), weights=weights
    )
    table = pd.DataFrame({"file": ["a"]})
    records.finish(network, result, predictions=table, metrics={}, record=record)
    assert not result.checkpoint_path.exists()
    records.claim(tmp_path.parent, tmp_path.name, recipe())  # not refused: nothing is changed
    again, same = trained(recipe(), some, result=result, weights=weights)
    assert "it is not repeated" in caplog.text
    assert same["loss"].tolist() == pytest.approx(history["loss"].tolist())
    for one, two in zip(network.full.get_weights(), again.full.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_results_of_other_settings_are_named_and_replaced_only_when_asked(
    some, recipe, tmp_path, monkeypatch
):
    settings = recipe(run_folder=str(tmp_path))
    result = records.claim(tmp_path, "toy", settings)
    train_in(result.folder, some, settings, 2, monkeypatch)
    assert records.claim(tmp_path, "toy", settings).folder == result.folder
    updates = {"epochs": 7, "momentum": 0.5, "cache_folder": "elsewhere"}
    changed = settings.model_copy(update=updates)
    with pytest.raises(InputError, match=r"other settings \(epochs, momentum\).*overwrite = True"):
        records.claim(tmp_path, "toy", changed)
    assert result.checkpoint_path.exists()
    records.claim(tmp_path, "toy", changed.model_copy(update={"overwrite": True}))
    assert list(result.folder.iterdir()) == []


def test_patience_without_validation_cells_is_refused():
    with pytest.raises(InputError, match="patience needs validation cells"):
        validate(TrainingSettings, {"patience": 2, "refit": True})
