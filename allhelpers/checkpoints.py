"""A training as far as it has come, in one file, so that a training that was stopped goes on from there."""

import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from . import runs

# A checkpoint is written after each epoch, unless writing would take more than this share of the time.
MOST_SHARE = 0.05


class Checkpoint:
    """Variables, history and the best epoch of a training.

    Parameters
    ----------
    path : Path or None
        ``checkpoint.npz``; without it nothing is kept on disk.
    identity : str
        Of the training; a file of another training is not used.
    settings : dict
        That decide the training.
    variables : list of keras.Variable
        All that changes while training: of the model and of its optimiser.

    Attributes
    ----------
    history : list of dict
        One row per finished epoch.
    best : list of ndarray
        Values of the variables after the epoch with the lowest validation loss; empty before there is one.
    """

    def __init__(self, path, identity, settings, variables):
        self.path, self.identity, self.settings, self.variables = path, identity, settings, variables
        self.history, self.best = [], []
        self._next = 0.0

    def restore(self):
        """Go back to where an earlier process was stopped, if it has left something that fits; else say so."""
        if self.path is None or not self.path.exists():
            return
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                record = json.loads(str(stored["record"]))
                values = [stored[f"variable_{k}"] for k in range(len(self.variables))]
                best = [stored[f"best_{k}"] for k in range(len(self.variables))] if record["best"] else []
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{self.path} cannot be used ({error}): training begins anew.", flush=True)
            return
        if record["identity"] != self.identity:
            print(f"{self.path} is of a training with other cells or weights: training begins anew.", flush=True)
            return
        self.history, self.best = record["history"], best
        assign(self.variables, values)
        print(f"Training goes on after epoch {len(self.history)}, where it was stopped.", flush=True)

    def add(self, row, is_best, is_last):
        """Take note of a finished epoch.

        Parameters
        ----------
        row : dict
            Of the history.
        is_best : bool
            Whether its validation loss is the lowest so far.
        is_last : bool
            Whether the training has ended with it.
        """
        self.history.append(row)
        if is_best:
            self.best = values_of(self.variables)
        if self.path is not None and (is_last or time.monotonic() >= self._next):
            began = time.monotonic()
            self._write()
            ended = time.monotonic()
            self._next = ended + (ended - began) / MOST_SHARE

    def _write(self):
        record = {"identity": self.identity, "settings": self.settings}
        record |= {"history": self.history, "best": bool(self.best)}
        arrays = {f"variable_{k}": value for k, value in enumerate(values_of(self.variables))}
        arrays |= {f"best_{k}": value for k, value in enumerate(self.best)}
        with runs.atomic(self.path) as partial:
            np.savez(partial, record=np.array(json.dumps(record)), **arrays)


def values_of(variables):
    """Copies of the variables' values, as NumPy arrays.

    Examples
    --------
    >>> import keras
    >>> [value.tolist() for value in values_of([keras.Variable([1.0, 2.0]), keras.Variable(3.0)])]
    [[1.0, 2.0], 3.0]
    """
    return [np.array(variable) for variable in variables]


def assign(variables, values):
    """Give variables the values of `values_of`.

    Examples
    --------
    >>> import keras
    >>> variable = keras.Variable([1.0, 2.0])
    >>> assign([variable], [np.array([5.0, 6.0])])
    >>> np.array(variable).tolist()
    [5.0, 6.0]
    """
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def settings_in(folder):
    """Settings of the training whose checkpoint lies in a folder; ``None`` where there is none that can be read.

    Examples
    --------
    >>> checkpoint = Checkpoint(path_in("."), "identity", {"epochs": 3}, variables=[])
    >>> checkpoint.add({"epoch": 1}, is_best=True, is_last=False)
    >>> settings_in(".")
    {'epochs': 3}
    """
    try:
        with np.load(path_in(folder), allow_pickle=False) as stored:
            return json.loads(str(stored["record"]))["settings"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def path_in(folder):
    """Where the checkpoint of an architecture's results lies.

    Examples
    --------
    >>> path_in("first/mobilenet").as_posix()
    'first/mobilenet/checkpoint.npz'
    """
    return Path(folder) / "checkpoint.npz"


def best_epoch(history):
    """Epoch with the lowest validation loss, the first of several.

    Parameters
    ----------
    history : list of dict or DataFrame

    Returns
    -------
    int
        From 1; 0 where there is none.

    Examples
    --------
    >>> best_epoch([{"epoch": 1, "val_loss": 0.7}, {"epoch": 2, "val_loss": 0.5}, {"epoch": 3, "val_loss": 0.6}])
    2
    """
    losses = pd.DataFrame(history, columns=["epoch", "val_loss"]).dropna()
    return int(losses.loc[losses["val_loss"].idxmin(), "epoch"]) if len(losses) else 0


def chosen_epoch(history, patience):
    """The epoch after which the network was left: the best one where training waited for it, else the last one.

    Parameters
    ----------
    history : DataFrame
        One row per epoch.
    patience : int
        Of the settings; 0: the network is kept as it is after the last epoch.

    Returns
    -------
    int
        From 1.

    Examples
    --------
    >>> history = pd.DataFrame({"epoch": [1, 2, 3], "val_loss": [0.7, 0.5, 0.6]})
    >>> chosen_epoch(history, patience=10), chosen_epoch(history, patience=0)
    (2, 3)
    """
    return (patience and best_epoch(history)) or int(history["epoch"].iloc[-1])
