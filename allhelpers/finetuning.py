"""Trunk and tail: the frozen part of a backbone runs once, the rest is trained on what it gave.

The backbone is cut at the last frozen layer. Below is the *trunk*: frozen, in inference mode, a pure function of the
pixels. Above is the *tail*: the unfrozen blocks and a new softmax head. Features at the cut are computed once and
memory-mapped; every epoch trains the tail on them. That is the same mathematics as training the whole network with
its lower part frozen, without repeating the frozen part in every epoch. The full model, pixels in and probabilities
out, shares the layers of both: nothing is copied after training.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from filelock import FileLock
from tqdm.auto import tqdm

from . import architectures, evaluation, loading, pretrained, runs
from .errors import InputError
from .manifest import CLASSES
from .settings import TrainingSettings

# Cells per forward pass: on a CPU 16 are as quick as 32, and VGG16 then stays under 3 GB of memory.
FORWARD_BATCH = 16
CHUNK_BYTES = 64 * 1024**2  # features that are held in memory at a time while training

PREDICTED_AT_ONCE = 256  # cells whose features are held in memory
ORIENTATIONS = 8  # a square has 4 rotations, each with its reflection


@dataclass(frozen=True)
class Network:
    """A backbone with a new head, cut into trunk and tail.

    Attributes
    ----------
    architecture : Architecture
    settings : TrainingSettings
        What it was built for.
    cut : str
        Layer at which the backbone is cut, ``"pooled"`` or ``"pixels"``.
    trunk, tail, full : keras.Model
        Pixels to features, features to probabilities, and pixels to probabilities; ``full`` shares all layers.
    """

    architecture: architectures.Architecture
    settings: TrainingSettings
    cut: str
    trunk: keras.Model
    tail: keras.Model
    full: keras.Model

    def parameters(self):
        """Count the model's numbers.

        Returns
        -------
        dict of str to int
            ``total`` and ``trained``.
        """
        trained = sum(int(np.prod(w.shape)) for w in self.tail.trainable_weights)
        return {"total": self.full.count_params(), "trained": trained}


def build(architecture, settings, source, cells=None):
    """Build a network: backbone, new head, cut.

    The head is what the paper describes: global average pooling and one fully connected layer with softmax.

    Parameters
    ----------
    architecture : Architecture
    settings : TrainingSettings
    source : pretrained.Weights or None
        ``None`` where weights will be loaded afterwards.
    cells : loading.Cells, optional
        On a few of whose training cells random weights are calibrated.

    Returns
    -------
    Network
    """
    cut = _cut(architecture, settings)
    keras.utils.set_random_seed(settings.seed)
    backbone = architecture.build(settings.input_size)
    pixels = keras.Input((settings.input_size, settings.input_size, 3), dtype="uint8", name="pixels")
    preprocessed = architectures.preprocess(architecture, pixels)
    if source and source.source == "random":
        chosen = np.random.default_rng(settings.seed).permutation(cells.rows("train"))[: pretrained.CALIBRATION_CELLS]
        sight = keras.Model(pixels, preprocessed)
        pretrained.draw_random(backbone, sight.predict_on_batch(cells.pixels[np.sort(chosen)]))
    elif source:
        pretrained.load(backbone, source.path)
    trunk, tail = _divide(backbone, pixels, preprocessed, cut, settings)
    _freeze(architecture, trunk, tail, backbone, settings)
    full = keras.Model(pixels, tail(trunk(pixels)), name=architecture.name)
    return Network(architecture, settings, cut, trunk, tail, full)


def _cut(architecture, settings):
    """Batch normalisation that is trained everywhere leaves no frozen part below it."""
    cut = architecture.cut(settings.unfreeze)
    return "pixels" if settings.batch_norm == "all" else cut


def _divide(backbone, pixels, preprocessed, cut, settings):
    pool = keras.layers.GlobalAveragePooling2D(name="pool")
    head = _head(settings)
    if cut == "pooled":
        trunk = keras.Model(pixels, pool(backbone(preprocessed)), name="trunk")
        features = keras.Input(trunk.output.shape[1:], name="features")
        return trunk, keras.Model(features, head(features), name="tail")
    if cut == "pixels":
        trunk = keras.Model(pixels, pixels, name="trunk")
        return trunk, keras.Model(pixels, head(pool(backbone(preprocessed))), name="tail")
    features = backbone.get_layer(cut).output
    below = keras.Model(backbone.input, features, name="frozen_blocks")
    trunk = keras.Model(pixels, below(preprocessed), name="trunk")
    return trunk, keras.Model(features, head(pool(backbone.output)), name="tail")


def _head(settings):
    """The fully connected layer with softmax, with dropout before it where the settings ask for it."""
    dense = keras.layers.Dense(len(CLASSES), activation="softmax", dtype="float32", name="probabilities")
    if not settings.dropout:
        return dense
    dropout = keras.layers.Dropout(settings.dropout, name="dropout")
    return lambda pooled: dense(dropout(pooled))


def _freeze(architecture, trunk, tail, backbone, settings):
    """Decide for every layer whether it is trained; a frozen batch normalisation also keeps its statistics."""
    trunk.trainable = False
    is_norm = {layer.name: isinstance(layer, keras.layers.BatchNormalization) for layer in backbone.layers}
    above = _layers_above(architecture, backbone, settings.unfreeze)
    if tail.input.dtype == "uint8":  # the cut is at the pixels: the tail holds the whole backbone
        for layer in backbone.layers:
            layer.trainable = layer.name in above
    for layer in backbone.layers:
        if is_norm[layer.name]:
            layer.momentum = settings.norm_momentum
            if settings.batch_norm != "tail":
                layer.trainable = settings.batch_norm == "all"


def _layers_above(architecture, backbone, unfreeze):
    """Names of the backbone's layers above the cut that ``unfreeze`` asks for."""
    cut = architecture.cut(unfreeze)
    if cut == "pooled":
        return set()
    if cut == "pixels":
        return {layer.name for layer in backbone.layers}
    below = keras.Model(backbone.input, backbone.get_layer(cut).output)
    return {layer.name for layer in backbone.layers} - {layer.name for layer in below.layers}


def orient(pixels, orientation):
    """Rotate by quarter turns, and reflect from 4 on: the 8 symmetries of a square, none of which changes a label.

    Parameters
    ----------
    pixels : array of shape (n, size, size, 3)
    orientation : int
        0 (as it is) to 7.

    Returns
    -------
    ndarray of the same shape
    """
    turned = np.rot90(pixels, orientation % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if orientation >= 4 else turned)


class OrientedPixels:
    """Pixels as features of a network without a frozen part: turned when they are read, not kept eight times.

    Parameters
    ----------
    pixels : array of shape (cells, size, size, 3), uint8
    """

    def __init__(self, pixels):
        self.pixels, self.dtype, self.shape = pixels, pixels.dtype, (ORIENTATIONS, *pixels.shape)

    def __getitem__(self, index):
        """As an array of shape (orientations, cells, ...) would give: ``[orientation]`` or ``[orientation, rows]``."""
        orientation, rows = index if isinstance(index, tuple) else (index, slice(None))
        if np.ndim(orientation) == 0:
            return orient(self.pixels[rows], orientation)
        pairs = zip(rows, orientation, strict=True)
        return np.concatenate([orient(self.pixels[row : row + 1], turn) for row, turn in pairs])


def feature_precision(network, settings):
    """Precision in which features are kept: half, except for pooled ones, which are small."""
    if settings.features != "auto":
        return settings.features
    return "float32" if network.cut == "pooled" else "float16"


def features_key(network, cells_key, orientations, precision):
    """Identify features by everything that decides them; the trunk by its weights' very values.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    values = hashlib.sha256()
    for array in network.trunk.get_weights():
        values.update(np.ascontiguousarray(array).data)
    recipe = [cells_key, network.architecture.name, network.cut, values.hexdigest(), orientations, precision]
    recipe.append(keras.mixed_precision.dtype_policy().name)
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def compute_features(network, cells, settings):
    """Run the trunk once over all cells, or open what an earlier run has left.

    Parameters
    ----------
    network : Network
    cells : loading.Cells
    settings : TrainingSettings

    Returns
    -------
    ndarray of shape (orientations, cells, ...), or OrientedPixels where nothing is frozen
        Features at the cut, memory-mapped; ``features[0]`` belongs to the cells as they are.
    """
    if network.cut == "pixels":
        return OrientedPixels(cells.pixels)
    orientations, precision = max(settings.orientations, settings.average), feature_precision(network, settings)
    key = features_key(network, cells.key, orientations, precision)
    path = Path(settings.cache_folder) / "features" / f"{network.architecture.name}-{key[:32]}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            with runs.atomic(path) as partial:
                _run_trunk(network, cells.pixels, orientations, precision, partial)
    return np.load(path, mmap_mode="r")


def _run_trunk(network, pixels, orientations, precision, path):
    shape = (orientations, len(pixels), *network.trunk.output.shape[1:])
    features = np.lib.format.open_memmap(path, mode="w+", dtype=precision, shape=shape)
    with tqdm(total=orientations * len(pixels), desc=f"{network.architecture.title}: frozen part", unit="cell") as bar:
        for orientation in range(orientations):
            for start in range(0, len(pixels), FORWARD_BATCH):
                batch = orient(pixels[start : start + FORWARD_BATCH], orientation)
                computed = predict(network.trunk, batch)
                _check_range(computed, precision)
                features[orientation, start : start + len(batch)] = computed
                bar.update(len(batch))
    features.flush()


def _check_range(computed, precision):
    if not np.isfinite(computed).all():
        raise InputError("The frozen part gave values that are not finite: check the weights file.")
    if precision == "float16" and np.abs(computed).max() > np.finfo(np.float16).max:
        raise InputError("Features are too large for half precision: set features = float32.")


def epoch_order(rows, epoch, settings, shares=None):
    """Order of the training cells in one epoch, and the orientation in which each is shown.

    It depends on the seed and the epoch alone, so that a run that goes on sees what an uninterrupted one sees.

    Parameters
    ----------
    rows : ndarray of int
        Row numbers of the training cells.
    epoch : int
        From 0.
    settings : TrainingSettings
    shares : ndarray of float, optional
        How often each row is to be drawn, with sum 1; without it each row comes once.

    Returns
    -------
    order, orientation : ndarray of int, of the length of ``rows``
    """
    random = np.random.default_rng([settings.seed, epoch])
    order = random.permutation(rows) if shares is None else random.choice(rows, len(rows), p=shares)
    return order, random.integers(settings.orientations, size=len(rows))


def balanced_shares(table, balance):
    """How often each training cell is drawn.

    Parameters
    ----------
    table : DataFrame
        Training cells.
    balance : {"none", "class", "patient"}

    Returns
    -------
    ndarray of float with sum 1, or None
        ``"class"``: all classes equally often; ``"patient"``: within a class all patients equally often.
    """
    if balance == "none":
        return None
    shares = 1 / table.groupby("label")["file"].transform("size")
    if balance == "patient":
        patients = table.groupby("label")["subject"].transform("nunique")
        shares = 1 / (patients * table.groupby(["label", "subject"])["file"].transform("size"))
    return (shares / shares.sum()).to_numpy()


def train(network, features, cells, settings, history_path=None, model=None):
    """Train the tail on features and write the history as it grows.

    Parameters
    ----------
    network : Network
        Its tail is changed in place, and with it the full model.
    features : array of shape (orientations, cells, ...)
    cells : loading.Cells
    settings : TrainingSettings
    history_path : Path, optional
        CSV file that is written anew after every epoch.
    model : keras.Model, optional
        What to train instead of the tail; with the full model and pixels as features this is training end to end.

    Returns
    -------
    DataFrame
        One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, seconds. The training loss holds label
        smoothing, if any. With ``settings.refit`` the validation cells are trained on and so give no figures.

    Raises
    ------
    InputError
        If the loss is no longer finite.
    """
    labels, train_rows, valid_rows = cells.labels(), cells.rows("train"), cells.rows("valid")
    if settings.refit:
        train_rows, valid_rows = np.sort(np.concatenate([train_rows, valid_rows])), valid_rows[:0]
    shares = balanced_shares(cells.table.iloc[train_rows], settings.balance)
    trainer = _Trainer(model or network.tail, settings, len(train_rows))
    history = []
    with tqdm(range(settings.epochs), desc=f"{network.architecture.title}: training", unit="epoch") as bar:
        for epoch in bar:
            began = time.perf_counter()
            order, orientation = epoch_order(train_rows, epoch, settings, shares)
            loss, accuracy = trainer.epoch(features, labels, order, orientation)
            val_loss, val_accuracy = trainer.measure(features[0], labels, valid_rows)
            row = {"loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy}
            bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            history.append({"epoch": epoch + 1, **row, "seconds": time.perf_counter() - began})
            if not np.isfinite(loss):
                raise InputError(f"The training loss is not finite in epoch {epoch + 1}: lower learning_rate.")
            if history_path:
                runs.write_csv(history_path, pd.DataFrame(history))
    return pd.DataFrame(history)


def step_size(settings, cells):
    """Step size of the optimiser: a number, or a schedule that falls to zero along half a cosine.

    Parameters
    ----------
    settings : TrainingSettings
    cells : int
        Training cells, which with the batch size give the number of steps.

    Returns
    -------
    float or keras.optimizers.schedules.LearningRateSchedule
    """
    if settings.schedule == "constant":
        return settings.learning_rate
    steps = settings.epochs * -(-cells // settings.batch_size)
    return keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)


class _Trainer:
    """Mini-batch SGD whose loop over batches runs inside TensorFlow, without Python between two steps.

    Features come chunk by chunk from the memory map, so that memory does not grow with the number of cells.
    """

    def __init__(self, model, settings, cells):
        self.model, self.batch_size = model, settings.batch_size
        self.optimizer = keras.optimizers.SGD(step_size(settings, cells), momentum=settings.momentum)
        self.optimizer.build(model.trainable_variables)
        self.loss = keras.losses.CategoricalCrossentropy(reduction="sum")
        self.training_loss = keras.losses.CategoricalCrossentropy(
            label_smoothing=settings.label_smoothing, reduction="sum"
        )
        self._steps = tf.function(self._train_steps, reduce_retracing=True)
        self._forward = tf.function(self._predict, reduce_retracing=True)

    def epoch(self, features, labels, order, orientation):
        """One epoch; returns the mean loss and the accuracy, both taken while training, as Keras does."""
        return self._mean(
            self._steps(self._cast(features[orientation[part], order[part]]), labels[order[part]])
            for part in self._chunks(features, len(order))
        )

    def measure(self, features, labels, rows):
        """Mean loss and accuracy in inference mode."""
        return self._mean(
            self._forward(self._cast(features[rows[part]]), labels[rows[part]])
            for part in self._chunks(features[np.newaxis], len(rows))
        )

    def _chunks(self, features, count):
        """Slices of whole batches that fit into `CHUNK_BYTES`."""
        bytes_per_batch = self.batch_size * int(np.prod(features.shape[2:])) * features.dtype.itemsize
        length = self.batch_size * max(1, CHUNK_BYTES // bytes_per_batch)
        return [slice(start, min(start + length, count)) for start in range(0, count, length)]

    @staticmethod
    def _cast(features):
        """Pixels stay bytes: the model's own input; features return to single precision."""
        return tf.constant(features if features.dtype == np.uint8 else features.astype(np.float32, copy=False))

    @staticmethod
    def _mean(parts):
        parts = list(parts)
        if not parts:
            return np.nan, np.nan
        losses, right, cells = np.sum([[float(value) for value in part] for part in parts], axis=0)
        return losses / cells, right / cells

    def _train_steps(self, features, labels):
        losses, right, cells = 0.0, 0.0, tf.shape(features)[0]
        for start in tf.range(0, cells, self.batch_size):
            batch, truth = features[start : start + self.batch_size], labels[start : start + self.batch_size]
            with tf.GradientTape() as tape:
                probabilities = self.model(batch, training=True)
                batch_loss = self.training_loss(truth, probabilities)
                mean_loss = batch_loss / tf.cast(tf.shape(batch)[0], tf.float32)
            variables = self.model.trainable_variables
            self.optimizer.apply(tape.gradient(mean_loss, variables), variables)
            losses, right = losses + batch_loss, right + self._count_right(truth, probabilities)
        return losses, right, cells

    def _predict(self, features, labels):
        losses, right, cells = 0.0, 0.0, tf.shape(features)[0]
        for start in tf.range(0, cells, self.batch_size):
            batch, truth = features[start : start + self.batch_size], labels[start : start + self.batch_size]
            probabilities = self.model(batch, training=False)
            losses, right = losses + self.loss(truth, probabilities), right + self._count_right(truth, probabilities)
        return losses, right, cells

    @staticmethod
    def _count_right(truth, probabilities):
        return tf.reduce_sum(tf.cast(tf.argmax(truth, 1) == tf.argmax(probabilities, 1), tf.float32))


def predict(model, inputs):
    """Outputs of a model in inference mode, batch by batch.

    Parameters
    ----------
    model : keras.Model
        A trunk, a tail, or a full model, whose outputs are probabilities in the order of `manifest.CLASSES`.
    inputs : array of shape (n, ...)

    Returns
    -------
    ndarray of shape (n, ...), float32
    """
    outputs = np.empty((len(inputs), *model.output.shape[1:]), np.float32)
    for start in range(0, len(inputs), FORWARD_BATCH):
        batch = inputs[start : start + FORWARD_BATCH]
        # The last batch is filled up: one shape only, so that TensorFlow compiles the model once.
        filled = np.concatenate([batch, np.repeat(batch[-1:], FORWARD_BATCH - len(batch), axis=0)])
        outputs[start : start + len(batch)] = model.predict_on_batch(filled)[: len(batch)]
    return outputs


def predict_cells(network, features, cells):
    """Probabilities of the cells of validation and test, averaged over as many orientations as the settings say.

    Validation cells that have been trained on (``refit``) are left out.

    Parameters
    ----------
    network : Network
    features : array of shape (orientations, cells, ...)
        From `compute_features`.
    cells : loading.Cells

    Returns
    -------
    DataFrame
        What predictions.csv holds, as from `evaluation.tabulate`.
    """
    sides = ("test",) if network.settings.refit else ("valid", "test")
    rows = np.concatenate([cells.rows(side) for side in sides])
    probabilities = np.zeros((len(rows), len(CLASSES)))
    for start in range(0, len(rows), PREDICTED_AT_ONCE):
        part = rows[start : start + PREDICTED_AT_ONCE]
        turned = [predict(network.tail, features[orientation, part]) for orientation in range(network.settings.average)]
        probabilities[start : start + len(part)] = np.mean(turned, axis=0)
    return evaluation.tabulate(cells, rows, probabilities)


def device():
    """What computes: the name of the first GPU, or ``"CPU"``."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"


def save(network, folder):
    """Save the full model as ``model.keras``.

    Parameters
    ----------
    network : Network
    folder : str or Path

    Returns
    -------
    dict
        What parameters.json records: the file's name, its SHA-256 and its size in MB.
    """
    path = Path(folder) / "model.keras"
    with runs.atomic(path) as partial:
        network.full.save(partial)
    return {"file": path.name, "sha256": runs.sha256(path), "megabytes": path.stat().st_size / 1e6}


def describe(network, source, settings, notes, manifest_sha256, clock):
    """What parameters.json records of a training, but for the saved model.

    Parameters
    ----------
    network : Network
    source : pretrained.Weights
    settings : TrainingSettings
    notes : list of str
        What must be said beside every figure.
    manifest_sha256 : str
        Of the run's manifest.csv.
    clock : runs.Clock

    Returns
    -------
    dict
    """
    return {
        "architecture": network.architecture.name,
        "notes": notes,
        "settings": settings.model_dump(),
        "weights": source.record(),
        "cut": network.cut,
        "parameters": network.parameters(),
        "manifest_sha256": manifest_sha256,
        "device": device(),
        "versions": runs.versions(),
        "seconds": clock.seconds,
    }


def load(path):
    """Load a model of this project without running code from the file.

    The network is rebuilt from the recorded settings by the project's own code; of the file only the weights are
    read, after its SHA-256 has been compared with the run's record.

    Parameters
    ----------
    path : str or Path
        ``model.keras``, or the folder that holds it beside ``parameters.json``.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        If the file is not one that this project has written.
    """
    path = Path(path)
    path = path / "model.keras" if path.is_dir() else path
    record = path.parent / "parameters.json"
    if not path.is_file() or not record.is_file():
        raise InputError(f"{path} with parameters.json beside it does not exist: give a model.keras of a finished run.")
    recorded = runs.read_json(record)
    if recorded.get("model", {}).get("sha256") != runs.sha256(path):
        raise InputError(f"{path} is not the model that {record} records (SHA-256 differs): use an unchanged run.")
    architecture = architectures.get(recorded["architecture"])
    network = build(architecture, TrainingSettings(**recorded["settings"]), source=None)
    network.full.load_weights(path)
    return network


def classify(network, files):
    """Classify picture files, prepared and averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : Network
    files : list of Path

    Returns
    -------
    DataFrame
        Columns file, p_all, p_hem, predicted.
    """
    settings, probabilities = network.settings, []
    for start in tqdm(range(0, len(files), FORWARD_BATCH), desc="classifying", unit="batch"):
        batch = files[start : start + FORWARD_BATCH]
        pixels = architectures.check_pixels(np.stack([loading.decode_file(path, settings) for path in batch]))
        turned = [predict(network.full, orient(pixels, orientation)) for orientation in range(settings.average)]
        probabilities.append(np.mean(turned, axis=0))
    table = pd.DataFrame(np.concatenate(probabilities), columns=[f"p_{label}" for label in CLASSES])
    table.insert(0, "file", [str(path) for path in files])
    return table.assign(predicted=[CLASSES[k] for k in table[["p_all", "p_hem"]].to_numpy().argmax(axis=1)])
