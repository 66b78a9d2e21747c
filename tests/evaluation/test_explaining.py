"""Where a network looks, and which cells it takes for alike."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.special import softmax

from allhelpers._core.errors import InputError
from allhelpers.evaluation import explaining
from allhelpers.evaluation.explaining import MOST_DRAWN
from allhelpers.networks import building, registry
from allhelpers.networks.building import Network
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.training import finetuning
from allhelpers.training.familiarity import draw
from tests.helpers import network_of

SIZE = 96
SQUARE = slice(56, 88)  # rows and columns, in pixels


def small(cells):
    return replace(cells, pixels=np.ascontiguousarray(cells.pixels[:, 64:160, 64:160]))


def with_square(pixels):
    marked = pixels.copy()
    marked[:, SQUARE, SQUARE] = 255
    return marked


def inside_and_outside(heat):
    """Mean heat in the square, and outside of it and its rim."""
    outside = np.ones(heat.shape[1:], bool)
    outside[44:, 44:] = False
    return heat[:, SQUARE, SQUARE].mean(), heat[:, outside].mean()


@pytest.fixture(scope="module")
def bright(make_settings):
    """A network made by hand: an image is bright, dim or dark by its mean brightness."""
    settings = make_settings(input_size=SIZE, unfreeze="none")
    architecture, pixels = registry.get("mobilenet"), keras.Input((SIZE, SIZE, 3), dtype="uint8")
    preprocessed = building.preprocess(architecture, pixels)
    backbone = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), keras.layers.AveragePooling2D(8), keras.layers.ReLU()]
    )
    trunk = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(backbone(preprocessed)))
    features, head = keras.Input((3,)), keras.layers.Dense(3, activation="softmax")
    tail = keras.Model(features, head(features))
    head.set_weights([np.array([[3.0, 0.0, -3.0]] * 3), np.zeros(3)])
    full, classes = keras.Model(pixels, tail(trunk(pixels))), ("bright", "dim", "dark")
    return Network(architecture, settings, None, classes, "pooled", trunk, tail, full, backbone)


def test_grad_cam_lights_up_where_the_class_is_decided(bright):
    heat = explaining.grad_cam(
        bright, with_square(np.zeros((2, SIZE, SIZE, 3), np.uint8)), "bright"
    )
    assert heat.shape == (2, SIZE, SIZE)
    assert heat.dtype == np.float32
    inside, outside = inside_and_outside(heat)
    assert inside > 0.8
    assert outside == 0


def test_what_speaks_against_a_class_is_dark(bright):
    """The square is all there is, and it speaks against a dark image."""
    assert (
        explaining.grad_cam(
            bright, with_square(np.zeros((1, SIZE, SIZE, 3), np.uint8)), "dark"
        ).max()
        == 0
    )


@pytest.mark.parametrize("hidden", [0, 16])
def test_a_trained_head_is_caught_looking_at_a_mark(hidden, cells, make_settings):
    """Leukaemic cells get a bright square: the head learns it, and Grad-CAM shows it."""
    settings = make_settings(unfreeze="none", epochs=60, hidden_units=hidden)
    positive = (cells.table["label"] == "all").to_numpy()
    pixels = np.where(positive[:, None, None, None], with_square(cells.pixels), cells.pixels)
    marked = replace(cells, pixels=pixels)
    network = network_of("alexnet", settings, marked)
    features = building.predict(network.trunk, marked.pixels)[np.newaxis]
    finetuning.train(network, features, marked, quiet=True)
    heat = explaining.grad_cam(network, marked.pixels[positive][:16], "all")
    inside, outside = inside_and_outside(heat)
    assert inside > 2 * outside


CASES = [(name, "none") for name in ARCHITECTURES]
CASES += [(name, "default") for name in ARCHITECTURES] + [("mobilenet", "all"), ("alexnet", "all")]
QUICK = ("mobilenet",)
CASES = [pytest.param(*case, marks=[] if case[0] in QUICK else pytest.mark.slow) for case in CASES]


@pytest.mark.parametrize(("name", "unfreeze"), CASES)
def test_every_network_can_be_asked(name, unfreeze, cells, make_settings):
    """Features are what the head decides on: from them it gives the network's probabilities."""
    settings = make_settings(input_size=SIZE, unfreeze=unfreeze, hidden_units=8, dropout=0.2)
    shown = small(cells)
    network, pixels = network_of(name, settings, shown), shown.pixels[:3]
    heat = explaining.grad_cam(network, pixels, "hem")
    assert heat.shape == (3, SIZE, SIZE)
    assert heat.min() >= 0
    assert heat.max() <= 1
    scores = explaining.scores(network, explaining.embed(network, pixels))
    np.testing.assert_allclose(
        softmax(scores, axis=1), building.predict(network.full, pixels), atol=1e-5
    )


def test_impossible_questions_are_refused(bright):
    pixels = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(
        InputError, match="'all' is not a class of this model: choose from bright, dim, dark"
    ):
        explaining.grad_cam(bright, pixels, "all")
    with pytest.raises(InputError, match="needs \\(cells, 96, 96, 3\\)"):
        explaining.embed(bright, pixels[:, :50])
    assert explaining.grad_cam(bright, pixels[:0], "dim").shape == (0, SIZE, SIZE)


def test_nearest_is_the_same_direction():
    trained = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    indices, distances = explaining.nearest(np.array([[5.0, 0.0]]), trained, 3)
    assert indices.tolist() == [[0, 2, 1]]
    np.testing.assert_allclose(distances, [[0, 1 - 0.5**0.5, 1]], atol=1e-9)
    with pytest.raises(InputError, match="k = 4 neighbours of 3 training cells"):
        explaining.nearest(trained, trained, 4)
    with pytest.raises(InputError, match="from the same model"):
        explaining.nearest(np.zeros((1, 3)), trained, 1)


def test_map_keeps_groups_together_and_is_the_same_again():
    random = np.random.default_rng(0)
    group = np.repeat([0, 1], 30)
    features = random.normal(size=(60, 100)) + 20 * group[:, np.newaxis]
    places = explaining.places_of(features, seed=1)
    assert places.shape == (60, 2)
    np.testing.assert_array_equal(places, explaining.places_of(features, seed=1))
    indices = np.linalg.norm(places[:, None] - places[None], axis=-1).argsort(axis=1)[:, 1:6]
    assert (group[indices] == group[:, None]).mean() > 0.95


def test_map_of_too_few_cells_is_refused():
    with pytest.raises(InputError, match="A map of 2 test cells cannot be drawn"):
        explaining.places_of(np.zeros((2, 3)), seed=1)


def test_of_many_rows_some_are_drawn_in_their_order():
    rows = draw(np.arange(0, 5000, 2), 1, MOST_DRAWN)
    assert len(set(rows)) == MOST_DRAWN
    assert (np.diff(rows) > 0).all()
    assert (rows % 2 == 0).all()
    assert draw(np.arange(7), 1, MOST_DRAWN).tolist() == list(range(7))
