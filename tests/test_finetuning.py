"""Training the tail."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.files import write_csv
from allhelpers._core.machine import Clock
from allhelpers.data import loading, orientations
from allhelpers.data.orientations import OrientedPixels
from allhelpers.networks import building
from allhelpers.networks.pretrained import Weights
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.settings import PAPERS_THREE, TrainingSettings, validate
from allhelpers.training import checkpoints, finetuning, records, trunk
from tests.helpers import few, in_memory_features, network_of, norms

NAMES = tuple(ARCHITECTURES)
FURTHER = [pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name not in PAPERS_THREE]
RANDOM = Weights("random")


@pytest.mark.parametrize("name", NAMES)
def test_cached_training_equals_training_end_to_end(name, cells, make_settings):
    some = few(cells, count=12, valid=4)
    some = replace(
        some, pixels=np.ascontiguousarray(some.pixels[:, ::2, ::2])
    )  # quick, and the same mathematics
    settings = make_settings(epochs=2, batch_size=4, learning_rate=1e-3, input_size=112)
    whole = network_of(name, settings, some)
    frozen = whole.trunk.get_weights()
    expected = finetuning.train(
        whole, OrientedPixels(some.pixels), some, settings, model=whole.full
    )
    for precision, tolerance in (("float32", 1e-4), ("float16", 1e-2)):
        cached = network_of(name, settings, some)
        history = finetuning.train(
            cached, in_memory_features(cached, some, precision), some, settings
        )
        np.testing.assert_allclose(history["loss"], expected["loss"], atol=1e-3)
        np.testing.assert_allclose(
            building.predict(cached.full, some.pixels),
            building.predict(whole.full, some.pixels),
            atol=tolerance,
        )
        for network in (cached, whole):  # frozen weights and batch-norm statistics, to the bit
            for before, after in zip(frozen, network.trunk.get_weights(), strict=True):
                np.testing.assert_array_equal(before, after)
    assert expected["loss"].iloc[0] != expected["loss"].iloc[1]


def test_trained_batch_norm_moves_its_statistics_and_frozen_does_not(cells, make_settings):
    some = few(cells)
    moved = {}
    for choice in ("tail", "frozen"):
        settings = make_settings(batch_norm=choice, epochs=1)
        network = network_of("mobilenet", settings, some)
        layer = next(norms(network.tail))
        before = keras.ops.convert_to_numpy(layer.moving_mean).copy()
        finetuning.train(network, in_memory_features(network, some, "float32"), some, settings)
        moved[choice] = not np.array_equal(before, keras.ops.convert_to_numpy(layer.moving_mean))
    assert moved == {"tail": True, "frozen": False}


def test_eight_cells_can_be_learnt_by_heart(cells, make_settings):
    some = few(cells, count=8)
    settings = make_settings(unfreeze="block_12", epochs=60, batch_size=8, learning_rate=0.01)
    network = network_of("mobilenet", settings, some)
    history = finetuning.train(
        network, in_memory_features(network, some, "float32"), some, settings
    )
    assert history["accuracy"].iloc[-1] == 1.0


@pytest.mark.parametrize("name", [*PAPERS_THREE, *FURTHER])
def test_random_weights_learn_the_sample(name, make_settings):
    settings = make_settings(sample_cells=320, unfreeze="none", epochs=300, learning_rate=0.001)
    cells = loading.prepare(settings)
    network = network_of(name, settings, cells)
    features = trunk.compute_features(network, cells, settings)
    finetuning.train(network, features, cells, settings)
    held_back = np.concatenate([cells.rows("valid"), cells.rows("test")])
    probabilities = building.predict(network.tail, features[0][held_back])
    right = (probabilities.argmax(axis=1) == cells.labels()[held_back].argmax(axis=1)).sum()
    # 140 held-back cells; guessing gets 88 or more right in one of 600 tries
    assert 88 <= right < 140


def test_order_of_an_epoch_depends_on_seed_and_epoch_alone(make_settings):
    rows, settings = np.arange(50), make_settings(orientations=8)
    first, again, next_epoch = (
        finetuning.epoch_order(rows, epoch, settings) for epoch in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], next_epoch[0])
    assert sorted(first[0]) == rows.tolist()
    assert set(first[1]) <= set(range(8))


def test_loss_that_is_not_finite_stops_training(cells, make_settings):
    some = few(cells)
    settings = make_settings(unfreeze="none", learning_rate=1e30, epochs=3)
    network = network_of("mobilenet", settings, some)
    features = in_memory_features(network, some, "float32") * np.float32(1e30)
    with pytest.raises(InputError, match="lower learning_rate"):
        finetuning.train(network, features, some, settings)


@pytest.mark.parametrize("unfreeze", ["default", "all"])
def test_probabilities_are_averaged_over_orientations(unfreeze, cells, make_settings, tmp_path):
    some = few(cells, count=4, valid=3)
    settings = make_settings(
        unfreeze=unfreeze, average=4, features="float32", cache_folder=str(tmp_path)
    )
    network = network_of("mobilenet", settings, some)
    features = trunk.compute_features(network, some, settings)
    table = finetuning.predict_cells(network, features, some)
    held_back = some.pixels[some.rows("valid")]
    each = [
        building.predict(network.full, orientations.orient(held_back, k))[:, 0] for k in range(4)
    ]
    np.testing.assert_allclose(table["p_all"], np.mean(each, axis=0), atol=1e-4)
    assert np.ptp(each, axis=0).max() > 1e-3  # orientations do differ


def test_refit_trains_on_the_validation_cells_and_gives_no_figures_for_them(cells, make_settings):
    some, trained = few(cells, count=8, valid=8), {}
    for refit in (False, True):
        settings = make_settings(unfreeze="none", refit=refit, epochs=40, learning_rate=0.05)
        network = network_of("mobilenet", settings, some)
        history = finetuning.train(
            network, in_memory_features(network, some, "float32"), some, settings
        )
        assert history["val_loss"].isna().all() == refit
        probabilities = building.predict(network.full, some.pixels[some.rows("valid")])
        told = finetuning.predict_cells(network, in_memory_features(network, some, "float32"), some)
        assert len(told) == (0 if refit else 8)
        trained[refit] = (probabilities * some.labels()[some.rows("valid")]).sum(axis=1).mean()
    assert trained[True] > trained[False]


def test_balance_draws_classes_and_patients_equally_often(cells):
    table = cells.table[
        cells.table["label"].eq("all") | cells.table.index.isin(cells.table.index[::3])
    ]
    assert finetuning.balanced_shares(table, "none") is None
    by_class = table.assign(share=finetuning.balanced_shares(table, "class"))
    assert by_class.groupby("label")["share"].sum().tolist() == pytest.approx([0.5, 0.5])
    assert by_class.groupby("label")["share"].nunique().eq(1).all()
    by_patient = table.assign(share=finetuning.balanced_shares(table, "patient"))
    for _, share in by_patient.groupby(["label", "subject"])["share"].sum().groupby("label"):
        assert share.tolist() == pytest.approx([share.iloc[0]] * len(share))


def test_step_size_is_constant_or_falls_to_zero(make_settings):
    assert finetuning.step_size(make_settings(learning_rate=0.1), 100) == 0.1
    schedule = finetuning.step_size(
        make_settings(learning_rate=0.1, schedule="cosine", epochs=5, batch_size=32), 100
    )
    steps = [float(schedule(step)) for step in (0, 10, 20)]  # 4 steps in each of 5 epochs
    assert steps == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)


class StoppedError(Exception):
    """Stands for a kernel that dies."""


def recipe(make_settings, **changes):
    chosen = {
        "unfreeze": "none",
        "epochs": 6,
        "dropout": 0.2,
        "schedule": "cosine",
        "batch_size": 8,
    }
    return make_settings(**{**chosen, **changes})


def train_in(folder, some, settings, stop_after=None, monkeypatch=None):
    """Train in a run's folder, as the notebooks do; optionally die after an epoch."""
    network = network_of("mobilenet", settings, some)
    features = in_memory_features(network, some, "float32")
    if stop_after:
        write = write_csv

        def dies(path, table):
            write(path, table)
            if len(table) == stop_after:
                raise StoppedError

        with monkeypatch.context() as patch:
            patch.setattr(finetuning, "write_csv", dies)
            with pytest.raises(StoppedError):
                finetuning.train(network, features, some, settings, folder)
        return None, None
    return network, finetuning.train(network, features, some, settings, folder)


@pytest.mark.parametrize("patience", [0, 5])
def test_training_that_was_stopped_ends_as_one_that_was_not(
    cells, make_settings, tmp_path, monkeypatch, patience
):
    some, settings = few(cells), recipe(make_settings, patience=patience)
    monkeypatch.setattr(checkpoints, "MOST_SHARE", np.inf)  # keep every epoch
    expected, history = train_in(tmp_path / "whole", some, settings)
    for stop_after in (2, 5):
        train_in(tmp_path / "stopped", some, settings, stop_after, monkeypatch)
    resumed, resumed_history = train_in(tmp_path / "stopped", some, settings)
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    pd.testing.assert_frame_equal(resumed_history[columns], history[columns], check_exact=True)
    for one, two in zip(expected.full.get_weights(), resumed.full.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(pd.read_csv(tmp_path / "stopped" / "history.csv")) == 6


def test_checkpoint_of_other_cells_or_damaged_is_not_used_and_the_user_told(
    cells, make_settings, tmp_path, monkeypatch, capsys
):
    some, settings = few(cells), recipe(make_settings)
    train_in(tmp_path, some, settings, 2, monkeypatch)
    assert len(train_in(tmp_path, few(cells, count=20), settings)[1]) == 6
    assert "other cells or weights: training begins anew" in capsys.readouterr().out
    checkpoints.path_in(tmp_path).write_bytes(b"PK\x03\x04 half a file")
    assert len(train_in(tmp_path, some, settings)[1]) == 6
    assert "cannot be used" in capsys.readouterr().out


def test_patience_stops_and_leaves_the_best_epoch(cells, make_settings, tmp_path):
    some = few(cells)
    settings = recipe(make_settings, learning_rate=0.3, schedule="constant", epochs=200, patience=3)
    network, history = train_in(tmp_path, some, settings)
    best = checkpoints.best_epoch(history)
    assert len(history) == best + 4 < 200
    valid = some.rows("valid")
    probabilities = building.predict(network.full, some.pixels[valid])
    loss = float(keras.losses.CategoricalCrossentropy()(some.labels()[valid], probabilities))
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
    assert checkpoints.best_epoch(history) == best
    assert finetuning.is_over(history, make_settings(patience=2, epochs=10)) == over
    assert finetuning.is_over(history, make_settings(patience=0, epochs=4)) == (len(losses) == 4)


def test_training_that_has_ended_is_not_repeated(cells, make_settings, tmp_path, capsys):
    some, settings = few(cells), recipe(make_settings)
    network, history = train_in(tmp_path, some, settings)
    record = records.describe(network, some, [], "hash", Clock())
    records.finish(network, tmp_path, pd.DataFrame({"file": ["a"]}), {}, record)
    assert not checkpoints.path_in(tmp_path).exists()
    again, same = train_in(tmp_path, some, settings)
    assert "it is not repeated" in capsys.readouterr().out
    assert same["loss"].tolist() == pytest.approx(history["loss"].tolist())
    for one, two in zip(network.full.get_weights(), again.full.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_results_of_other_settings_are_named_and_replaced_only_when_asked(
    cells, make_settings, tmp_path, monkeypatch
):
    some, settings = few(cells), recipe(make_settings, run_folder=str(tmp_path))
    folder = records.claim(tmp_path, "mobilenet", settings)
    train_in(folder, some, settings, 2, monkeypatch)
    assert records.claim(tmp_path, "mobilenet", settings) == folder
    changed = settings.model_copy(
        update={"epochs": 7, "momentum": 0.5, "cache_folder": "elsewhere"}
    )
    with pytest.raises(InputError, match=r"other settings \(epochs, momentum\).*overwrite = True"):
        records.claim(tmp_path, "mobilenet", changed)
    assert checkpoints.path_in(folder).exists()
    records.claim(tmp_path, "mobilenet", changed.model_copy(update={"overwrite": True}))
    assert list(folder.iterdir()) == []


def test_patience_without_validation_cells_is_refused():
    with pytest.raises(InputError, match="patience needs validation cells"):
        validate(TrainingSettings, {"patience": 2, "refit": True})
