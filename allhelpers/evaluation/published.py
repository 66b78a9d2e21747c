"""Figures to stand beside: the paper's, and those that the project has measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .._core.packaged import packaged
from ..data.manifest import OFFICIAL_CLASSES
from . import metrics

RESULTS = packaged("results")

# In the same folder, with other columns.
OTHER_TABLES = (
    "paper",
    "ablation",
    "suspects",
    "collapse",
    "optimizers",
    "activations",
    "segmentation",
    "cross_validation",
    "patients",
)


def is_official(compared: pd.DataFrame) -> bool:
    """Whether the paper's figures can stand beside: all were tested on C-NMC 2019's classes."""
    return all(set(classes.split(",")) == set(OFFICIAL_CLASSES) for classes in compared["classes"])


def paper_results() -> pd.DataFrame:
    """The paper's own table, with Wilson intervals computed from its counts."""
    table = pd.read_csv(RESULTS / "paper.csv")
    counts = zip(table["test_correct"], table["test_cells"], strict=True)
    intervals = pd.DataFrame([metrics.proportion(*count) for count in counts])
    return table.assign(
        test_accuracy=intervals["value"], low=intervals["low"], high=intervals["high"]
    )


def paper_rows(compared: pd.DataFrame) -> pd.DataFrame:
    """The paper's results of the compared methods; none for other classes than the paper's."""
    table = paper_results()
    return table[table["architecture"].isin(compared["architecture"]) & is_official(compared)]


def beside_paper(comparison: pd.DataFrame) -> pd.DataFrame:
    """The paper's table and ours, one under the other; ours alone for other classes.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    DataFrame
        Rows indexed by architecture and source (paper, this run).

    Examples
    --------
    >>> from allhelpers.evaluation import compare
    >>> beside_paper(compare(run, ["mobilenet"]))["correct"].to_dict()
    {('mobilenet', 'paper'): '64 of 70', ('mobilenet', 'this run'): '7 of 10'}
    """
    columns = ["train_accuracy", "val_accuracy", "train_loss", "val_loss"]
    columns += ["test_accuracy", "low", "high", "correct"]
    sources = {"paper": paper_rows(comparison), "this run": comparison}
    known = {source: table for source, table in sources.items() if len(table)}
    both = pd.concat(known, names=["source"]).reset_index("source")
    both["correct"] = both["test_correct"].astype(str) + " of " + both["test_cells"].astype(str)
    order = {name: place for place, name in enumerate(comparison["architecture"])}
    both = both.sort_values(["architecture", "source"], key=lambda names: names.replace(order))
    return both.set_index(["architecture", "source"])[columns]


def kept_results() -> list[Path]:
    """Files of the results that the project keeps, as ``tools/results.py`` writes them."""
    paths = {path.stem: path for path in sorted(RESULTS.glob("*.csv"))}
    other = {*OTHER_TABLES, *(name for name in paths if name.endswith("_summary"))}
    return [path for name, path in paths.items() if name not in other]


def measured() -> pd.DataFrame:
    """What the project has measured on real cells so far.

    Returns
    -------
    DataFrame
        One row per recipe (title), network or baseline, split and seed, with metrics, intervals,
        versions and command.

    Examples
    --------
    >>> table = measured()
    >>> table[table["architecture"] == "svm"][["split", "auroc"]].round(2).values.tolist()
    [['fold_0:fold_1', 0.89], ['fold_1:fold_0', 0.89]]
    """
    return pd.concat([pd.read_csv(path) for path in kept_results()], ignore_index=True)
