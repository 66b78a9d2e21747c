from types import SimpleNamespace

import keras
import numpy as np
import pytest

from allhelpers import architectures, finetuning, loading, pretrained, runs
from allhelpers.errors import InputError

NAMES = tuple(architectures.ARCHITECTURES)
RANDOM = pretrained.Weights("random")


def few(cells, count=24, valid=8):
    """A few cells of both classes, so that training end to end stays quick."""
    table = cells.table.sort_values("file", key=lambda s: s.map(hash_free_order)).iloc[: count + valid]
    split = ["train"] * count + ["valid"] * valid
    pixels = np.asarray(cells.pixels[table.index])
    return loading.Cells(table.assign(split=split).reset_index(drop=True), pixels, cells.notes, f"few-{count}")


def hash_free_order(file):
    """Image number first: patients and classes alternate."""
    return file.rsplit("/", 1)[1].split("_")[2].zfill(4) + file


def network_of(name, settings, cells):
    return finetuning.build(architectures.get(name), settings, RANDOM, cells)


@pytest.mark.parametrize("name", NAMES)
def test_cached_training_equals_training_end_to_end(name, cells, make_settings):
    some = few(cells, count=12, valid=4)
    settings = make_settings(epochs=2, batch_size=4, learning_rate=1e-3)
    whole = network_of(name, settings, some)
    frozen = whole.trunk.get_weights()
    expected = finetuning.train(whole, finetuning.OrientedPixels(some.pixels), some, settings, model=whole.full)
    for precision, tolerance in (("float32", 1e-4), ("float16", 1e-2)):
        cached = network_of(name, settings, some)
        history = finetuning.train(cached, in_memory_features(cached, some, precision), some, settings)
        np.testing.assert_allclose(history["loss"], expected["loss"], atol=1e-3)
        np.testing.assert_allclose(
            finetuning.predict(cached.full, some.pixels), finetuning.predict(whole.full, some.pixels), atol=tolerance
        )
        for network in (cached, whole):  # frozen weights and batch-norm statistics, to the bit
            for before, after in zip(frozen, network.trunk.get_weights(), strict=True):
                np.testing.assert_array_equal(before, after)
    assert expected["loss"].iloc[0] != expected["loss"].iloc[1]


def in_memory_features(network, cells, precision):
    return finetuning.predict(network.trunk, cells.pixels).astype(precision)[np.newaxis]


@pytest.mark.parametrize("unfreeze", ["none", "default", "block_12"])
def test_full_model_is_tail_after_trunk(unfreeze, cells, make_settings):
    some = few(cells)
    network = network_of("mobilenet", make_settings(unfreeze=unfreeze), some)
    features = finetuning.predict(network.trunk, some.pixels)
    np.testing.assert_allclose(
        finetuning.predict(network.full, some.pixels), finetuning.predict(network.tail, features), atol=1e-6
    )


def norms(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from norms(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield layer


@pytest.mark.parametrize(("choice", "trained"), [("tail", 3), ("frozen", 0), ("all", 53)])
def test_batch_norm_setting_of_resnet50(choice, trained, cells, make_settings):
    network = network_of("resnet50", make_settings(batch_norm=choice), few(cells))
    layers = {layer.name: layer for model in (network.trunk, network.tail) for layer in norms(model)}
    assert len(layers) == 53
    assert sum(layer.trainable for layer in layers.values()) == trained
    convolutions = [w.path for w in network.tail.trainable_weights if w.path.endswith("kernel") and "conv5" in w.path]
    assert {path.split("/")[-2] for path in convolutions} == {f"conv5_block3_{k}_conv" for k in (1, 2, 3)}


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


def test_number_of_trained_parameters(cells, make_settings):
    head = network_of("mobilenet", make_settings(unfreeze="none"), few(cells)).parameters()
    assert head == {"total": 3_228_864 + 2_050, "trained": 2_050}
    vgg = finetuning.build(architectures.get("vgg16"), make_settings(), None).parameters()
    assert vgg == {"total": 14_714_688 + 1_026, "trained": 3 * (9 * 512 * 512 + 512) + 1_026}


def test_eight_cells_can_be_learnt_by_heart(cells, make_settings):
    some = few(cells, count=8)
    settings = make_settings(unfreeze="block_12", epochs=60, batch_size=8, learning_rate=0.01)
    network = network_of("mobilenet", settings, some)
    history = finetuning.train(network, in_memory_features(network, some, "float32"), some, settings)
    assert history["accuracy"].iloc[-1] == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_random_weights_learn_the_sample(name, make_settings):
    settings = make_settings(sample_cells=320, unfreeze="none", epochs=300, learning_rate=0.001)
    cells = loading.prepare(settings)
    network = network_of(name, settings, cells)
    features = finetuning.compute_features(network, cells, settings)
    finetuning.train(network, features, cells, settings)
    held_back = np.concatenate([cells.rows("valid"), cells.rows("test")])
    probabilities = finetuning.predict(network.tail, features[0][held_back])
    right = (probabilities.argmax(axis=1) == cells.labels()[held_back].argmax(axis=1)).sum()
    # 140 held-back cells; guessing gets 88 or more right in one of 600 tries
    assert 88 <= right < 140


def test_orientations_are_the_eight_symmetries_of_a_square():
    picture = np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    seen = {finetuning.orient(picture, k).tobytes() for k in range(finetuning.ORIENTATIONS)}
    assert len(seen) == 8
    np.testing.assert_array_equal(finetuning.orient(picture, 0), picture)


def test_each_orientation_has_its_own_features(cells, make_settings, tmp_path):
    some = few(cells, count=4, valid=2)
    settings = make_settings(orientations=8, features="float32", cache_folder=str(tmp_path))
    network = network_of("mobilenet", settings, some)
    features = finetuning.compute_features(network, some, settings)
    assert features.shape == (8, 6, 7, 7, 1024)
    turned = finetuning.predict(network.trunk, finetuning.orient(some.pixels, 5))
    np.testing.assert_allclose(features[5], turned, atol=1e-5)


def test_order_of_an_epoch_depends_on_seed_and_epoch_alone(make_settings):
    rows, settings = np.arange(50), make_settings(orientations=8)
    first, again, next_epoch = (finetuning.epoch_order(rows, epoch, settings) for epoch in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], next_epoch[0])
    assert sorted(first[0]) == rows.tolist()
    assert set(first[1]) <= set(range(8))


def test_features_are_computed_once(cells, make_settings, tmp_path, monkeypatch):
    some, settings = few(cells, count=4, valid=2), make_settings(unfreeze="none", cache_folder=str(tmp_path))
    network = network_of("mobilenet", settings, some)
    before = np.array(finetuning.compute_features(network, some, settings))

    def never(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(finetuning, "_run_trunk", never)
    np.testing.assert_array_equal(finetuning.compute_features(network, some, settings), before)
    with pytest.raises(AssertionError):  # other weights are other features
        finetuning.compute_features(network_of("mobilenet", make_settings(seed=7), some), some, settings)


def test_features_too_large_for_half_precision_are_refused():
    with pytest.raises(InputError, match="features = float32"):
        finetuning._check_range(np.array([1e5], np.float32), "float16")
    with pytest.raises(InputError, match="not finite"):
        finetuning._check_range(np.array([np.nan], np.float32), "float32")


def test_loss_that_is_not_finite_stops_training(cells, make_settings):
    some = few(cells)
    settings = make_settings(unfreeze="none", learning_rate=1e30, epochs=3)
    network = network_of("mobilenet", settings, some)
    features = in_memory_features(network, some, "float32") * np.float32(1e30)
    with pytest.raises(InputError, match="lower learning_rate"):
        finetuning.train(network, features, some, settings)


@pytest.fixture(scope="module")
def trained(cells, make_settings, tmp_path_factory):
    """A saved model and the folder of its run."""
    settings, folder = make_settings(unfreeze="none"), tmp_path_factory.mktemp("mobilenet")
    network = network_of("mobilenet", settings, cells)
    model = finetuning.save(network, folder)
    record = finetuning.describe(network, RANDOM, settings, [], "hash", runs.Clock())
    runs.write_json(folder / "parameters.json", {**record, "model": model})
    return SimpleNamespace(network=network, folder=folder)


def test_saved_model_takes_plain_pixels_without_this_project(trained, cells):
    plain = keras.models.load_model(trained.folder / "model.keras")
    assert plain.input.dtype == "uint8"
    np.testing.assert_allclose(
        plain.predict(cells.pixels[:4], verbose=0),
        finetuning.predict(trained.network.full, cells.pixels[:4]),
        atol=1e-6,
    )


def test_loaded_model_predicts_the_same(trained, cells):
    loaded = finetuning.load(trained.folder)
    np.testing.assert_array_equal(
        finetuning.predict(loaded.full, cells.pixels[:8]), finetuning.predict(trained.network.full, cells.pixels[:8])
    )


def test_changed_or_foreign_model_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match="parameters.json beside it"):
        finetuning.load(tmp_path / "model.keras")
    (tmp_path / "parameters.json").write_bytes((trained.folder / "parameters.json").read_bytes())
    (tmp_path / "model.keras").write_bytes((trained.folder / "model.keras").read_bytes() + b"x")
    with pytest.raises(InputError, match="SHA-256 differs"):
        finetuning.load(tmp_path)


def test_pixels_are_turned_when_they_are_read(cells):
    pixels = np.asarray(cells.pixels[:4])
    eight = np.stack([finetuning.orient(pixels, k) for k in range(8)])
    lazy = finetuning.OrientedPixels(pixels)
    assert lazy.shape == eight.shape
    np.testing.assert_array_equal(lazy[3], eight[3])
    np.testing.assert_array_equal(lazy[5, [2, 0]], eight[5, [2, 0]])
    np.testing.assert_array_equal(lazy[np.array([7, 0]), np.array([1, 3])], eight[[7, 0], [1, 3]])


@pytest.mark.parametrize("unfreeze", ["default", "all"])
def test_probabilities_are_averaged_over_orientations(unfreeze, cells, make_settings, tmp_path):
    some = few(cells, count=4, valid=3)
    settings = make_settings(unfreeze=unfreeze, average=4, features="float32", cache_folder=str(tmp_path))
    network = network_of("mobilenet", settings, some)
    features = finetuning.compute_features(network, some, settings)
    table = finetuning.predict_cells(network, features, some)
    held_back = some.pixels[some.rows("valid")]
    each = [finetuning.predict(network.full, finetuning.orient(held_back, k))[:, 0] for k in range(4)]
    np.testing.assert_allclose(table["p_all"], np.mean(each, axis=0), atol=1e-4)
    assert np.ptp(each, axis=0).max() > 1e-3  # orientations do differ


def test_refit_trains_on_the_validation_cells_and_gives_no_figures_for_them(cells, make_settings):
    some, trained = few(cells, count=8, valid=8), {}
    for refit in (False, True):
        settings = make_settings(unfreeze="none", refit=refit, epochs=40, learning_rate=0.05)
        network = network_of("mobilenet", settings, some)
        history = finetuning.train(network, in_memory_features(network, some, "float32"), some, settings)
        assert history["val_loss"].isna().all() == refit
        probabilities = finetuning.predict(network.full, some.pixels[some.rows("valid")])
        told = finetuning.predict_cells(network, in_memory_features(network, some, "float32"), some)
        assert len(told) == (0 if refit else 8)
        trained[refit] = (probabilities * some.labels()[some.rows("valid")]).sum(axis=1).mean()
    assert trained[True] > trained[False]


def test_balance_draws_classes_and_patients_equally_often(cells):
    table = cells.table[cells.table["label"].eq("all") | cells.table.index.isin(cells.table.index[::3])]
    assert finetuning.balanced_shares(table, "none") is None
    by_class = table.assign(share=finetuning.balanced_shares(table, "class"))
    assert by_class.groupby("label")["share"].sum().tolist() == pytest.approx([0.5, 0.5])
    assert by_class.groupby("label")["share"].nunique().eq(1).all()
    by_patient = table.assign(share=finetuning.balanced_shares(table, "patient"))
    for _, share in by_patient.groupby(["label", "subject"])["share"].sum().groupby("label"):
        assert share.tolist() == pytest.approx([share.iloc[0]] * len(share))


def test_step_size_is_constant_or_falls_to_zero(make_settings):
    assert finetuning.step_size(make_settings(learning_rate=0.1), 100) == 0.1
    schedule = finetuning.step_size(make_settings(learning_rate=0.1, schedule="cosine", epochs=5, batch_size=32), 100)
    steps = [float(schedule(step)) for step in (0, 10, 20)]  # 4 steps in each of 5 epochs
    assert steps == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)


def test_dropout_and_inertia_of_batch_norm_are_set(cells, make_settings):
    network = network_of("mobilenet", make_settings(dropout=0.3, norm_momentum=0.9), few(cells))
    assert network.tail.get_layer("dropout").rate == 0.3
    assert {layer.momentum for layer in norms(network.tail)} == {0.9}
    assert network.parameters() == network_of("mobilenet", make_settings(), few(cells)).parameters()


def test_model_of_a_recipe_classifies_files_as_the_run_did(make_settings, tmp_path):
    changes = {"unfreeze": "none", "average": 4, "crop": 300, "input_size": 96, "epochs": 1}
    settings = make_settings(**changes)
    cells = loading.prepare(settings)
    network = network_of("mobilenet", settings, cells)
    features = finetuning.compute_features(network, cells, settings)
    expected = finetuning.predict_cells(network, features, cells).iloc[:5]
    record = finetuning.describe(network, RANDOM, settings, [], "hash", runs.Clock())
    runs.write_json(tmp_path / "parameters.json", {**record, "model": finetuning.save(network, tmp_path)})
    source = loading.open_images(settings)
    files = [source.path / file for file in expected["file"]]
    classified = finetuning.classify(finetuning.load(tmp_path), files)
    np.testing.assert_allclose(classified["p_all"], expected["p_all"], atol=1e-4)
