"""What a network looks at, and which cells it takes for alike.

Two views of one thing, the last feature maps of the backbone: weighted by a class they say where in the picture its
evidence lies (Grad-CAM); averaged over the picture they are the features on which the new head decides, in which
cells can be neighbours. Neither says why. On random weights neither means anything.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from .._core.errors import InputError
from ..networks import building, registry

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..settings import ClassicalSettings, TrainingSettings

AT_ONCE = 128  # cells whose feature maps are held in memory

MOST_EXPLAINED = 48  # cells of each class, for examples and their mean

MOST_MAPPED = 1000  # cells in one map: seconds on two cores; t-SNE takes minutes for many more

LEAST_MAPPED = 3

MOST_DRAWN = 400

COMPONENTS = 50  # of the principal components on which t-SNE works (van der Maaten & Hinton 2008, section 4.2)

PERPLEXITY = 30


def grad_cam(model: Network, pixels: np.ndarray, label: str) -> np.ndarray:
    """Where in each picture the evidence for a class lies.

    Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
    localization"): each of the last feature maps is weighted by the mean gradient of the class's score, their sum is
    cut off at 0, scaled, and enlarged to the size of the picture.

    Parameters
    ----------
    model : networks.Network
        Trained, or from `models.load`; any architecture, cut and head.
    pixels : ndarray of shape (cells, size, size, 3), uint8
        Cells as the network was trained on, 0 to 255.
    label : str
        One of the model's ``classes``.

    Returns
    -------
    ndarray of shape (cells, size, size), float32
        0 to 1, where 1 is the strongest place of each cell; all 0 where nothing speaks for the class.

    Raises
    ------
    InputError
        If the class is not one of the model's, or the pixels do not fit it.

    Notes
    -----
    The score is the logarithm of the odds of the class against all others, from the layer before softmax: softmax
    knows only differences of scores, so one score alone says nothing. The maps are coarse (7 x 7 for pictures of 224
    pixels), and belong to the cell as it is, also where the settings average over orientations.

    Examples
    --------
    >>> grad_cam(network, cells.pixels[:2], "all").shape
    (2, 64, 64)
    """
    if label not in model.classes:
        raise InputError(
            f"{label!r} is not a class of this model: choose from {', '.join(model.classes)}."
        )
    size, chosen = model.settings.size, model.classes.index(label)
    found = [np.zeros((0, size, size), np.float32)]
    for batch in _batches(model, pixels):
        weighted = _weighted(building.predict(_maps(model), batch), model, chosen)
        enlarged = tf.image.resize(weighted[..., np.newaxis], (size, size), method="bilinear")
        found.append(enlarged.numpy()[..., 0])
    return np.concatenate(found)


def _weighted(activations: Any, model: Any, chosen: TrainingSettings | ClassicalSettings) -> Any:
    """Feature maps in one: weighted by the gradient of the class's score, without what speaks against it."""
    activations = tf.constant(activations)
    with tf.GradientTape() as tape:
        tape.watch(activations)
        found = scores(model, tf.reduce_mean(activations, axis=(1, 2)))
        others = tf.concat([found[:, :chosen], found[:, chosen + 1 :]], axis=1)
        odds = found[:, chosen] - tf.reduce_logsumexp(others, axis=1)
    weights = tf.reduce_mean(tape.gradient(odds, activations), axis=(1, 2), keepdims=True)
    summed = tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)).numpy()
    strongest = summed.max(axis=(1, 2), keepdims=True)
    return np.divide(summed, strongest, out=np.zeros_like(summed), where=strongest > 0)


@dataclass(frozen=True)
class Evidence:
    """Where the evidence for a class lies in some cells of that class.

    Attributes
    ----------
    rows : ndarray of int
        Row numbers in the cells.
    heat : ndarray of shape (rows, size, size), float32
        From `grad_cam`.
    """

    rows: np.ndarray
    heat: np.ndarray


def evidence(
    model: Network, cells: Cells, seed: int, side: str = "test", most: int = MOST_EXPLAINED
) -> dict[str, Evidence]:
    """Grad-CAM of the true class in cells of each class, drawn at random from one side of the split.

    Parameters
    ----------
    model : networks.Network
    cells : loading.Cells
    seed : int
    side : {"train", "valid", "test"}
    most : int
        Cells of each class.

    Returns
    -------
    dict of str to Evidence
        Classes that have cells on this side.

    Examples
    --------
    >>> evidence(network, cells, seed=1, most=2)["all"].heat.shape
    (2, 64, 64)
    """
    random, found = np.random.default_rng(seed), {}
    for label in model.classes:
        rows = random.permutation(
            np.flatnonzero((cells.table["split"] == side) & (cells.table["label"] == label))
        )
        if len(rows):
            found[label] = Evidence(rows[:most], grad_cam(model, cells.pixels[rows[:most]], label))
    return found


def embed(model: Network, pixels: np.ndarray) -> np.ndarray:
    """Features of cells: the last feature maps, averaged over the picture, as the head sees them.

    Parameters
    ----------
    model : networks.Network
    pixels : ndarray of shape (cells, size, size, 3), uint8

    Returns
    -------
    ndarray of shape (cells, channels), float32

    Raises
    ------
    InputError
        If the pixels do not fit the model.

    Examples
    --------
    >>> embed(network, cells.pixels[:3]).shape
    (3, 1024)
    """
    maps = _maps(model)
    found = [np.zeros((0, maps.output.shape[-1]), np.float32)]
    return np.concatenate(
        found + [building.predict(maps, part).mean(axis=(1, 2)) for part in _batches(model, pixels)]
    )


@functools.lru_cache(
    maxsize=1
)  # building and tracing takes seconds, and a page asks for one cell after the other
def _maps(model: Any) -> Any:
    """From pixels to the last feature maps; its layers are the model's own."""
    pixels = keras.Input(model.full.input.shape[1:], dtype="uint8")
    return keras.Model(pixels, model.backbone(building.preprocess(model.architecture, pixels)))


def scores(model: Network, features: np.ndarray) -> Any:
    """What the head gives to softmax."""
    names = [layer.name for layer in model.tail.layers]
    *before, last = model.tail.layers[names.index("pool") + 1 if "pool" in names else 1 :]
    for layer in before:
        features = layer(features)
    return features @ last.kernel + last.bias


def _batches(model: Any, pixels: np.ndarray) -> Any:
    size, pixels = model.settings.size, registry.check_pixels(pixels)
    if pixels.shape[1:] != (size, size, 3):
        raise InputError(
            f"Pixels have shape {pixels.shape}, this model needs (cells, {size}, {size}, 3): resize them."
        )
    return (pixels[start : start + AT_ONCE] for start in range(0, len(pixels), AT_ONCE))


def nearest(
    features: np.ndarray, trained_features: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The training cells that lie nearest to each cell, by cosine distance.

    Parameters
    ----------
    features : array of shape (cells, channels)
        From `embed`.
    trained_features : array of shape (trained, channels)
        Of the training cells, from the same model.
    k : int
        How many neighbours.

    Returns
    -------
    indices : ndarray of shape (cells, k), int
        Rows of ``trained_features``, the nearest first.
    distances : ndarray of shape (cells, k), float
        0 (same direction) to 2.

    Raises
    ------
    InputError
        If there are fewer than ``k`` training cells, or the features are of another model.

    Examples
    --------
    >>> indices, distances = nearest([[1.0, 0.1]], [[0.0, 1.0], [2.0, 0.0]], k=1)
    >>> indices.tolist()
    [[1]]
    """
    features, trained_features = np.asarray(features), np.asarray(trained_features)
    if features.shape[1] != trained_features.shape[1]:
        raise InputError(
            f"Features of {features.shape[1]} and of {trained_features.shape[1]} channels cannot be compared: take "
            "both from the same model."
        )
    if not 1 <= k <= len(trained_features):
        raise InputError(
            f"k = {k} neighbours of {len(trained_features)} training cells: choose 1 to that number."
        )
    found = NearestNeighbors(n_neighbors=k, metric="cosine").fit(trained_features)
    distances, indices = found.kneighbors(features)
    return indices, distances


def map_of_features(features: np.ndarray, seed: int) -> np.ndarray:
    """A map on which cells with like features lie together: t-SNE after principal components.

    Parameters
    ----------
    features : array of shape (cells, channels)
        From `embed`; 3 to 1,000 cells. `drawn` chooses among more.
    seed : int

    Returns
    -------
    ndarray of shape (cells, 2)
        Positions without unit. Only who lies beside whom means something; distances between groups, sizes of groups
        and the axes do not (van der Maaten & Hinton 2008, "Visualizing data using t-SNE").

    Raises
    ------
    InputError
        If there are too few or too many cells.

    Examples
    --------
    >>> map_of_features(np.eye(12), seed=1).shape
    (12, 2)
    """
    features = np.asarray(features, np.float32)
    if not LEAST_MAPPED <= len(features) <= MOST_MAPPED:
        raise InputError(
            f"A map of {len(features):,} cells cannot be drawn: give {LEAST_MAPPED} to {MOST_MAPPED:,} (draw some)."
        )
    components = PCA(min(COMPONENTS, *features.shape), random_state=seed).fit_transform(features)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)


def draw_rows(rows: np.ndarray, seed: int, most: int = MOST_DRAWN) -> np.ndarray:
    """Some rows at random, in their order, where there are more than is quick to map."""
    rows = np.asarray(rows)
    return (
        rows
        if len(rows) <= most
        else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    )
