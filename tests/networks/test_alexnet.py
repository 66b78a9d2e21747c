"""AlexNet, and torchvision's weights in it. Without torch, as in CI, what needs it is skipped."""

import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.files import sha256
from allhelpers.networks import alexnet, hdf5, registry
from allhelpers.networks.alexnet import CONVOLUTIONS, AlexNet

PIXELS = np.random.default_rng(3).normal(size=(2, 224, 224, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def state():
    """Names and shapes of the convolutions in torchvision's state dict, with random values."""
    random, state, channels = np.random.default_rng(0), {}, 3
    for module, filters, kernel, *_ in CONVOLUTIONS:
        shape = (filters, channels, kernel, kernel)
        scale = np.float32(np.prod(shape[1:]) ** -0.5)
        weight = random.standard_normal(shape, np.float32) * scale
        bias = random.standard_normal(filters, np.float32) / np.float32(10)
        state |= {f"features.{module}.weight": weight, f"features.{module}.bias": bias}
        channels = filters
    return state


@pytest.fixture(scope="module")
def backbone(state):
    model = AlexNet()
    for name, values in alexnet.from_torch(state).items():
        model.get_layer(name).set_weights(values)
    return model


def test_number_of_parameters_is_that_of_torchvisions_convolutions(backbone):
    assert backbone.count_params() == 2_469_696


def test_convolutions_follow_torchs_order(backbone, state):
    """The first one, worked out by hand in torch's layout."""
    convolution = keras.Model(backbone.input, backbone.get_layer("conv1").output)
    first = convolution.predict(PIXELS, verbose=0)
    image = np.pad(PIXELS[0].transpose(2, 0, 1), ((0, 0), (2, 2), (2, 2)))
    row, column = 7, 30
    window = image[:, 4 * row : 4 * row + 11, 4 * column : 4 * column + 11]
    expected = (state["features.0.weight"] * window).sum(axis=(1, 2, 3)) + state["features.0.bias"]
    np.testing.assert_allclose(first[0, row, column], np.maximum(expected, 0), atol=1e-4)


def test_written_weights_are_a_file_that_the_backbone_takes(state, backbone, tmp_path):
    alexnet.write(alexnet.from_torch(state), tmp_path / "alexnet.h5")
    loaded = registry.get("alexnet").build()
    hdf5.load(loaded, tmp_path / "alexnet.h5")
    expected = backbone.predict(PIXELS, verbose=0)
    np.testing.assert_allclose(loaded.predict(PIXELS, verbose=0), expected, atol=1e-6)


def test_checkpoint_of_another_network_is_refused(state):
    with pytest.raises(InputError, match=r"features.3 with shape \(0,\)"):
        alexnet.from_torch(
            {name: value for name, value in state.items() if not name.startswith("features.3")}
        )


def test_missing_torch_is_one_sentence_before_anything_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match="install torch, run it in Colab, or choose weights = random"
    ):
        alexnet.convert("https://example.invalid/alexnet.pth", tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)

# In processes of their own, because TensorFlow and torch can crash in one.
OWN_OUTPUT = """
import sys, numpy, torch, torchvision
state = {name: torch.from_numpy(value) for name, value in numpy.load(sys.argv[1]).items()}
pixels = torch.from_numpy(state.pop("pixels").numpy().transpose(0, 3, 1, 2).copy())
model = torchvision.models.alexnet(weights=None).eval()
assert not model.load_state_dict(state, strict=False).unexpected_keys
with torch.no_grad():
    numpy.save(sys.argv[2], model.features(pixels).numpy().transpose(0, 2, 3, 1))
"""
SAVE = """
import sys, numpy, torch
state = {name: torch.from_numpy(value) for name, value in numpy.load(sys.argv[1]).items()}
torch.save(state, sys.argv[2])
"""
SAVE_PAYLOAD = """
import sys, torch
class Payload:
    def __reduce__(self):
        return (open, (sys.argv[1], "w"))
torch.save(Payload(), sys.argv[2])
"""


def in_own_process(code, *arguments):
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)


@pytest.fixture
def torch_home(monkeypatch, tmp_path):
    """Where torch keeps what it downloads."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def published(path):
    """Name a file as torchvision does, with the beginning of its SHA-256; its address."""
    named = path.with_name(f"alexnet-{sha256(path)[:8]}.pth")
    path.rename(named)
    return named.as_uri()


@needs_torch
def test_features_are_those_of_torchs_own_alexnet(backbone, state, tmp_path):
    np.savez(tmp_path / "state.npz", pixels=PIXELS, **state)
    in_own_process(OWN_OUTPUT, tmp_path / "state.npz", tmp_path / "output.npy")
    expected = np.load(tmp_path / "output.npy")
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(backbone.predict(PIXELS, verbose=0), expected, atol=1e-4)


@needs_torch
@pytest.mark.usefixtures("torch_home")
def test_checkpoint_is_downloaded_checked_and_converted(state, tmp_path):
    np.savez(tmp_path / "state.npz", **state)
    in_own_process(SAVE, tmp_path / "state.npz", tmp_path / "a.pth")
    alexnet.convert(published(tmp_path / "a.pth"), tmp_path / "alexnet.h5")
    backbone = registry.get("alexnet").build()
    hdf5.load(backbone, tmp_path / "alexnet.h5")
    np.testing.assert_array_equal(
        backbone.get_layer("conv2").get_weights()[1], state["features.3.bias"]
    )


@needs_torch
@pytest.mark.usefixtures("torch_home")
def test_checkpoint_with_code_or_another_hash_is_refused_and_not_executed(tmp_path):
    in_own_process(SAVE_PAYLOAD, tmp_path / "executed", tmp_path / "a.pth")
    (tmp_path / "executed").unlink(missing_ok=True)
    changed = tmp_path / "alexnet-00000000.pth"
    changed.write_bytes((tmp_path / "a.pth").read_bytes())
    for address in (published(tmp_path / "a.pth"), changed.as_uri()):
        with pytest.raises(InputError, match="download of .* failed"):
            alexnet.convert(address, tmp_path / "alexnet.h5")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "alexnet.h5").exists()
