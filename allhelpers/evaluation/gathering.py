"""The results of one run, or of several, gathered from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from .._core.errors import InputError
from .._core.files import read_json, sha256
from ..data.tables import patients_of
from ..networks import registry
from ..networks.registry import NAMES
from ..training import checkpoints
from . import words
from .baselines import FOLDER, METHODS
from .metrics import measure
from .resampling import METRICS


def compare(run_folder: str | Path, names: list[str]) -> pd.DataFrame:
    """Gather the results of several architectures from a run's files.

    Parameters
    ----------
    run_folder : str or Path
    names : list of str

    Returns
    -------
    DataFrame
        One row per architecture: how it was trained, on which classes, training and validation figures at the chosen
        epoch, every test metric with its intervals (``low`` and ``high`` belong to test_accuracy, by Wilson;
        ``<metric>_low`` and ``<metric>_high`` are from the bootstrap of patients), seconds, parameters, size.

    Raises
    ------
    InputError
        If a result is missing, or belongs to other cells than the run's manifest.

    Examples
    --------
    >>> compare(run, ["mobilenet"])[["architecture", "test_correct", "test_cells", "chosen_epoch"]].values.tolist()
    [['mobilenet', 7, 10, 2]]
    """
    return pd.DataFrame([_row(Path(run_folder), name) for name in names])


def stages(run_folder: str | Path, names: list[str]) -> pd.DataFrame:
    """Where the time of each method went."""
    seconds = {
        name: read_json(Path(run_folder) / name / "parameters.json")["seconds"] for name in names
    }
    return pd.DataFrame(seconds).T.fillna(0)


def _row(run_folder: str | Path, name: str) -> Any:
    folder, notebook = run_folder / name, registry.notebook_of(name)
    if not (folder / "metrics.json").is_file():
        raise InputError(
            f"{folder} holds no finished result of {words.method_title(name)}: run notebook {notebook} first."
        )
    record, metrics = (read_json(folder / f) for f in ("parameters.json", "metrics.json"))
    if record["manifest_sha256"] != sha256(run_folder / "manifest.csv"):
        raise InputError(
            f"{folder} was computed on other cells than {run_folder}/manifest.csv: run {notebook} again."
        )
    test, settings = metrics["test"]["accuracy"], record["settings"]
    return {
        "architecture": name,
        "weights": record.get("weights", {}).get("label"),
        "unfreeze": settings.get("unfreeze"),
        "batch_norm": settings.get("batch_norm"),
        "split": settings["split"],
        "seed": settings["seed"],
        "classes": ",".join(metrics["test"]["patients"]),
        **_chosen_epoch(folder, settings.get("patience", 0)),
        "test_correct": test["correct"],
        "test_cells": test["cells"],
        "test_accuracy": test["value"],
        "low": test["low"],
        "high": test["high"],
        **_metric_columns(metrics["test"]),
        "test_patients": sum(metrics["test"]["patients"].values()),
        "seconds": sum(record["seconds"].values()),
        "parameters": record.get("parameters", {}).get("total"),
        "trained": record.get("parameters", {}).get("trained"),
        "megabytes": record.get("model", {}).get("megabytes"),
        "notes": "; ".join(metrics["notes"]),
    }


def _chosen_epoch(folder: Path, patience: int) -> Any:
    """How the training of the network that was kept stood; nothing for methods that are not trained in epochs."""
    columns = {"accuracy": "train_accuracy", "val_accuracy": "valid_accuracy"}
    columns |= {"loss": "train_loss", "val_loss": "valid_loss"}
    if not (folder / "history.csv").is_file():
        return dict.fromkeys(["epochs", "chosen_epoch", *columns.values()])
    history = pd.read_csv(folder / "history.csv")
    chosen = checkpoints.chosen_epoch(history, patience)
    row = history.set_index("epoch").loc[chosen]
    return {
        "epochs": len(history),
        "chosen_epoch": chosen,
        **{ours: row[its] for its, ours in columns.items()},
    }


def _metric_columns(metrics: dict) -> Any:
    columns = {}
    for name in METRICS:
        entry = metrics[name]
        columns[name] = entry["value"]
        columns[f"{name}_low"], columns[f"{name}_high"] = (
            entry["patients_low"],
            entry["patients_high"],
        )
    return columns


def notes_of(comparison: pd.DataFrame) -> list[str]:
    """Every note of a comparison once, in the order of first appearance.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> notes_of(pd.DataFrame({"notes": ["subset; random weights", "subset", None]}))
    ['subset', 'random weights']
    """
    return list(
        dict.fromkeys(
            note for notes in comparison["notes"].fillna("") for note in notes.split("; ") if note
        )
    )


def predictions_of(run_folder: str | Path, names: list[str]) -> dict[str, pd.DataFrame]:
    """Test predictions of several architectures and of the baselines.

    Parameters
    ----------
    run_folder : str or Path
    names : list of str
        Architectures.

    Returns
    -------
    dict of str to DataFrame

    Raises
    ------
    InputError
        If a file is missing.

    Examples
    --------
    >>> {name: len(table) for name, table in predictions_of(run, ["mobilenet"]).items()}
    {'mobilenet': 10, 'majority': 10, 'area': 10}
    """
    run_folder = Path(run_folder)
    paths = {name: run_folder / name / "predictions.csv" for name in names}
    paths |= {name: run_folder / FOLDER / f"{name}.csv" for name in METHODS}
    found = {}
    for name, path in paths.items():
        if not path.is_file():
            notebook = "1_data_split" if name in METHODS else registry.notebook_of(name)
            raise InputError(f"{path} does not exist: run notebook {notebook} first.")
        found[name] = _test_rows(path)
    return found


def summarize(run_folders: list[str | Path]) -> pd.DataFrame:
    """Several runs, of other splits or seeds, as one: mean, spread, and metrics over all their test cells.

    Parameters
    ----------
    run_folders : list of str or Path
        Finished runs.

    Returns
    -------
    DataFrame
        One row per architecture: runs, cells, patients; for each metric the mean over the runs (``<metric>_mean``),
        their standard deviation (``<metric>_sd``), and the value over the test cells of all runs together
        (``<metric>``) with its interval from the bootstrap of patients (``<metric>_low``, ``<metric>_high``).

    Raises
    ------
    InputError
        If a folder holds no finished result.

    Examples
    --------
    >>> summarize([run, run])[["architecture", "runs", "cells", "accuracy_mean"]].values.tolist()
    [['mobilenet', 2, 20, 0.7]]
    """
    return pd.DataFrame([_summary(name, tables) for name, tables in tested(run_folders).items()])


def finished_in(run_folder: str | Path) -> list[str]:
    """Methods whose results lie in a run folder, in the order of `methods.NAMES`."""
    names = [name for name in NAMES if (Path(run_folder) / name / "metrics.json").is_file()]
    if not names:
        raise InputError(f"{run_folder} holds no finished result: give folders of finished runs.")
    return names


def tested(run_folders: list[str | Path]) -> dict[str, list[pd.DataFrame]]:
    """Test predictions of several runs."""
    found = {}
    for folder in map(Path, run_folders):
        for name in finished_in(folder):
            found.setdefault(name, []).append(_test_rows(folder / name / "predictions.csv"))
    return found


def _summary(name: str, tables: Any) -> Any:
    each = [measure(table, resamples=0) for table in tables]
    together = pd.concat(tables, ignore_index=True)
    row = {
        "architecture": name,
        "runs": len(tables),
        "cells": len(together),
        "patients": patients_of(together).nunique(),
    }
    for metric in METRICS:
        values = pd.Series([found[metric]["value"] for found in each], dtype=float)
        row[f"{metric}_mean"], row[f"{metric}_sd"] = values.mean(), values.std()
    return {**row, **_metric_columns(measure(together))}


def _test_rows(path: Path) -> Any:
    table = pd.read_csv(
        path, dtype={"subject": str, "file": str, "label": str}, keep_default_na=False
    )
    return table[table["split"] == "test"]
