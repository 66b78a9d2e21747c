"""What is asked and kept after each epoch: is training over, the best epoch, a checkpoint."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._core.files import atomic

if TYPE_CHECKING:
    import keras

    from ..runs import Result
    from ..settings import TrainingSettings

# A checkpoint is written after each epoch, unless that would take more of the time than this.
MOST_SHARE = 0.05
Values = list[np.ndarray]
log = logging.getLogger(__name__)


class EarlyStopping:
    """Ends a training; with patience, once validation has stopped improving, and at its best."""

    def __init__(self, settings: TrainingSettings, variables: Sequence[keras.Variable]) -> None:
        self.epochs, self.patience = settings.epochs, settings.patience
        self.variables = variables
        self.best: Values = []

    def on_epoch_end(self, history: list[dict]) -> None:
        """Keep the variables of the best epoch so far."""
        if self.patience and best_epoch(history) == len(history):
            self.best = values_of(self.variables)

    def is_over(self, history: list[dict]) -> bool:
        """Whether all epochs are done, or validation has not improved for more than `patience`."""
        waited = len(history) - best_epoch(history) if self.patience else 0
        return len(history) >= self.epochs or waited > self.patience

    def on_train_end(self) -> None:
        """Go back to the best epoch."""
        if self.best:
            assign(self.variables, self.best)


class Checkpoint:
    """A training as far as it has come, in one file of its results, from which it goes on."""

    def __init__(
        self, result: Result, identity: str, settings: dict, stopping: EarlyStopping
    ) -> None:
        self.result, self.path = result, result.checkpoint_path
        self.identity, self.settings, self.stopping = identity, settings, stopping
        self._next = 0.0

    def restore(self) -> list[dict]:
        """Go back to where an earlier process was stopped, if it has left something that fits."""
        if not self.path.exists():
            return []
        variables = self.stopping.variables
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                record = json.loads(str(stored["record"]))
                values = [stored[f"variable_{k}"] for k in range(len(variables))]
                best = [stored[f"best_{k}"] for k in range(len(variables) * record["best"])]
            for number, value in enumerate([*values, *best]):
                if value.shape != tuple(variables[number % len(variables)].shape):
                    raise ValueError(f"variable {number} has another shape")
            identity, history = record["identity"], record["history"]
            best_epoch(history)
        except Exception as error:  # a damaged zip file makes its readers raise all kinds
            log.info("%s cannot be used (%s): training begins anew.", self.path, error)
            return []
        if identity != self.identity:
            log.info(
                "%s is of a training with other cells or weights: training begins anew.", self.path
            )
            return []
        self.stopping.best = best
        assign(variables, values)
        log.info("Training goes on after epoch %d, where it was stopped.", len(history))
        return history

    def on_epoch_end(self, history: list[dict]) -> None:
        """Keep history.csv, and what it takes to go on unless that was kept a moment ago."""
        if self.stopping.is_over(history) or time.monotonic() >= self._next:
            began = time.monotonic()
            self._write(history)
            ended = time.monotonic()
            self._next = ended + (ended - began) / MOST_SHARE
        self.result.write_history(pd.DataFrame(history))

    def _write(self, history: list[dict]) -> None:
        best, variables = self.stopping.best, values_of(self.stopping.variables)
        facts = {"identity": self.identity, "settings": self.settings, "history": history}
        record = np.array(json.dumps({**facts, "best": bool(best)}))
        arrays = {f"variable_{k}": value for k, value in enumerate(variables)}
        arrays |= {f"best_{k}": value for k, value in enumerate(best)}
        with atomic(self.path) as partial:
            np.savez(partial, allow_pickle=False, record=record, **arrays)


def values_of(variables: Sequence[keras.Variable]) -> Values:
    """Copies of the variables' values."""
    return [np.array(variable) for variable in variables]


def assign(variables: Sequence[keras.Variable], values: Values) -> None:
    """Give variables the values of `values_of`."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def settings_in(path: Path) -> dict[str, Any] | None:
    """Settings of the training of a checkpoint; ``None`` where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            settings = json.loads(str(stored["record"]))["settings"]
        return settings if isinstance(settings, dict) else None
    except Exception:  # as in `restore`
        return None


def best_epoch(history: list[dict] | pd.DataFrame) -> int:
    """First epoch of the highest ``val_score``, else of the lowest ``val_loss``; 0 for none."""
    table = pd.DataFrame(history, columns=["epoch", "val_loss", "val_score"])
    scores = table["val_score"] if table["val_score"].notna().any() else -table["val_loss"]
    known = table.assign(score=scores.astype(float)).dropna(subset="score")
    return int(known["epoch"].iloc[known["score"].argmax()]) if len(known) else 0


def chosen_epoch(history: pd.DataFrame, patience: int) -> int:
    """The epoch after which the network was left: the best where training waited, else the last."""
    return (patience and best_epoch(history)) or int(history["epoch"].iloc[-1])
