"""The tail of a network is trained on the trunk's features, epoch by epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from .._core.errors import InputError
from .._core.files import write_csv
from ..data import tables
from ..networks import building
from . import checkpoints, records
from .checkpoints import Checkpoint

if TYPE_CHECKING:
    from ..data.loading import Cells
    from ..networks.building import Network
    from ..settings import TrainingSettings

CHUNK_BYTES = 64 * 1024**2  # features that are held in memory at a time while training

PREDICTED_AT_ONCE = 256  # cells whose features are held in memory


def epoch_order(
    rows: np.ndarray, epoch: int, settings: TrainingSettings, shares: np.ndarray | None = None
) -> Any:
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

    Examples
    --------
    >>> order, orientation = epoch_order(np.arange(5), epoch=0, settings=training_settings)
    >>> order.tolist(), orientation.tolist()
    ([3, 2, 0, 1, 4], [0, 0, 0, 0, 0])
    """
    random = np.random.default_rng([settings.seed, epoch])
    order = random.permutation(rows) if shares is None else random.choice(rows, len(rows), p=shares)
    return order, random.integers(settings.orientations, size=len(rows))


def balanced_shares(table: pd.DataFrame, balance: str) -> np.ndarray | None:
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

    Examples
    --------
    >>> cells = pd.DataFrame({"file": ["1.bmp", "2.bmp", "3.bmp"], "label": ["all", "all", "hem"]})
    >>> balanced_shares(cells, "class").tolist()
    [0.25, 0.25, 0.5]
    """
    if balance == "none":
        return None
    shares = 1 / table.groupby("label")["file"].transform("size")
    if balance == "patient":
        patients = table.groupby("label")["subject"].transform("nunique")
        shares = 1 / (patients * table.groupby(["label", "subject"])["file"].transform("size"))
    return (shares / shares.sum()).to_numpy()


def train(
    network: Network,
    features: np.ndarray,
    cells: Cells,
    settings: TrainingSettings,
    folder: Path | None = None,
    model: keras.Model | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """Train the tail on features; a training that was stopped goes on, one that has ended is only opened.

    Parameters
    ----------
    network : networks.Network
        Its tail is changed in place, and with it the full model.
    features : array of shape (orientations, cells, ...)
    cells : loading.Cells
    settings : TrainingSettings
    folder : Path, optional
        Of the architecture's results: gets history.csv and, until `models.finish`, checkpoint.npz.
    model : keras.Model, optional
        What to train instead of the tail; with the full model and pixels as features this is training end to end.
    quiet : bool
        Without a bar.

    Returns
    -------
    DataFrame
        One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, seconds. The training loss holds label
        smoothing, if any. With ``settings.refit`` the validation cells are trained on and so give no figures. With
        ``settings.patience`` the network is left as it was after the epoch with the lowest validation loss.

    Raises
    ------
    InputError
        If the loss is no longer finite.

    Examples
    --------
    >>> from allhelpers import trunk
    >>> features = trunk.compute_features(network, cells, training_settings)
    >>> history = train(network, features, cells, training_settings, quiet=True)
    >>> list(history)
    ['epoch', 'loss', 'accuracy', 'val_loss', 'val_accuracy', 'seconds']
    >>> history["epoch"].tolist()
    [1, 2]
    """
    identity = records.identify(network, cells)
    finished = records.reopen(network, folder, identity)
    if finished is not None:
        return finished
    labels, (train_rows, valid_rows) = cells.labels(), _rows(cells, settings)
    shares = balanced_shares(cells.table.iloc[train_rows], settings.balance)
    trainer = _Trainer(model or network.tail, settings, len(train_rows))
    kept = _checkpoint(folder, network, identity, trainer)
    kept.restore()
    title = f"{network.architecture.title}: training"
    with tqdm(
        total=settings.epochs, initial=len(kept.history), desc=title, unit="epoch", disable=quiet
    ) as bar:
        while not is_over(kept.history, settings):
            began, epoch = time.perf_counter(), len(kept.history)
            order, orientation = epoch_order(train_rows, epoch, settings, shares)
            loss, accuracy = trainer.epoch(features, labels, order, orientation)
            if not np.isfinite(loss):
                raise InputError(
                    f"The training loss is not finite in epoch {epoch + 1}: lower learning_rate."
                )
            val_loss, val_accuracy = trainer.measure(features[0], labels, valid_rows)
            row = {
                "loss": loss,
                "accuracy": accuracy,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
            }
            bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            row = {"epoch": epoch + 1, **row, "seconds": time.perf_counter() - began}
            is_best = (
                settings.patience > 0 and checkpoints.best_epoch([*kept.history, row]) == epoch + 1
            )
            kept.add(row, is_best, is_over([*kept.history, row], settings))
            if folder:
                write_csv(folder / "history.csv", pd.DataFrame(kept.history))
            bar.update()
    if kept.best:
        checkpoints.assign(trainer.variables, kept.best)
    return pd.DataFrame(kept.history)


def _checkpoint(folder: Path, network: Network, identity: str, trainer: Any) -> Any:
    path = folder and checkpoints.path_in(folder)
    return Checkpoint(path, identity, network.settings.deciding(), trainer.variables)


def _rows(cells: Cells, settings: TrainingSettings) -> Any:
    """Row numbers of the cells that are trained on, and of those that only validate."""
    train_rows, valid_rows = cells.rows("train"), cells.rows("valid")
    if settings.refit:
        return np.sort(np.concatenate([train_rows, valid_rows])), valid_rows[:0]
    return train_rows, valid_rows


def is_over(history: list[dict], settings: TrainingSettings) -> bool:
    """Whether a training has ended: after all its epochs, or because validation has not improved for long enough."""
    waited = len(history) - checkpoints.best_epoch(history) if settings.patience else 0
    return len(history) >= settings.epochs or waited > settings.patience


def step_size(settings: TrainingSettings, cells: int) -> Any:
    """Step size of the optimiser: a number, or a schedule that falls to zero along half a cosine."""
    if settings.schedule == "constant":
        return settings.learning_rate
    steps = settings.epochs * -(-cells // settings.batch_size)
    return keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)


def optimizer(settings: TrainingSettings, cells: int) -> keras.optimizers.Optimizer:
    """The optimiser of the settings; all but the step size, and SGD's momentum, is Keras's default.

    Parameters
    ----------
    settings : TrainingSettings
    cells : int
        Training cells, which decide the steps of a schedule.

    Returns
    -------
    keras.optimizers.Optimizer

    Examples
    --------
    >>> sgd = optimizer(training_settings, cells=100)
    >>> type(sgd).__name__, sgd.momentum
    ('SGD', 0.9)
    """
    rate = step_size(settings, cells)
    if settings.optimiser == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum)
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    kinds |= {"adagrad": keras.optimizers.Adagrad, "ftrl": keras.optimizers.Ftrl}
    return kinds[settings.optimiser](rate)


class _Trainer:
    """Mini-batch SGD whose loop over batches runs inside TensorFlow, without Python between two steps."""

    def __init__(self, model: Any, settings: TrainingSettings, cells: Cells) -> None:
        self.model, self.batch_size = model, settings.batch_size
        self.optimizer = optimizer(settings, cells)
        self.optimizer.build(model.trainable_variables)
        # The state of dropout's random numbers is among the model's variables.
        self.variables = [*model.variables, *self.optimizer.variables]
        self.loss = keras.losses.CategoricalCrossentropy(reduction="sum")
        self.training_loss = keras.losses.CategoricalCrossentropy(
            label_smoothing=settings.label_smoothing, reduction="sum"
        )
        self._steps = tf.function(self._train_steps, reduce_retracing=True)
        self._forward = tf.function(self._predict, reduce_retracing=True)

    def epoch(self, features: np.ndarray, labels: np.ndarray, order: Any, orientation: int) -> Any:
        """One epoch; returns the mean loss and the accuracy, both taken while training, as Keras does."""
        return self._mean(
            self._steps(self._cast(features[orientation[part], order[part]]), labels[order[part]])
            for part in self._chunks(features, len(order))
        )

    def measure(self, features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Any:
        """Mean loss and accuracy in inference mode."""
        return self._mean(
            self._forward(self._cast(features[rows[part]]), labels[rows[part]])
            for part in self._chunks(features[np.newaxis], len(rows))
        )

    def _chunks(self, features: np.ndarray, count: Any) -> Any:
        """Slices of whole batches that fit into `CHUNK_BYTES`."""
        bytes_per_batch = (
            self.batch_size * int(np.prod(features.shape[2:])) * features.dtype.itemsize
        )
        length = self.batch_size * max(1, CHUNK_BYTES // bytes_per_batch)
        return [slice(start, min(start + length, count)) for start in range(0, count, length)]

    @staticmethod
    def _cast(features: np.ndarray) -> Any:
        """Pixels stay bytes: the model's own input; features return to single precision."""
        return tf.constant(
            features if features.dtype == np.uint8 else features.astype(np.float32, copy=False)
        )

    @staticmethod
    def _mean(parts: Any) -> Any:
        parts = list(parts)
        if not parts:
            return np.nan, np.nan
        losses, right, cells = np.sum([[float(value) for value in part] for part in parts], axis=0)
        return losses / cells, right / cells

    def _train_steps(self, features: np.ndarray, labels: np.ndarray) -> Any:
        losses, right, cells = 0.0, 0.0, tf.shape(features)[0]
        for start in tf.range(0, cells, self.batch_size):
            batch, truth = (
                features[start : start + self.batch_size],
                labels[start : start + self.batch_size],
            )
            with tf.GradientTape() as tape:
                probabilities = self.model(batch, training=True)
                batch_loss = self.training_loss(truth, probabilities)
                mean_loss = batch_loss / tf.cast(tf.shape(batch)[0], tf.float32)
            variables = self.model.trainable_variables
            self.optimizer.apply(tape.gradient(mean_loss, variables), variables)
            losses, right = losses + batch_loss, right + self._count_right(truth, probabilities)
        return losses, right, cells

    def _predict(self, features: np.ndarray, labels: np.ndarray) -> Any:
        losses, right, cells = 0.0, 0.0, tf.shape(features)[0]
        for start in tf.range(0, cells, self.batch_size):
            batch, truth = (
                features[start : start + self.batch_size],
                labels[start : start + self.batch_size],
            )
            probabilities = self.model(batch, training=False)
            losses, right = (
                losses + self.loss(truth, probabilities),
                right + self._count_right(truth, probabilities),
            )
        return losses, right, cells

    @staticmethod
    def _count_right(truth: Any, probabilities: np.ndarray) -> Any:
        return tf.reduce_sum(
            tf.cast(tf.argmax(truth, 1) == tf.argmax(probabilities, 1), tf.float32)
        )


def predict_cells(network: Network, features: np.ndarray, cells: Cells) -> pd.DataFrame:
    """Probabilities of the cells of validation and test, averaged over as many orientations as the settings say.

    Validation cells that have been trained on (``refit``) are left out.

    Parameters
    ----------
    network : networks.Network
    features : array of shape (orientations, cells, ...)
        From `trunk.compute_features`.
    cells : loading.Cells

    Returns
    -------
    DataFrame
        What predictions.csv holds, as from `evaluation.tabulate`.

    Examples
    --------
    >>> from allhelpers import trunk
    >>> features = trunk.compute_features(network, cells, training_settings)
    >>> predict_cells(network, features, cells).groupby("split").size().to_dict()
    {'test': 70, 'valid': 70}
    """
    sides = ("test",) if network.settings.refit else ("valid", "test")
    rows = np.concatenate([cells.rows(side) for side in sides])
    probabilities = np.zeros((len(rows), len(network.classes)))
    for start in range(0, len(rows), PREDICTED_AT_ONCE):
        part = rows[start : start + PREDICTED_AT_ONCE]
        turned = [
            building.predict(network.tail, features[orientation, part])
            for orientation in range(network.settings.average)
        ]
        probabilities[start : start + len(part)] = np.mean(turned, axis=0)
    return tables.tabulate(cells, rows, probabilities)
