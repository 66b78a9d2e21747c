"""The results of one run, or of several, gathered from their files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from .._core.errors import InputError
from .._core.files import sha256
from ..data.tables import classes_of, patients_of
from ..networks import registry
from ..networks.registry import NAMES
from ..runs import Run
from ..training import checkpoints
from . import words
from .baselines import METHODS
from .comparison import Evaluated, metric_columns, table_of_methods, table_of_pairs
from .definitions import METRICS
from .metrics import measure

if TYPE_CHECKING:
    from ..runs import Result

REST = "start and figures"  # of a notebook: what no stage counts


def compare(run_folder: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """Gather the results of several architectures from a run's files.

    Parameters
    ----------
    run_folder : str or Path
    names : iterable of str

    Returns
    -------
    DataFrame
        One row per architecture: how it was trained, on which classes, training and validation
        figures at the chosen epoch, every test metric with its intervals (``low`` and ``high``
        belong to test_accuracy, by Wilson; ``<metric>_low`` and ``<metric>_high`` are from the
        bootstrap of patients), seconds, parameters, size.

    Raises
    ------
    InputError
        If a result is missing, or belongs to other cells than the run's manifest.

    Examples
    --------
    >>> table = compare(run, ["mobilenet"])
    >>> table[["architecture", "test_correct", "test_cells", "chosen_epoch"]].values.tolist()
    [['mobilenet', 7, 10, 2]]
    """
    run = Run(run_folder)
    return pd.DataFrame([_row(run, run.result(name)) for name in names])


def stages(run_folder: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """Where the time of each method went.

    Parameters
    ----------
    run_folder : str or Path
    names : iterable of str

    Returns
    -------
    DataFrame
        Seconds, one row per method and one column per stage.

    Examples
    --------
    >>> float(stages(run, ["mobilenet"]).loc["mobilenet", "training"])
    2.0
    """
    run = Run(run_folder)
    return pd.DataFrame({name: _seconds(run, run.result(name)) for name in names}).T.fillna(0)


def _seconds(run: Run, result: Result) -> dict[str, float]:
    """Seconds of each stage, and of the rest of a notebook that has trained this method alone."""
    stages = dict(result.record()["seconds"])
    whole = run.notebook_seconds(registry.notebook_of(result.name))
    if whole is not None and result.name not in registry.CLASSICAL:
        stages[REST] = round(max(0.0, whole - sum(stages.values())), 3)
    return stages


def _row(run: Run, result: Result) -> dict:
    if not result.metrics_path.is_file():
        raise InputError(words.no_result(result))
    record, metrics = result.record(), result.metrics()
    if record["manifest_sha256"] != sha256(run.manifest_path):
        raise InputError(
            f"{result.folder} was computed on other cells than {run.manifest_path}: "
            f"run {registry.notebook_of(result.name)} again."
        )
    test, settings = metrics["test"], record["settings"]
    accuracy, parameters = test["accuracy"], record.get("parameters", {})
    return {
        "architecture": result.name,
        "weights": record.get("weights", {}).get("label"),
        "unfreeze": settings.get("unfreeze"),
        "batch_norm": settings.get("batch_norm"),
        "split": settings["split"],
        "seed": settings["seed"],
        "classes": ",".join(test["patients"]),
        **_chosen_epoch(result, settings.get("patience", 0)),
        "test_correct": accuracy["correct"],
        "test_cells": accuracy["cells"],
        "test_accuracy": accuracy["value"],
        "low": accuracy["low"],
        "high": accuracy["high"],
        **metric_columns(test),
        "test_patients": sum(test["patients"].values()),
        "seconds": sum(_seconds(run, result).values()),
        "parameters": parameters.get("total"),
        "trained": parameters.get("trained"),
        "megabytes": record.get("model", {}).get("megabytes"),
        "notes": "; ".join(metrics["notes"]),
    }


def _chosen_epoch(result: Result, patience: int) -> dict:
    """How the training of the kept network stood; nothing for methods without epochs."""
    names = {"accuracy": "train_accuracy", "loss": "train_loss"}
    columns = ["accuracy", "val_accuracy", "loss", "val_loss"]
    if not result.history_path.is_file():
        return dict.fromkeys(["epochs", "chosen_epoch", *(names.get(c, c) for c in columns)])
    history = result.history()
    epoch = checkpoints.chosen_epoch(history, patience)
    row = history.set_index("epoch").loc[epoch, columns].rename(names)
    return {"epochs": len(history), "chosen_epoch": epoch, **row}


def compare_methods(
    run_folder: str | Path, names: Iterable[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Networks and baselines on the same test cells: each for itself, and every two compared.

    Parameters
    ----------
    run_folder : str or Path
    names : iterable of str
        Architectures.

    Returns
    -------
    methods : DataFrame
        One row per method: method, every metric with ``<metric>_low`` and ``<metric>_high`` from
        the bootstrap of patients, and beats_area: whether its AUROC lies above the cell area's,
        with the whole interval of the difference above 0 (empty for the baselines themselves, and
        where there is no interval).
    pairs : DataFrame
        One row per pair: first, second, cells, patients; only_first and only_second (cells that
        one alone predicts correctly) with mcnemar_p (McNemar 1947, exact); for AUROC (plain, by
        patient, at equal size) and weighted F1 the difference, first less second, with the interval
        and the two-sided p of a paired bootstrap that resamples patients. All p are corrected for
        the number of pairs (Holm 1979); ``differ`` says whether both McNemar's test and the
        bootstrap of weighted F1 are below .05.

    Raises
    ------
    InputError
        If a file is missing, or two methods were tested on different cells.

    Examples
    --------
    >>> methods, pairs = compare_methods(run, ["mobilenet"])
    >>> methods[["method", "accuracy"]].values.tolist()
    [['mobilenet', 0.7], ['majority', 0.6], ['area', 0.6]]
    >>> pairs[["first", "second", "only_first", "only_second", "mcnemar_p"]].values.tolist()[0]
    ['mobilenet', 'majority', 2, 1, 1.0]
    """
    run = Run(run_folder)
    paths = {name: run.result(name).predictions_path for name in names}
    paths |= {name: run.baseline(name) for name in METHODS}
    for name, path in paths.items():
        if not path.is_file():
            notebook = "1_data_split" if name in METHODS else registry.notebook_of(name)
            raise InputError(f"{path} does not exist: run notebook {notebook} first.")
    tested = {name: Evaluated(_test_rows(run, name)) for name in paths}
    return table_of_methods(tested), table_of_pairs(tested)


def summarize(run_folders: Iterable[str | Path], *, baselines: bool = True) -> pd.DataFrame:
    """Several runs, of other splits or seeds, as one.

    Parameters
    ----------
    run_folders : iterable of str or Path
        Finished runs.
    baselines : bool
        Whether the majority class and the cell's area follow.

    Returns
    -------
    DataFrame
        One row per architecture and baseline: runs, cells, patients; for each metric the mean over
        the runs (``<metric>_mean``), their standard deviation (``<metric>_sd``), and the value over
        the test cells of all runs together (``<metric>``) with its interval from the bootstrap of
        patients (``<metric>_low``, ``<metric>_high``).

    Raises
    ------
    InputError
        If a folder holds no finished result.

    Examples
    --------
    >>> table = summarize([run, run])  # one run is one run, however often it is named
    >>> table[["architecture", "runs", "cells", "accuracy_mean"]].values.tolist()[0]
    ['mobilenet', 1, 10, 0.7]
    """
    found = tested(run_folders, baselines=baselines)
    return pd.DataFrame([_summary(name, tables) for name, tables in found.items()])


def finished_in(run_folder: str | Path) -> list[str]:
    """Methods whose results lie in a run folder, in the order of `registry.NAMES`."""
    names = Run(run_folder).finished(NAMES)
    if not names:
        raise InputError(f"{run_folder} holds no finished result: give folders of finished runs.")
    return names


def tested(run_folders: Iterable[str | Path], *, baselines: bool) -> dict[str, list[pd.DataFrame]]:
    """Test predictions of several runs, by method; networks first, then the baselines."""
    tables: dict[str, list[pd.DataFrame]] = {}
    trivial: dict[str, list[pd.DataFrame]] = {}
    # One run by two spellings of its path is one run.
    for folder in dict.fromkeys(Path(folder).resolve() for folder in run_folders):
        run, names = Run(folder), finished_in(folder)
        for name in names:
            tables.setdefault(name, []).append(_test_rows(run, name))
        for name in METHODS:
            if baselines and run.baseline(name).is_file():
                trivial.setdefault(name, []).append(_test_rows(run, name))
    return tables | trivial


def _summary(name: str, tables: list[pd.DataFrame]) -> dict:
    if len({tuple(sorted(classes_of(table))) for table in tables}) > 1:
        raise InputError(
            f"The runs of {words.method_title(name)} tell other classes apart: "
            "summarise runs of the same classes."
        )
    each = [measure(table, resamples=0) for table in tables]
    together = pd.concat(tables, ignore_index=True)
    row = {
        "architecture": name,
        "runs": len(tables),
        "cells": len(together),
        "patients": patients_of(together).nunique(),
    }
    for metric in METRICS:
        values = pd.Series([entries[metric]["value"] for entries in each], dtype=float)
        row |= {f"{metric}_mean": values.mean(), f"{metric}_sd": values.std()}
    return {**row, **metric_columns(measure(together))}


def _test_rows(run: Run, name: str) -> pd.DataFrame:
    if name not in METHODS:
        return run.result(name).predictions("test")
    table = run.baseline_predictions(name)
    return table[table["split"] == "test"]
