"""A trained model as files."""

import io
import shutil
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json, sha256, write_json
from allhelpers.data import loading, sources
from allhelpers.inference import predicting, saved
from allhelpers.inference.saved import MEMBERS
from allhelpers.networks import building
from allhelpers.training import familiarity, finetuning, trunk
from tests.helpers import finish, network_of


@pytest.fixture(scope="module")
def trained(small_cells, make_settings, tmp_path_factory):
    """A saved model and the folder of its run."""
    folder = tmp_path_factory.mktemp("toy")
    network = network_of("toy", make_settings(unfreeze="none", input_size=64), small_cells)
    features = trunk.compute_features(network, small_cells)
    known = familiarity.familiar_cells(network, features, small_cells)
    finish(network, folder, small_cells, known)
    return SimpleNamespace(network=network, folder=folder)


def test_saved_model_takes_plain_pixels_without_this_project(trained, small_cells):
    plain = keras.models.load_model(trained.folder / "model.keras")
    assert plain.input.dtype == "uint8"
    np.testing.assert_allclose(
        plain.predict(small_cells.pixels[:4], verbose=0),
        building.predict(trained.network.full, small_cells.pixels[:4]),
        atol=1e-6,
    )


def test_loaded_model_predicts_the_same(trained, small_cells):
    loaded = saved.load(trained.folder)
    np.testing.assert_array_equal(
        building.predict(loaded.full, small_cells.pixels[:8]),
        building.predict(trained.network.full, small_cells.pixels[:8]),
    )


@pytest.mark.slow
def test_model_with_a_cut_through_several_layers_is_saved_and_loaded(
    cells, make_settings, tmp_path
):
    settings = make_settings(input_size=96)
    network = network_of("nasnetmobile", settings, replace(cells, pixels=cells.pixels[:, :96, :96]))
    finish(network, tmp_path, cells)
    pixels = cells.pixels[:8, 60:156, 60:156]
    expected = building.predict(network.full, pixels)
    np.testing.assert_allclose(
        building.predict(saved.load(tmp_path).full, pixels), expected, atol=1e-6
    )
    plain = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(plain.predict(pixels, verbose=0), expected, atol=1e-5)


def test_changed_or_foreign_model_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match="parameters.json beside it"):
        saved.load(tmp_path / "model.keras")
    (tmp_path / "parameters.json").write_bytes((trained.folder / "parameters.json").read_bytes())
    (tmp_path / "model.keras").write_bytes((trained.folder / "model.keras").read_bytes() + b"x")
    with pytest.raises(InputError, match="SHA-256 differs"):
        saved.load(tmp_path)


def test_model_of_a_recipe_classifies_files_as_the_run_did(make_settings, tmp_path):
    changes = {"unfreeze": "none", "tta": 4, "crop": 300, "input_size": 96, "epochs": 1}
    settings = make_settings(**changes)
    cells = loading.prepare(settings)
    network = network_of("toy", settings, cells)
    features = trunk.compute_features(network, cells)
    expected = finetuning.predict_cells(network, features, cells).iloc[:5]
    finish(network, tmp_path, cells)
    source = sources.open_images(settings)
    files = [source.path / file for file in expected["file"]]
    classified = predicting.predict(saved.load(tmp_path), files)
    np.testing.assert_allclose(classified["p_all"], expected["p_all"], atol=1e-4)


PAYLOAD = b"cos\nsystem\n(S'touch %s'\ntR."  # a pickle that runs a command when it is loaded


def forge(trained, folder, write):
    """A model file of an attacker, with a record that fits it."""
    record = read_json(trained.folder / "parameters.json")
    write(folder / "model.keras")
    record["model"]["sha256"] = sha256(folder / "model.keras")
    write_json(folder / "parameters.json", record)
    return folder


def with_pickle(path):
    path.write_bytes(PAYLOAD % str(path.parent / "executed").encode())


def with_lambda_layer(path):
    """A Keras file whose description, if it were followed, would run code."""
    inputs, target = keras.Input((2,)), str(path.parent / "executed")
    touch = keras.layers.Lambda(lambda x: (open(target, "w").close(), x)[1], output_shape=(2,))
    keras.Model(inputs, touch(inputs)).save(path)
    (path.parent / "executed").unlink(missing_ok=True)


def with_more_members(path):
    with zipfile.ZipFile(path, "w") as stream:
        for name in (*MEMBERS, "assets/evil.py"):
            stream.writestr(name, b"")


def with_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        for name in MEMBERS:
            stream.writestr(name, bytes(1 << 22))


def with_external_link(path):
    content = io.BytesIO()
    with h5py.File(content, "w") as stream:
        stream["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    with zipfile.ZipFile(path, "w") as stream:
        for name in MEMBERS:
            stream.writestr(name, content.getvalue() if name.endswith("h5") else b"{}")


@pytest.mark.filterwarnings(
    "ignore:Skipping nested container"
)  # said of each layer that a forged file lacks
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (with_pickle, "it is no Keras file"),
        (with_lambda_layer, "does not hold the weights of toy"),
        (with_more_members, "something else than weights"),
        (with_bomb, "far more than its size"),
        (with_external_link, "points to other files"),
    ],
)
def test_forged_model_is_refused_and_nothing_of_it_is_executed(trained, tmp_path, write, message):
    with pytest.raises(InputError, match=message):
        saved.load(forge(trained, tmp_path, write))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "record",
    ["{", "[]", '"text"', "{}", '{"model": 1}', '{"model": {"sha256": 1}}', "[" * 9000, "\xff"],
)
def test_record_that_makes_no_sense_is_refused(trained, tmp_path, record):
    (tmp_path / "model.keras").write_bytes((trained.folder / "model.keras").read_bytes())
    (tmp_path / "parameters.json").write_text(record)
    with pytest.raises(InputError, match="not the record of a finished run"):
        saved.load(tmp_path)


def with_record(trained, folder, **changes):
    """The saved model beside a changed record."""
    shutil.copy(trained.folder / "model.keras", folder)
    write_json(folder / "parameters.json", read_json(trained.folder / "parameters.json") | changes)
    return folder


WRONG = [
    ("architecture", ["toy"]),
    ("architecture", {}),
    ("architecture", None),
    ("settings", []),
    ("settings", None),
    ("settings", "x"),
    ("classes", []),
    ("classes", "ab"),
    ("classes", ["a", "a"]),
    ("classes", [["a"], ["b"]]),
    ("classes", ["a", ""]),
    ("classes", list(map(str, range(3_000)))),
    ("notes", 5),
    ("notes", [5]),
    ("familiar", {"sha256": "x"}),
    ("familiar", {"sha256": "0" * 64, "farthest": "far", "ranges": {}}),
    ("familiar", {"sha256": "0" * 64, "farthest": 1, "ranges": {"size": [1, 2]}}),
    ("model", {"sha256": "../../x"}),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_every_wrong_type_in_a_record_is_one_sentence(trained, tmp_path, name, value):
    with pytest.raises(InputError, match=f"not the record of a finished run \\({name}"):
        saved.find(with_record(trained, tmp_path, **{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_units", 10**12),
        ("hidden_units", 2 * 10**6),
        ("seed", 2**40),
        ("epochs", None),
        ("epochs", "many"),
        ("lambda", "import os"),
        ("sample_cells", 10**9),
        ("input_size", 10**6),
    ],
)
def test_settings_that_no_training_has_are_refused_before_anything_is_built(
    trained, tmp_path, name, value
):
    settings = {**read_json(trained.folder / "parameters.json")["settings"], name: value}
    with pytest.raises(InputError, match=name):
        saved.find(with_record(trained, tmp_path, settings=settings))


def test_weights_that_are_no_numbers_are_refused(small_cells, make_settings, tmp_path):
    network = network_of("toy", make_settings(unfreeze="none", input_size=64), small_cells)
    kernel = network.tail.get_layer("probabilities").kernel
    kernel.assign(kernel * np.nan)
    finish(network, tmp_path, small_cells)
    with pytest.raises(InputError, match="not finite"):
        saved.load(tmp_path)


@pytest.mark.parametrize(
    "kind", ["S1000000", "V1000000", [("a", "f4", (250_000,))], h5py.string_dtype()]
)
def test_weights_of_other_elements_than_numbers_are_refused_unread(trained, tmp_path, kind):
    def write(path):
        content = io.BytesIO()
        with h5py.File(content, "w") as stream:
            stream.create_dataset("layers/dense/vars/0", (1024, 2), kind)
        with zipfile.ZipFile(path, "w") as archive:
            for name in MEMBERS:
                archive.writestr(name, content.getvalue() if name.endswith("h5") else b"{}")

    with pytest.raises(InputError, match="not numbers"):
        saved.load(forge(trained, tmp_path, write))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK", None])
def test_features_that_are_not_those_of_the_training_are_refused(trained, tmp_path, content):
    shutil.copytree(trained.folder, tmp_path / "run")
    path = tmp_path / "run" / "familiar.npy"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match="familiar.npy"):
        saved.find(tmp_path / "run").familiar()
    if content is not None:  # with a record that fits it
        record = read_json(path.with_name("parameters.json"))
        record["familiar"]["sha256"] = sha256(path)
        write_json(path.with_name("parameters.json"), record)
        with pytest.raises(InputError, match="familiar.npy cannot be used"):
            saved.find(tmp_path / "run").familiar()
