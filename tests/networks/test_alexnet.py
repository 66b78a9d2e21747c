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
from allhelpers.networks.alexnet import CONVOLUTIONS, DENSE, TOP_SIDE, AlexNet

PIXELS = np.random.default_rng(3).normal(size=(2, 224, 224, 3)).astype(np.float32)


def state_of(random=np.random.default_rng(0)):  # noqa: B008 (one state for all tests)
    """Names and shapes of torchvision's state dict, with random values."""
    shapes, channels = {}, 3
    for module, filters, kernel, *_ in CONVOLUTIONS:
        shapes[f"features.{module}"], channels = (filters, channels, kernel, kernel), filters
    inputs = channels * TOP_SIDE**2
    for module, units in DENSE:
        shapes[f"classifier.{module}"], inputs = (units, inputs), units
    state = {}
    for name, shape in shapes.items():
        scale = np.float32(np.prod(shape[1:]) ** -0.5)
        state[f"{name}.weight"] = random.standard_normal(shape, np.float32) * scale
        state[f"{name}.bias"] = random.standard_normal(shape[0], np.float32) / np.float32(10)
    return state


@pytest.fixture(scope="module")
def state():
    return state_of()


@pytest.fixture(scope="module")
def whole(state):
    """The original, classification layers included."""
    model = AlexNet()
    for name, values in alexnet.from_torch(state, include_top=True).items():
        model.get_layer(name).set_weights(values)
    return model


def test_numbers_of_parameters_are_those_of_torchvision(whole):
    assert whole.count_params() == 61_100_840
    assert AlexNet(include_top=False).count_params() == 2_469_696


def test_convolutions_and_flattening_follow_torchs_order(whole, state):
    """The first convolution and the first dense layer, worked out by hand in torch's layout."""
    names = ("conv1", "conv5_pool", "dense1")
    parts = keras.Model(whole.input, [whole.get_layer(name).output for name in names])
    first, features, dense = parts.predict(PIXELS, verbose=0)
    image = np.pad(PIXELS[0].transpose(2, 0, 1), ((0, 0), (2, 2), (2, 2)))
    row, column = 7, 30
    window = image[:, 4 * row : 4 * row + 11, 4 * column : 4 * column + 11]
    expected = (state["features.0.weight"] * window).sum(axis=(1, 2, 3)) + state["features.0.bias"]
    np.testing.assert_allclose(first[0, row, column], np.maximum(expected, 0), atol=1e-4)
    flat = features.transpose(0, 3, 1, 2).reshape(2, -1)
    expected = flat @ state["classifier.1.weight"].T + state["classifier.1.bias"]
    np.testing.assert_allclose(dense, np.maximum(expected, 0), atol=1e-4)


def test_written_weights_are_a_file_that_the_backbone_takes(state, whole, tmp_path):
    alexnet.write(alexnet.from_torch(state), tmp_path / "alexnet.h5")
    backbone = registry.get("alexnet").build()
    hdf5.load(backbone, tmp_path / "alexnet.h5")
    features = keras.Model(whole.input, whole.get_layer("conv5_pool").output)
    expected = features.predict(PIXELS, verbose=0)
    np.testing.assert_allclose(backbone.predict(PIXELS, verbose=0), expected, atol=1e-6)


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
model.load_state_dict(state)
with torch.no_grad():
    numpy.save(sys.argv[2], model(pixels).numpy())
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
def test_output_is_that_of_torchs_own_alexnet(whole, state, tmp_path):
    np.savez(tmp_path / "state.npz", pixels=PIXELS, **state)
    in_own_process(OWN_OUTPUT, tmp_path / "state.npz", tmp_path / "output.npy")
    expected = np.load(tmp_path / "output.npy")
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(whole.predict(PIXELS, verbose=0), expected, atol=1e-4)


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
