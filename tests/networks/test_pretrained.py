"""Weights are found, or it is said what to do; files are read by shape alone."""

import hashlib
import time
from dataclasses import replace
from urllib.parse import urlsplit

import h5py
import keras
import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.networks import hdf5, pretrained, registry
from allhelpers.networks.pretrained import Weights
from allhelpers.networks.registry import ARCHITECTURES
from tests.helpers import SHARED, needs_shared

MOBILENET, VGG16 = registry.get("mobilenet"), registry.get("vgg16")


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """An empty Keras cache and a network that refuses at once."""

    def refuse(*_, **__):
        raise OSError("no network")

    pretrained._server_answers.cache_clear()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    yield
    pretrained._server_answers.cache_clear()


def in_cache(tmp_path, architecture, content=b"weights"):
    path = tmp_path / "keras" / "models" / architecture.weights_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_imagenet_without_network_says_what_was_tried_and_what_to_do(tmp_path):
    with pytest.raises(InputError) as caught:
        pretrained.locate(MOBILENET, "imagenet")
    message = str(caught.value)
    for part in (
        MOBILENET.weights_file,
        MOBILENET.weights_url,
        str(tmp_path / "keras"),
        "mobilenet=PATH",
    ):
        assert part in message


def test_imagenet_is_the_default_of_real_cells_and_auto_of_the_sample():
    with pytest.raises(InputError, match="ImageNet"):
        pretrained.locate(MOBILENET, "default", synthetic=False)
    assert pretrained.locate(MOBILENET, "default", synthetic=True).source == "random"


def test_auto_is_refused_for_real_cells():
    with pytest.raises(InputError, match="sample only"):
        pretrained.locate(MOBILENET, "auto", synthetic=False)


def test_file_in_kerass_cache_is_used_where_keras_records_no_hash(tmp_path):
    path = in_cache(tmp_path, MOBILENET)
    assert pretrained.locate(MOBILENET, "imagenet") == Weights("imagenet", path)


def test_file_in_kerass_cache_that_fails_kerass_hash_is_not_used(tmp_path):
    in_cache(tmp_path, VGG16)
    with pytest.raises(InputError, match="VGG16"):
        pretrained.locate(VGG16, "imagenet")


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_file_in_kerass_cache_is_used_if_it_has_kerass_hash(tmp_path, kind):
    right = replace(VGG16, weights_hash=hashlib.new(kind, b"weights").hexdigest())
    path = in_cache(tmp_path, VGG16)
    assert pretrained.cached_imagenet(right) == path
    in_cache(tmp_path, VGG16, b"others")
    assert pretrained.cached_imagenet(right) is None


def test_network_that_hangs_is_given_up_within_seconds(monkeypatch):
    def answer_late(*_, **__):
        time.sleep(30)
        raise OSError

    monkeypatch.setattr(pretrained, "NETWORK_PATIENCE", 0.2)
    monkeypatch.setattr("urllib.request.urlopen", answer_late)
    assert not pretrained.reachable(MOBILENET.weights_url)


def test_each_server_is_asked_once(monkeypatch):
    asked = []

    def refuse(address, **_):
        asked.append(address)
        raise OSError

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    addresses = [each.weights_url for each in ARCHITECTURES.values()]
    for address in 2 * addresses:
        assert not pretrained.reachable(address)
    assert sorted(asked) == sorted({f"https://{urlsplit(each).netloc}" for each in addresses})


def test_failed_download_is_one_sentence(monkeypatch):
    def fail(*_, **__):
        raise Exception("URL fetch failure")  # what Keras raises

    monkeypatch.setattr("keras.utils.get_file", fail)
    with pytest.raises(InputError, match="Run it again"):
        pretrained.fetch(MOBILENET, Weights("imagenet"))


def test_missing_file_is_refused():
    with pytest.raises(InputError, match="does not exist"):
        pretrained.locate(MOBILENET, "nowhere.h5")


def chain(filters=3, names=("a", "b")):
    layers = [keras.layers.Conv2D(filters, 3, name=name) for name in names]
    return keras.Sequential([keras.Input((8, 8, 3)), *layers])


def legacy_file(path, model):
    """Keras's legacy HDF5 layout, as its own ImageNet files have it."""
    with h5py.File(path, "w") as stream:
        stream.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = stream.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = keras.ops.convert_to_numpy(weight)
    return path


@pytest.mark.parametrize("names", [("a", "b"), ("conv2d_1", "conv2d_2")])
def test_file_is_loaded_by_name_and_one_with_older_names_by_order(tmp_path, names):
    source, target = chain(names=names), chain()
    hdf5.load(target, legacy_file(tmp_path / "w.h5", source))
    for ours, theirs in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("other", "problem"),
    [({"names": ("a",)}, r"lacks 1 layers.*\(b\)"), ({"filters": 4}, "other shapes.*a, b")],
)
def test_file_with_other_layers_or_shapes_is_refused_by_name(tmp_path, other, problem):
    path = legacy_file(tmp_path / "w.h5", chain(**other))
    with pytest.raises(InputError, match=problem):
        hdf5.load(chain(), path)


def test_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"not HDF5")
    with pytest.raises(InputError, match="not a Keras weights file"):
        hdf5.load(chain(), tmp_path / "w.h5")


@needs_shared
@pytest.mark.parametrize("name", ["mobilenet", "resnet50"])
def test_real_weights_fit_and_other_architectures_refuse_them(name):
    path = next((SHARED / "weights").glob(f"{name}_*.h5"))
    backbone = registry.get(name).build()
    before = backbone.get_weights()[0]
    hdf5.load(backbone, path)
    assert not np.array_equal(before, backbone.get_weights()[0])
    with pytest.raises(InputError, match="block1_conv1"):
        hdf5.load(VGG16.build(), path)


@pytest.mark.parametrize("kind", ["soft link", "external link", "external values", "endless"])
def test_weights_file_that_points_elsewhere_is_refused(tmp_path, kind):
    """Such a file could make its reader open any file on the machine."""
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as stream:
        stream.attrs["layer_names"] = ["a"]
        group = stream.create_group("a")
        group.attrs["weight_names"] = ["w"]
        if kind == "soft link":
            group["w"] = h5py.SoftLink("/b")
        elif kind == "external link":
            group["w"] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == "external values":
            group.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)])
        else:
            group["w"] = group
    backbone = registry.TOY.build(64)
    with pytest.raises(InputError, match="points to other files"):
        hdf5.load(backbone, path)
