"""What a network looks at, and which cells it takes for alike: two views of its last feature maps.

Weighted by a class they say where its evidence lies (Grad-CAM); averaged they are the features on
which the head decides. Neither says why, and on random weights neither means anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from .._core.errors import InputError
from ..networks import building, registry
from ..training import engines
from ..training.familiarity import draw, head_features

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network

AT_ONCE = 128  # cells whose feature maps are held in memory
MOST_EXPLAINED = 48  # cells of each class, for examples and their mean
LEAST_MAPPED = 3
MOST_DRAWN = 400  # cells in one map: seconds on two cores; t-SNE takes minutes for many more
COMPONENTS = 50  # on which t-SNE works (van der Maaten & Hinton 2008, section 4.2)
PERPLEXITY = 30


def grad_cam(model: Network, pixels: np.ndarray, label: str) -> np.ndarray:
    """Where in each image the evidence for a class lies, from 0 to 1 (the strongest place).

    Grad-CAM (Selvaraju et al. 2017): the last feature maps, weighted by the gradient of the class's
    score. They belong to the cell as it is, also where the settings average over orientations.
    """
    if label not in model.classes:
        raise InputError(
            f"{label!r} is not a class of this model: choose from {', '.join(model.classes)}."
        )
    if model.members:
        return _scaled(np.mean([grad_cam(each, pixels, label) for each in model.members], axis=0))
    size, column = model.settings.size, model.classes.index(label)
    heat = [np.zeros((0, size, size), np.float32)]
    for batch in _batches(model, pixels):
        if model.pools_depths:
            heat.append(_scaled(_weighted_depths(model, batch, column)))
        else:
            heat.append(heat_of(building.predict(last_maps(model), batch), model, label))
    return np.concatenate(heat)


def heat_of(maps: np.ndarray, model: Network, label: str) -> np.ndarray:
    """Grad-CAM from the last feature maps, which are there already; see `grad_cam`."""
    size = model.settings.size
    weighted = _weighted(maps, model, model.classes.index(label))
    enlarged = tf.image.resize(weighted[..., np.newaxis], (size, size), method="bilinear")
    return enlarged.numpy()[..., 0]


def _weighted(activations: np.ndarray, model: Network, column: int) -> np.ndarray:
    """Feature maps in one: weighted by the gradient of the class's score, if they speak for it."""
    activations = tf.constant(activations)
    with tf.GradientTape() as tape:
        tape.watch(activations)
        odds = _odds(model, tf.reduce_mean(activations, axis=(1, 2)), column)
    weights = tf.reduce_mean(tape.gradient(odds, activations), axis=(1, 2), keepdims=True)
    return _scaled(tf.reduce_sum(weights * activations, axis=-1).numpy())


def _weighted_depths(model: Network, batch: np.ndarray, column: int) -> np.ndarray:
    """The same for a head on several depths: their maps are enlarged, and added."""
    *maps, features = _depths(model)(batch, training=False)
    with tf.GradientTape() as tape:
        tape.watch(features)
        odds = _odds(model, features, column)
    gradients = tf.split(tape.gradient(odds, features), [one.shape[-1] for one in maps], axis=1)
    size, summed = model.settings.size, 0.0
    for one, gradient in zip(maps, gradients, strict=True):
        weighted = tf.reduce_sum(one * gradient[:, tf.newaxis, tf.newaxis], -1, keepdims=True)
        share = 1 / (one.shape[1] * one.shape[2])
        summed += share * tf.image.resize(weighted, (size, size), method="bilinear")[..., 0]
    return np.asarray(summed)


def _odds(model: Network, features: tf.Tensor, column: int) -> tf.Tensor:
    """Logarithm of the odds of a class: softmax knows only differences, one score says nothing."""
    logits = scores(model, features)
    others = tf.concat([logits[:, :column], logits[:, column + 1 :]], axis=1)
    return logits[:, column] - tf.reduce_logsumexp(others, axis=1)


def _scaled(heat: np.ndarray) -> np.ndarray:
    """Evidence for a class alone, from 0 to 1."""
    heat = np.maximum(heat, 0)
    strongest = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, strongest, out=np.zeros_like(heat), where=strongest > 0)


@dataclass(frozen=True)
class Evidence:
    """Where the evidence for a class lies in some cells of that class."""

    rows: np.ndarray  # row numbers in the cells
    heat: np.ndarray  # of shape (rows, size, size), float32, from `grad_cam`


def evidence(
    model: Network,
    cells: Cells,
    seed: int,
    *,
    split: str = "test",
    most: int = MOST_EXPLAINED,
    features: np.ndarray | None = None,
) -> dict[str, Evidence]:
    """Grad-CAM of the true class in cells of each class, drawn at random from one split.

    Coarse maps, and all 0 where nothing speaks for the class (Selvaraju et al. 2017, "Grad-CAM:
    visual explanations from deep networks via gradient-based localization").

    Parameters
    ----------
    model : Network
    cells : Cells
    seed : int
    split : {"train", "val", "test"}
    most : int
        Cells of each class.
    features : array of shape (orientations, cells, ...), optional
        From `training.compute_features`: where the network is cut below its last maps, only what
        lies above the cut has to run.

    Returns
    -------
    dict of str to Evidence
        Classes that have cells in this split.

    Examples
    --------
    >>> evidence(network, cells, seed=1, most=2)["all"].heat.shape
    (2, 64, 64)
    """
    random, in_split = np.random.default_rng(seed), cells.table["split"] == split
    drawn = {
        label: random.permutation(np.flatnonzero(in_split & (cells.table["label"] == label)))[:most]
        for label in model.classes
    }
    maps = None if features is None else _maps_of_rows(model, cells, features)

    def heat(rows: np.ndarray, label: str) -> np.ndarray:
        if maps is None:
            return grad_cam(model, cells.pixels[rows], label)
        parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
        return np.concatenate([heat_of(maps(part), model, label) for part in parts])

    return {label: Evidence(rows, heat(rows, label)) for label, rows in drawn.items() if len(rows)}


def _maps_of_rows(
    model: Network, cells: Cells, features: np.ndarray
) -> Callable[[np.ndarray], np.ndarray] | None:
    """The last feature maps of some rows, by what training has at hand: only the part above the cut
    has to run, or, where only the head is trained, the engine that has computed the features.
    """
    if model.members or model.pools_depths:
        return None
    if model.cut == "pooled" and engines.choose(model.settings.engine) == "openvino":
        forward = engines.maps_before_pooling(model.trunk)
        return forward and (lambda rows: forward(cells.pixels[rows]))
    if model.cut in ("pooled", "pixels"):
        return None
    pool, node, _ = building.head_input(model.tail)._keras_history
    maps = pool._inbound_nodes[node].input_tensors[0]
    above = _plain(keras.Model(model.tail.input, maps))
    return lambda rows: building.predict(above, features[0][rows])


def _plain(model: keras.Model) -> keras.Model:
    """Without XLA, whose compiling takes longer than a hundred cells do."""
    model.jit_compile = False
    return model


def embed(model: Network, pixels: np.ndarray) -> np.ndarray:
    """Features of cells as the head sees them, averaged over the image; an ensemble's are its
    first member's.
    """
    if model.members:
        return embed(model.members[0], pixels)
    forward = model.trunk if model.pools_depths else last_maps(model)
    features = [np.zeros((0, forward.output.shape[-1]), np.float32)]
    for batch in _batches(model, pixels):
        found = building.predict(forward, batch)
        features.append(found if model.pools_depths else found.mean(axis=(1, 2)))
    return np.concatenate(features)


# Building and tracing takes seconds, and a page asks for one cell after the other.
@functools.lru_cache(maxsize=4)
def last_maps(model: Network) -> keras.Model:
    """From pixels to the last feature maps; its layers are the model's own."""
    assert model.backbone is not None  # a head alone has none, and looks at nothing
    pixels = keras.Input(model.full.input.shape[1:], dtype="uint8")
    return _plain(keras.Model(pixels, model.backbone(building.prepared(model, pixels))))


@functools.lru_cache(maxsize=4)
def _depths(model: Network) -> keras.Model:
    """From pixels to the maps of every depth, and to the features that are pooled from them."""
    assert model.backbone is not None
    ends = building.depth_outputs(model.architecture, model.backbone, model.settings.depths)
    pixels = model.trunk.input
    maps = keras.Model(model.backbone.input, ends)(building.prepared(model, pixels))
    maps = maps if isinstance(maps, list) else [maps]
    return keras.Model(pixels, [*maps, model.trunk(pixels)])


def scores(model: Network, features: np.ndarray | tf.Tensor) -> tf.Tensor:
    """What the head gives to softmax."""
    names = [layer.name for layer in model.tail.layers]
    *before, last = model.tail.layers[names.index("pool") + 1 if "pool" in names else 1 :]
    for layer in before:
        features = layer(features)
    return (
        features if isinstance(last, keras.layers.Softmax) else features @ last.kernel + last.bias
    )


def _batches(model: Network, pixels: np.ndarray) -> Iterator[np.ndarray]:
    size, pixels = model.settings.size, registry.check_pixels(pixels)
    if pixels.shape[1:] != (size, size, 3):
        raise InputError(
            f"Pixels have shape {pixels.shape}, this model needs (cells, {size}, {size}, 3): "
            "resize them."
        )
    return (pixels[start : start + AT_ONCE] for start in range(0, len(pixels), AT_ONCE))


def nearest(
    features: np.ndarray, trained_features: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the nearest training cells of each cell, and their cosine distances (0 to 2)."""
    features, trained_features = np.asarray(features), np.asarray(trained_features)
    if features.shape[1] != trained_features.shape[1]:
        raise InputError(
            f"Features of {features.shape[1]} and of {trained_features.shape[1]} channels cannot "
            "be compared: take both from the same model."
        )
    if not 1 <= k <= len(trained_features):
        raise InputError(
            f"k = {k} neighbours of {len(trained_features)} training cells: "
            "choose 1 to that number."
        )
    neighbours = NearestNeighbors(n_neighbors=k, metric="cosine").fit(trained_features)
    distances, indices = neighbours.kneighbors(features)
    return indices, distances


def map_of_features(
    network: Network, features: np.ndarray, cells: Cells
) -> tuple[np.ndarray, np.ndarray]:
    """A map on which test cells with like features lie together.

    Where there are more than 400, so many are drawn at random, by the network's ``seed``.

    Parameters
    ----------
    network : Network
    features : array of shape (orientations, cells, ...)
        From `training.compute_features`.
    cells : Cells

    Returns
    -------
    rows : ndarray of int
        Row numbers of the cells on the map.
    places : ndarray of shape (rows, 2)
        By t-SNE after principal components, without unit. Only who lies beside whom means
        something; distances between groups, sizes of groups and the axes do not (van der Maaten &
        Hinton 2008, "Visualizing data using t-SNE").

    Raises
    ------
    InputError
        If there are too few cells.

    Examples
    --------
    >>> from allhelpers.training import compute_features
    >>> rows, places = map_of_features(network, compute_features(network, cells), cells)
    >>> len(rows), places.shape
    (70, (70, 2))
    """
    rows = draw(cells.rows("test"), network.settings.seed, MOST_DRAWN)
    return rows, places_of(head_features(network, features, rows), network.settings.seed)


def places_of(features: np.ndarray, seed: int) -> np.ndarray:
    """Where each cell lies on a map of these features."""
    features = np.asarray(features, np.float32)
    if len(features) < LEAST_MAPPED:
        raise InputError(
            f"A map of {len(features)} test cells cannot be drawn: it needs {LEAST_MAPPED}."
        )
    components = PCA(min(COMPONENTS, *features.shape), random_state=seed).fit_transform(features)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
