"""The tail of a network is trained on the trunk's features, epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from .._core.errors import InputError
from ..data import tables
from ..data.orientations import OrientedPixels
from ..data.weighting import cell_weights
from ..networks import building
from . import choosing, records
from .checkpoints import Checkpoint, EarlyStopping

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..runs import Result
    from ..settings import TrainingSettings

CHUNK_BYTES = 64 * 1024**2  # features that are held in memory at a time while training

Features = np.ndarray | OrientedPixels
Sums = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # of losses, of correct cells, of cells


def epoch_order(
    rows: np.ndarray, epoch: int, settings: TrainingSettings, *, shares: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Order and views of the training cells; by seed and epoch alone, so that runs can go on."""
    random = np.random.default_rng([settings.seed, epoch])
    order = random.permutation(rows) if shares is None else random.choice(rows, len(rows), p=shares)
    views = np.array(settings.trained_views)
    return order, views[random.integers(len(views), size=len(rows))]


def drawn_shares(table: pd.DataFrame, settings: TrainingSettings) -> np.ndarray | None:
    """How often each training cell is drawn, where not all are drawn alike."""
    if settings.balance_by == "loss" or "size" in settings.balance:  # these weigh in the loss
        return None
    weights = cell_weights(table, settings.balance)
    return None if weights is None else weights / weights.sum()


def train(
    network: Network,
    features: Features,
    cells: Cells,
    *,
    result: Result | None = None,
    weights: np.ndarray | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """Train the tail on features, as the network's settings say.

    A training that was stopped goes on; one that has ended is only opened.

    Parameters
    ----------
    network : Network
        Its tail is changed in place, and with it the full model.
    features : array of shape (orientations, cells, ...)
        From `compute_features`.
    cells : Cells
    result : Result, optional
        From `claim`: gets history.csv and, until `finish`, checkpoint.npz.
    weights : ndarray of shape (cells,), optional
        How much each cell counts in the training loss, relative to the others; by default all
        count the same. Figures of validation do not know of it.
    quiet : bool
        Without a bar.

    Returns
    -------
    DataFrame
        One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, seconds, and val_score
        where ``settings.choose_by`` names another figure than the loss. The training loss
        holds label smoothing and weights, if any. With ``settings.refit`` the validation cells are
        trained on and so give no figures. With ``settings.patience`` the network is left as it was
        after the epoch with the best figure of validation.

    Raises
    ------
    InputError
        If the loss is no longer finite.

    Examples
    --------
    >>> from allhelpers.training import compute_features
    >>> features = compute_features(network, cells)
    >>> history = train(network, features, cells, quiet=True)
    >>> list(history)
    ['epoch', 'loss', 'accuracy', 'val_loss', 'val_accuracy', 'seconds']
    >>> history["epoch"].tolist()
    [1, 2]
    """
    identity = records.identify(network, cells, weights)
    finished = records.reopen(network, result, identity) if result else None
    if finished is not None:
        return finished
    if weights is None:
        weights = loss_weights(cells, network.settings)
    if network.settings.standardise:
        rows = _rows(cells, network.settings)[0]
        building.standardise(network.tail, features[0][rows])
    trainer = _Trainer(network.tail, network.settings, features, cells, weights)
    stopping = EarlyStopping(network.settings, trainer.variables)
    deciding, title = network.settings.deciding(), f"{network.architecture.title}: training"
    checkpoint = Checkpoint(result, identity, deciding, stopping) if result else None
    history = checkpoint.restore() if checkpoint else []
    bar = tqdm(total=stopping.epochs, initial=len(history), desc=title, unit="epoch", disable=quiet)
    with bar:
        while not stopping.is_over(history):
            history.append(trainer.epoch(len(history)))
            stopping.on_epoch_end(history)
            if checkpoint:
                checkpoint.on_epoch_end(history)
            shown = list(history[-1].items())[1:-1]
            bar.set_postfix({name: f"{value:.3f}" for name, value in shown})
            bar.update()
    stopping.on_train_end()
    return pd.DataFrame(history)


def loss_weights(cells: Cells, settings: TrainingSettings) -> np.ndarray | None:
    """How much each training cell counts, where the balance is more than how often it is drawn."""
    if settings.balance_by == "draw" and "size" not in settings.balance:
        return None
    rows = _rows(cells, settings)[0]
    table = cells.table.iloc[rows].assign(area=cells.areas[rows])
    weights = np.zeros(len(cells.table))
    balanced = cell_weights(table, settings.balance, size_matching=settings.size_matching)
    weights[rows] = 1 if balanced is None else balanced
    return weights


def learning_rate(
    settings: TrainingSettings, cells: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A number, or a schedule that falls to zero along half a cosine."""
    if settings.schedule == "constant":
        return settings.learning_rate
    steps = settings.epochs * -(-cells // settings.batch_size)
    return keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)


def optimizer(settings: TrainingSettings, cells: int) -> keras.optimizers.Optimizer:
    """The optimizer of the settings; else Keras's defaults, but for SGD's momentum."""
    kind = type(keras.optimizers.get(settings.optimizer))
    options = {"momentum": settings.momentum} if settings.optimizer == "sgd" else {}
    return kind(learning_rate(settings, cells), **options)


class _Trainer:
    """Mini-batches in a loop inside TensorFlow: 0.08 s per epoch of a head; by Keras 0.57 s."""

    def __init__(
        self,
        model: keras.Model,
        settings: TrainingSettings,
        features: Features,
        cells: Cells,
        weights: np.ndarray | None,
    ) -> None:
        self.model, self.settings, self.features, self.cells = model, settings, features, cells
        self.labels, self.train_rows, self.val_rows = cells.labels(), *_rows(cells, settings)
        self.shares = drawn_shares(cells.table.iloc[self.train_rows], settings)
        self.weights = None
        if weights is not None:  # of mean 1, so that they leave the learning rate what it is
            self.weights = (weights / weights[self.train_rows].mean()).astype(np.float32)
        self.optimizer = optimizer(settings, len(self.train_rows))
        self.optimizer.build(model.trainable_variables)
        # The state of dropout's random numbers is among the model's variables.
        self.variables = [*model.variables, *self.optimizer.variables]
        self.loss = keras.losses.CategoricalCrossentropy(reduction="sum")
        self.training_loss = keras.losses.CategoricalCrossentropy(
            label_smoothing=settings.label_smoothing, reduction="sum"
        )
        self._train_on = tf.function(self._train_batches, reduce_retracing=True)
        self._measure_on = tf.function(self._measure_batches, reduce_retracing=True)

    def epoch(self, epoch: int) -> dict[str, float]:
        """One epoch (from 0); its figures of training are taken while training, as Keras does."""
        began = time.perf_counter()
        order, turns = epoch_order(self.train_rows, epoch, self.settings, shares=self.shares)
        loss, accuracy = self._mean(
            self._train_on(
                self._tensor(self.features[turns[part], order[part]]),
                self.labels[order[part]],
                None if self.weights is None else self.weights[order[part]],
            )
            for part in self._chunks(len(order))
        )
        if not np.isfinite(loss):
            raise InputError(
                f"The training loss is not finite in epoch {epoch + 1}: lower learning_rate."
            )
        upright, rows = self.features[0], self.val_rows
        val_loss, val_accuracy = self._mean(
            self._measure_on(self._tensor(upright[rows[part]]), self.labels[rows[part]])
            for part in self._chunks(len(rows))
        )
        figures = {"epoch": epoch + 1, "loss": loss, "accuracy": accuracy}
        figures |= {"val_loss": val_loss, "val_accuracy": val_accuracy, **self._score()}
        return {**figures, "seconds": time.perf_counter() - began}

    def _score(self) -> dict[str, float]:
        """The figure by which patience chooses, where that is not the loss."""
        settings, rows = self.settings, self.val_rows
        if not settings.patience or settings.choose_by == "loss" or not len(rows):
            return {}
        predicted = building.predict(self.model, self.features[0, rows])
        table = tables.tabulate(self.cells, rows, predicted)
        return {"val_score": choosing.score(table, settings.choose_by)}

    def _chunks(self, cells: int) -> list[slice]:
        """Slices of whole batches that fit into `CHUNK_BYTES`."""
        cell_bytes = int(np.prod(self.features.shape[2:])) * self.features.dtype.itemsize
        batch = self.settings.batch_size
        length = batch * max(1, CHUNK_BYTES // (batch * cell_bytes))
        return [slice(start, min(start + length, cells)) for start in range(0, cells, length)]

    @staticmethod
    def _tensor(features: np.ndarray) -> tf.Tensor:
        """Pixels stay bytes, the model's own input; features return to single precision."""
        dtype = np.uint8 if features.dtype == np.uint8 else np.float32
        return tf.constant(features.astype(dtype, copy=False))

    @staticmethod
    def _mean(chunks: Iterable[Sums]) -> tuple[float, float]:
        """Loss and accuracy per cell."""
        sums = [[float(value) for value in chunk] for chunk in chunks]
        if not sums:
            return np.nan, np.nan
        losses, correct, cells = np.sum(sums, axis=0)
        return losses / cells, correct / cells

    def _train_batches(
        self, features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None
    ) -> Sums:
        losses, correct, cells = 0.0, 0.0, tf.shape(features)[0]
        for start in tf.range(0, cells, self.settings.batch_size):
            stop = start + self.settings.batch_size
            batch, truth = features[start:stop], labels[start:stop]
            counts = None if weights is None else weights[start:stop]
            with tf.GradientTape() as tape:
                probabilities = self.model(batch, training=True)
                batch_loss = self.training_loss(truth, probabilities, sample_weight=counts)
                mean_loss = batch_loss / tf.cast(tf.shape(batch)[0], tf.float32)
                mean_loss += sum(self.model.losses)  # weight decay, where the settings ask for it
            variables = self.model.trainable_variables
            self.optimizer.apply(tape.gradient(mean_loss, variables), variables)
            losses, correct = losses + batch_loss, correct + _correct(truth, probabilities)
        return losses, correct, cells

    def _measure_batches(self, features: tf.Tensor, labels: tf.Tensor) -> Sums:
        losses, correct, cells = 0.0, 0.0, tf.shape(features)[0]
        for start in tf.range(0, cells, self.settings.batch_size):
            stop = start + self.settings.batch_size
            batch, truth = features[start:stop], labels[start:stop]
            probabilities = self.model(batch, training=False)
            losses += self.loss(truth, probabilities)
            correct += _correct(truth, probabilities)
        return losses, correct, cells


def _correct(truth: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    is_correct = tf.argmax(truth, 1) == tf.argmax(probabilities, 1)
    return tf.reduce_sum(tf.cast(is_correct, tf.float32))


def _rows(cells: Cells, settings: TrainingSettings) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the cells that are trained on, and of those that only validate."""
    train_rows, val_rows = cells.rows("train"), cells.rows("val")
    if settings.refit:
        return np.sort(np.concatenate([train_rows, val_rows])), val_rows[:0]
    return train_rows, val_rows


def predict_cells(network: Network, features: Features, cells: Cells) -> pd.DataFrame:
    """Probabilities of the cells of validation and test.

    They are averaged over as many orientations as the settings say. Validation cells that have been
    trained on (``refit``) are left out.

    Parameters
    ----------
    network : Network
    features : array of shape (orientations, cells, ...)
        From `compute_features`.
    cells : Cells

    Returns
    -------
    DataFrame
        What predictions.csv holds: file, patient, split, label and ``p_<class>`` of each class.

    Examples
    --------
    >>> from allhelpers.training import compute_features
    >>> features = compute_features(network, cells)
    >>> predict_cells(network, features, cells).groupby("split").size().to_dict()
    {'test': 70, 'val': 70}
    """
    splits = ("test",) if network.settings.refit else ("val", "test")
    rows = np.concatenate([cells.rows(split) for split in splits])
    return tables.tabulate(cells, rows, probabilities(network, features, rows))


def probabilities(network: Network, features: Features, rows: np.ndarray) -> np.ndarray:
    """Probabilities of some cells, averaged over as many orientations as the settings say."""
    turns = range(network.settings.tta)
    each = [building.predict_rows(network.tail, features, rows, turn) for turn in turns]
    return np.mean(each, axis=0)
