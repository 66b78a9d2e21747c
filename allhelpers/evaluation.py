"""One evaluator for every notebook: predictions in, metrics with their intervals out.

Everything here is computed from ``predictions.csv`` and the other files of a run, so that a reader can do it again.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from . import RESEARCH_ONLY, architectures, runs
from .errors import InputError
from .manifest import CLASSES, POSITIVE

THRESHOLD = 0.5
CONFIDENCE = 0.95
PAPER_RESULTS = Path(__file__).resolve().parent.parent / "results" / "paper.csv"


def tabulate(cells, rows, probabilities):
    """Put probabilities beside the cells that they belong to.

    Parameters
    ----------
    cells : loading.Cells
    rows : ndarray of int
        Row numbers in ``cells``.
    probabilities : array of shape (len(rows), 2)

    Returns
    -------
    DataFrame
        Columns file, subject, split, label, p_all.
    """
    table = cells.table.iloc[rows][["file", "subject", "split", "label"]].reset_index(drop=True)
    return table.assign(p_all=probabilities[:, CLASSES.index(POSITIVE)].astype(float).round(6))


def predict(model, features, cells):
    """Probabilities of the cells of validation and test.

    Parameters
    ----------
    model : keras.Model
        A tail on features, or a full model on pixels.
    features : array of shape (cells, ...)
    cells : loading.Cells

    Returns
    -------
    DataFrame
        What predictions.csv holds, as from `tabulate`.
    """
    from . import finetuning  # loads TensorFlow, which a comparison does not need

    rows = np.concatenate([cells.rows("valid"), cells.rows("test")])
    return tabulate(cells, rows, finetuning.predict(model, features[rows]))


def predicted_labels(predictions):
    """Class of each cell: ``"all"`` from a probability of one half.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    Series of str
    """
    negative = CLASSES[1 - CLASSES.index(POSITIVE)]
    return predictions["p_all"].ge(THRESHOLD).map({True: POSITIVE, False: negative})


def confusion(predictions):
    """Confusion matrix.

    Parameters
    ----------
    predictions : DataFrame

    Returns
    -------
    DataFrame of shape (2, 2)
        Rows: true class; columns: predicted class; in the order of `manifest.CLASSES`.
    """
    matrix = sk.confusion_matrix(predictions["label"], predicted_labels(predictions), labels=CLASSES)
    return pd.DataFrame(matrix, index=CLASSES, columns=CLASSES)


def proportion(correct, cells):
    """A proportion with its 95 % interval.

    Parameters
    ----------
    correct, cells : int

    Returns
    -------
    dict
        value, low, high, correct, cells, interval. The interval is Wilson's (1927), which keeps its coverage near 0
        and 1, where small test sets of good models are. Without cells there are no values.
    """
    counts = {"correct": int(correct), "cells": int(cells), "interval": "Wilson 95 %"}
    if not cells:
        return {"value": None, "low": None, "high": None, **counts}
    low, high = proportion_confint(correct, cells, alpha=1 - CONFIDENCE, method="wilson")
    return {"value": correct / cells, "low": low, "high": high, **counts}


def measure(predictions):
    """Metrics of one side of the split.

    Parameters
    ----------
    predictions : DataFrame
        Columns label and p_all.

    Returns
    -------
    dict
        accuracy, sensitivity (of ALL cells, the share that is called ALL) and specificity (of normal cells, the share
        that is called normal), each as `proportion` gives it, and the confusion matrix.
    """
    matrix = confusion(predictions)
    negative = CLASSES[1 - CLASSES.index(POSITIVE)]
    right = {label: matrix.loc[label, label] for label in CLASSES}
    return {
        "accuracy": proportion(sum(right.values()), len(predictions)),
        "sensitivity": proportion(right[POSITIVE], matrix.loc[POSITIVE].sum()),
        "specificity": proportion(right[negative], matrix.loc[negative].sum()),
        "confusion_matrix": {"rows_true_columns_predicted": list(CLASSES), "counts": matrix.to_numpy().tolist()},
    }


def evaluate(predictions, notes):
    """What metrics.json holds.

    Parameters
    ----------
    predictions : DataFrame
        Cells of validation and test.
    notes : list of str
        What must be said beside every figure.

    Returns
    -------
    dict
    """
    sides = {side: measure(group) for side, group in predictions.groupby("split")}
    return {"warning": RESEARCH_ONLY, "notes": notes, **sides}


def table_of_metrics(metrics, side="test"):
    """Metrics of one side as a table for a notebook.

    Parameters
    ----------
    metrics : dict
        From `evaluate`.
    side : str

    Returns
    -------
    DataFrame
        One row per metric: value, low, high, correct, cells.
    """
    rows = {name: entry for name, entry in metrics[side].items() if "value" in entry}
    return pd.DataFrame(rows).T[["value", "low", "high", "correct", "cells"]]


def compare(run_folder, names):
    """Gather the results of several architectures from a run's files.

    Parameters
    ----------
    run_folder : str or Path
    names : list of str

    Returns
    -------
    DataFrame
        One row per architecture: how it was trained, final training and validation figures, test accuracy with its
        interval, seconds, parameters, size.

    Raises
    ------
    InputError
        If a result is missing, or belongs to other cells than the run's manifest.
    """
    run_folder = Path(run_folder)
    rows = [_row(run_folder, name) for name in names]
    return pd.DataFrame(rows)


def _row(run_folder, name):
    folder, architecture = run_folder / name, architectures.get(name)
    if not (folder / "metrics.json").is_file():
        raise InputError(f"{folder} holds no finished result of {architecture.title}: run notebook 2_{name} first.")
    record, metrics = (runs.read_json(folder / f) for f in ("parameters.json", "metrics.json"))
    if record["manifest_sha256"] != runs.sha256(run_folder / "manifest.csv"):
        raise InputError(f"{folder} was computed on other cells than {run_folder}/manifest.csv: run 2_{name} again.")
    last = pd.read_csv(folder / "history.csv").iloc[-1]
    test, settings = metrics["test"]["accuracy"], record["settings"]
    return {
        "architecture": name,
        "weights": record["weights"]["label"],
        "unfreeze": settings["unfreeze"],
        "batch_norm": settings["batch_norm"],
        "split": settings["split"],
        "seed": settings["seed"],
        "epochs": int(last["epoch"]),
        "train_accuracy": last["accuracy"],
        "valid_accuracy": last["val_accuracy"],
        "train_loss": last["loss"],
        "valid_loss": last["val_loss"],
        "test_correct": test["correct"],
        "test_cells": test["cells"],
        "test_accuracy": test["value"],
        "low": test["low"],
        "high": test["high"],
        "seconds": sum(record["seconds"].values()),
        "parameters": record["parameters"]["total"],
        "trained": record["parameters"]["trained"],
        "megabytes": record["model"]["megabytes"],
        "notes": "; ".join(metrics["notes"]),
    }


def notes_of(comparison):
    """Every note of a comparison once, in the order of first appearance.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    list of str
    """
    return list(dict.fromkeys(note for notes in comparison["notes"].fillna("") for note in notes.split("; ") if note))


def paper_results():
    """The paper's own table, with Wilson intervals computed from its counts.

    Returns
    -------
    DataFrame
        One row per architecture, columns as in `compare` where the paper has them.
    """
    table = pd.read_csv(PAPER_RESULTS)
    intervals = [proportion(row.test_correct, row.test_cells) for row in table.itertuples()]
    return table.assign(
        test_accuracy=[i["value"] for i in intervals],
        low=[i["low"] for i in intervals],
        high=[i["high"] for i in intervals],
    )


def beside_paper(comparison):
    """The paper's table and ours, one under the other for each architecture.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    DataFrame
        Rows indexed by architecture and source (paper, this run).
    """
    columns = ["train_accuracy", "valid_accuracy", "train_loss", "valid_loss", "test_accuracy", "low", "high", "right"]
    both = pd.concat({"paper": paper_results(), "this run": comparison}, names=["source"])
    both = both[both["architecture"].isin(comparison["architecture"])]
    both["right"] = both["test_correct"].astype(str) + " of " + both["test_cells"].astype(str)
    order = {name: k for k, name in enumerate(comparison["architecture"])}
    both = both.reset_index("source").sort_values(["architecture", "source"], key=lambda s: s.replace(order))
    return both.set_index(["architecture", "source"])[columns]


def sentence(row):
    """One row of a comparison in words.

    Parameters
    ----------
    row : Series
        Of `compare`.

    Returns
    -------
    str
    """
    title = architectures.get(row["architecture"]).title
    return (
        f"{title}: {row['test_correct']} of {row['test_cells']} test cells right, {row['test_accuracy']:.1%} "
        f"(95 % interval {row['low']:.1%} to {row['high']:.1%})"
    )
