"""A trained model in other formats gives the same probabilities."""

import importlib.util
import subprocess
import sys

import cv2
import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json
from allhelpers.data import images, synthetic
from allhelpers.inference import exporting, predicting
from allhelpers.inference.exporting import ONNX_PACKAGES, SAMPLE, SUFFIXES, TOLERANCE
from allhelpers.settings import PAPERS_THREE
from tests.commands import command, refused
from tests.helpers import ROOT, few, finish, network_of

lacks_onnx = any(importlib.util.find_spec(name) is None for name in ONNX_PACKAGES)
needs_onnx = pytest.mark.skipif(
    lacks_onnx, reason="ONNX's packages, which are optional, are not installed"
)
KINDS = [pytest.param("onnx", marks=needs_onnx), "litert", "saved_model"]
# The paper's three take minutes, and nothing of the export knows which network it is.
NAMES = ["toy", *(pytest.param(name, marks=pytest.mark.slow) for name in PAPERS_THREE)]


@pytest.fixture
def small(cells):
    return few(cells, count=8, val=2)


@pytest.fixture
def network(make_settings, small):
    return network_of("toy", make_settings(unfreeze="none"), small)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_exported_model_gives_the_same_probabilities(name, kind, small, make_settings, tmp_path):
    network = network_of(name, make_settings(tta=8 if name in ("toy", "mobilenet") else 1), small)
    path = tmp_path / f"model{SUFFIXES[kind]}"
    compared, difference = exporting.export(network, kind, path)
    assert compared == "16 synthetic cells"
    assert difference < TOLERANCE
    np.testing.assert_allclose(
        exporting.run(path, kind, small.pixels),
        predicting.probabilities(network, small.pixels),
        atol=TOLERANCE,
    )
    assert (
        read_json(tmp_path / f"{path.name}.json")["orientations_averaged_inside"]
        == network.settings.tta
    )


def test_export_that_differs_leaves_nothing(network, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TOLERANCE", -1)
    with pytest.raises(InputError, match="differ by"):
        exporting.export(network, "saved_model", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_export_to_onnx_says_what_to_install(network, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "ONNX_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(InputError, match="needs no_such_package: pip install"):
        exporting.export(network, "onnx", tmp_path / "model.onnx")


@needs_onnx
def test_example_runs_without_keras_and_agrees(network, tmp_path):
    exporting.export(network, "onnx", tmp_path / "model.onnx")
    folder = synthetic.draw_sample(tmp_path / "cells", SAMPLE)
    image = next(folder.rglob("*.bmp"))
    command = [sys.executable, ROOT / "examples" / "run_onnx.py", tmp_path / "model.onnx", image]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = predicting.predict(network, [image]).iloc[0]
    assert (
        said.strip() == f"{image} p_all = {expected['p_all']:.3f} p_hem = {expected['p_hem']:.3f}"
    )
    assert "allhelpers" not in (ROOT / "examples" / "run_onnx.py").read_text().split('"""')[2]


def dark_cell():
    image = np.zeros((300, 260, 3), np.uint8)
    image[40:200, 60:190] = np.random.default_rng(1).integers(30, 200, (160, 130, 3))
    return image


@pytest.mark.parametrize("crop", [0, 100, "cell"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_the_decoder_beside_an_export_gives_the_pixels_of_training(tmp_path, crop, suffix):
    exporting.write_decoder(tmp_path / "decoder.zip")
    image = tmp_path / f"cell{suffix}"
    cv2.imwrite(str(image), dark_cell())
    how = f"size=64, crop={crop!r}, image_size=0"
    code = (
        "import sys; sys.path.insert(0, 'decoder.zip'); import numpy; from pathlib import Path;"
        "from decoder.data import images;"
        f"pixels = images.decode(images.read(Path({image.name!r})), 'x', {how});"
        "numpy.save('pixels.npy', pixels);"
        "assert not [name for name in sys.modules if name.startswith('allhelpers')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={})
    expected = images.decode(images.read(image), "x", size=64, crop=crop, image_size=0)
    np.testing.assert_array_equal(np.load(tmp_path / "pixels.npy"), expected)


@pytest.mark.parametrize("kind", SUFFIXES)
def test_export_replaces_nothing_unasked(kind, small, network, tmp_path):
    finish(network, tmp_path / "toy", small)
    (tmp_path / "folder").mkdir()
    there = tmp_path / "there"
    there.write_text("mine")
    for place in (tmp_path / "folder", there):
        done = command("export", tmp_path / "toy", "--format", kind, "--output", place)
        assert refused(done, str(place))
    assert there.read_text() == "mine"
