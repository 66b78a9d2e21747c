"""A training as far as it has come, in one file, so that a training that was stopped goes on from there."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._core.files import atomic

if TYPE_CHECKING:
    from ..settings import TrainingSettings

# A checkpoint is written after each epoch, unless writing would take more than this share of the time.
MOST_SHARE = 0.05


class Checkpoint:
    """Variables, history and the best epoch of a training."""

    def __init__(
        self, path: Path, identity: str, settings: TrainingSettings, variables: Any
    ) -> None:
        self.path, self.identity, self.settings, self.variables = (
            path,
            identity,
            settings,
            variables,
        )
        self.history, self.best = [], []
        self._next = 0.0

    def restore(self) -> None:
        """Go back to where an earlier process was stopped, if it has left something that fits; else say so."""
        if self.path is None or not self.path.exists():
            return
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                record = json.loads(str(stored["record"]))
                values = [stored[f"variable_{k}"] for k in range(len(self.variables))]
                best = (
                    [stored[f"best_{k}"] for k in range(len(self.variables))]
                    if record["best"]
                    else []
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{self.path} cannot be used ({error}): training begins anew.", flush=True)
            return
        if record["identity"] != self.identity:
            print(
                f"{self.path} is of a training with other cells or weights: training begins anew.",
                flush=True,
            )
            return
        self.history, self.best = record["history"], best
        assign(self.variables, values)
        print(
            f"Training goes on after epoch {len(self.history)}, where it was stopped.", flush=True
        )

    def add(self, row: dict, is_best: bool, is_last: bool) -> None:
        """Take note of a finished epoch."""
        self.history.append(row)
        if is_best:
            self.best = values_of(self.variables)
        if self.path is not None and (is_last or time.monotonic() >= self._next):
            began = time.monotonic()
            self._write()
            ended = time.monotonic()
            self._next = ended + (ended - began) / MOST_SHARE

    def _write(self) -> None:
        record = {"identity": self.identity, "settings": self.settings}
        record |= {"history": self.history, "best": bool(self.best)}
        arrays = {f"variable_{k}": value for k, value in enumerate(values_of(self.variables))}
        arrays |= {f"best_{k}": value for k, value in enumerate(self.best)}
        with atomic(self.path) as partial:
            np.savez(partial, record=np.array(json.dumps(record)), **arrays)


def values_of(variables: Any) -> Any:
    """Copies of the variables' values, as NumPy arrays."""
    return [np.array(variable) for variable in variables]


def assign(variables: Any, values: dict[str, Any]) -> None:
    """Give variables the values of `values_of`."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def settings_in(folder: Path) -> Any:
    """Settings of the training whose checkpoint lies in a folder; ``None`` where there is none that can be read."""
    try:
        with np.load(path_in(folder), allow_pickle=False) as stored:
            return json.loads(str(stored["record"]))["settings"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def path_in(folder: Path) -> Any:
    """Where the checkpoint of an architecture's results lies."""
    return Path(folder) / "checkpoint.npz"


def best_epoch(history: list[dict] | pd.DataFrame) -> int:
    """Epoch with the lowest validation loss, the first of several."""
    losses = pd.DataFrame(history, columns=["epoch", "val_loss"]).dropna()
    return int(losses.loc[losses["val_loss"].idxmin(), "epoch"]) if len(losses) else 0


def chosen_epoch(history: pd.DataFrame, patience: int) -> int:
    """The epoch after which the network was left: the best one where training waited for it, else the last one."""
    return (patience and best_epoch(history)) or int(history["epoch"].iloc[-1])
