"""Figures to stand beside: the paper's, and those that the project has measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .._core.packaged import packaged
from ..data.manifest import OFFICIAL_CLASSES
from . import metrics

RESULTS = packaged("results")

PAPER_RESULTS = RESULTS / "paper.csv"

OTHER_TABLES = (
    "paper",
    "ablation",
    "collapse",
    "optimisers",
    "activations",
)  # in the same folder, with other columns


def is_official(compared: pd.DataFrame) -> bool:
    """Whether methods were tested on the classes of C-NMC 2019, so that the paper's figures can stand beside them."""
    return all(set(classes.split(",")) == set(OFFICIAL_CLASSES) for classes in compared["classes"])


def paper_results() -> pd.DataFrame:
    """The paper's own table, with Wilson intervals computed from its counts."""
    table = pd.read_csv(PAPER_RESULTS)
    intervals = [metrics.proportion(row.test_correct, row.test_cells) for row in table.itertuples()]
    return table.assign(
        test_accuracy=[i["value"] for i in intervals],
        low=[i["low"] for i in intervals],
        high=[i["high"] for i in intervals],
    )


def paper_rows(compared: pd.DataFrame) -> pd.DataFrame:
    """The paper's results of the methods that are compared; none where the classes are others than the paper's."""
    table = paper_results()
    return table[table["architecture"].isin(compared["architecture"]) & is_official(compared)]


def beside_paper(comparison: pd.DataFrame) -> pd.DataFrame:
    """The paper's table and ours, one under the other for each architecture; ours alone for other classes.

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
    >>> beside_paper(compare(run, ["mobilenet"]))["right"].to_dict()
    {('mobilenet', 'paper'): '64 of 70', ('mobilenet', 'this run'): '7 of 10'}
    """
    columns = [
        "train_accuracy",
        "valid_accuracy",
        "train_loss",
        "valid_loss",
        "test_accuracy",
        "low",
        "high",
        "right",
    ]
    tables = {"paper": paper_rows(comparison), "this run": comparison}
    both = pd.concat(
        {source: table for source, table in tables.items() if len(table)}, names=["source"]
    )
    both["right"] = both["test_correct"].astype(str) + " of " + both["test_cells"].astype(str)
    order = {name: k for k, name in enumerate(comparison["architecture"])}
    both = both.reset_index("source").sort_values(
        ["architecture", "source"], key=lambda s: s.replace(order)
    )
    return both.set_index(["architecture", "source"])[columns]


def kept_results() -> list[Path]:
    """Files of the results that the project keeps, as ``tools/results.py`` writes them."""
    paths = sorted(RESULTS.glob("*.csv"))
    return [
        path
        for path in paths
        if path.stem not in OTHER_TABLES and not path.stem.endswith("_summary")
    ]


def measured() -> pd.DataFrame:
    """What the project has measured on real cells so far.

    Returns
    -------
    DataFrame
        One row per recipe (title), network or baseline, split and seed, with metrics, intervals, versions and command.

    Examples
    --------
    >>> table = measured()
    >>> table[table["architecture"] == "svm"][["split", "auroc"]].round(2).values.tolist()
    [['fold_0:fold_1', 0.89], ['fold_1:fold_0', 0.89]]
    """
    return pd.concat([pd.read_csv(path) for path in kept_results()], ignore_index=True)
