"""What is known of each backbone agrees with Keras, and with the network itself."""

import importlib

import keras
import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.networks import building, registry
from allhelpers.networks.registry import ARCHITECTURES

NAMES = tuple(ARCHITECTURES)


@pytest.fixture(scope="module")
def built():
    """Each backbone as Keras builds it, and the file that Keras asks for on the way."""
    backbones, files = {"toy": registry.TOY.build()}, {}

    def get_file(file, origin, cache_subdir=None, file_hash=None):
        files[name] = {"file": file, "origin": origin, "hash": file_hash, "folder": cache_subdir}
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras.src.utils.file_utils.get_file", get_file)
        patch.setattr(keras.Model, "load_weights", lambda *_: None)
        for name, architecture in ARCHITECTURES.items():
            weights = None if architecture.converter else "imagenet"
            builder = registry.find(architecture.builder)
            shape = (224, 224, 3)
            backbones[name] = builder(weights=weights, include_top=False, input_shape=shape)
    return backbones, files


def keras_preprocessing(architecture):
    """What Keras itself does to the pixels: by the builder's module, or by the mode."""
    module = importlib.import_module(architecture.builder.split(":")[0])
    if module is keras.applications:
        builder = getattr(keras.applications, architecture.builder.split(":")[1])
        return importlib.import_module(builder.__module__).preprocess_input
    return lambda pixels: keras.applications.imagenet_utils.preprocess_input(
        pixels, mode=architecture.preprocessing
    )


@pytest.mark.parametrize("name", NAMES)
def test_preprocessing_is_what_keras_trained_the_weights_with(name):
    architecture = registry.get(name)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    inputs = keras.Input((224, 224, 3), dtype="uint8")
    ours = keras.Model(inputs, building.preprocess(architecture, inputs)).predict(pixels, verbose=0)
    theirs = keras_preprocessing(architecture)(pixels.astype(np.float32))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("name", [*NAMES, "toy"])
def test_no_connection_crosses_a_block_boundary(name, built):
    backbone = built[0][name]
    for _, ends in registry.get(name).blocks[:-1]:
        cut = [
            backbone.get_layer(end).output for end in ([ends] if isinstance(ends, str) else ends)
        ]
        below, above = keras.Model(backbone.input, cut), keras.Model(cut, backbone.output)
        assert len(below.layers) + len(above.layers) - len(cut) == len(backbone.layers)


@pytest.mark.parametrize("name", [*NAMES, "toy"])
def test_last_block_ends_at_the_top(name, built):
    assert registry.get(name).blocks[-1][1] in (None, built[0][name].layers[-1].name)


@pytest.mark.parametrize("name", [name for name in NAMES if not registry.get(name).converter])
def test_imagenet_file_is_the_one_keras_asks_for(name, built):
    architecture = registry.get(name)
    assert built[1][name] == {
        "file": architecture.weights_file,
        "origin": architecture.weights_url,
        "hash": architecture.weights_hash,
        "folder": "models",
    }


def test_toy_is_there_and_no_list_names_it():
    assert registry.get("toy").build(64).count_params() < 10_000
    assert "toy" not in registry.NAMES
    with pytest.raises(InputError, match="not an architecture or classifier"):
        registry.check_method("toy")


def test_cut_follows_what_is_unfrozen():
    resnet = registry.get("resnet50")
    assert resnet.cut("none") == "pooled"
    assert resnet.cut("all") == "pixels"
    assert resnet.cut("default") == resnet.cut("conv5_block3") == "conv5_block2_out"


def test_inceptionv3_reads_larger_images_and_is_cut_between_mixed_blocks():
    inception = registry.get("inceptionv3")
    assert inception.input_size == 299
    assert inception.cut("default") == "mixed9"
    assert inception.cut("all") == inception.cut("mixed0") == "pixels"


def test_nasnet_is_cut_through_the_two_cells_that_the_next_one_reads():
    nasnet = registry.get("nasnetmobile")
    assert nasnet.cut("default") == ("normal_concat_10", "normal_concat_11")
    assert nasnet.cut("cell_6") == ("reduction_concat_reduce_4", "normal_concat_5")
    assert nasnet.cut("cell_9") == ("normal_concat_7", "normal_concat_8")


def test_unknown_block_and_architecture_name_the_choices():
    with pytest.raises(InputError, match="block_13"):
        registry.get("mobilenet").cut("block_14")
    with pytest.raises(InputError, match="mobilenet, vgg16, resnet50"):
        registry.get("alexandernet")


def test_pixels_outside_their_range_are_refused():
    good = np.full((1, 2, 2, 3), 255.0)
    assert registry.check_pixels(good).dtype == np.uint8
    for bad in (good + 1, -good, good * np.nan):
        with pytest.raises(InputError, match=r"0\.\.255"):
            registry.check_pixels(bad)


def test_pixels_divided_by_255_are_refused():
    with pytest.raises(InputError, match="do not divide by 255"):
        registry.check_pixels(np.full((1, 2, 2, 3), 0.5))
