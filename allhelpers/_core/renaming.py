"""What had other names once: whatever says the old ones goes on working."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

RENAMED = {
    "optimiser": "optimizer",
    "average": "tta",
    "features": "feature_dtype",
    "hidden": "hidden_units",
    "norm_momentum": "batch_norm_momentum",
    "picture_size": "image_size",
    "new_pictures": "new_images",
}
# In tables that the project has written: columns, and what the column split holds.
COLUMNS = {
    "subject": "patient",
    "side": "given_split",
    "valid_accuracy": "val_accuracy",
    "valid_loss": "val_loss",
}
SPLITS = {"valid": "val"}
FIGURES_RENAMED = {"cells_per_side": "cells_per_split"}
LAYOUT = {"side": "split"}


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under today's names; where both names are there, the later one was meant."""
    for name in values:
        if name in RENAMED:
            warn(name, RENAMED[name])
    return {RENAMED.get(name, name): value for name, value in values.items()}


def renamed_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table under today's names."""
    names = {name: now for name, now in COLUMNS.items() if name in table}
    table = table.rename(columns=names)
    values = SPLITS if "split" in table and table["split"].isin(SPLITS).any() else {}
    if values:
        table["split"] = table["split"].replace(values)
    for name, now in (names | values).items():
        warn_of_table(name, now)
    return table


def former_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table as the earlier versions wrote it."""
    table = table.rename(columns={now: name for name, now in COLUMNS.items()})
    former = {now: name for name, now in SPLITS.items()}
    return table.assign(split=table["split"].replace(former))


@functools.cache
def warn_of_table(name: str, now: str) -> None:
    logger.warning("A table of an earlier version: its %s is read as %s.", name, now)


@functools.cache  # once, however many files and notebooks say it
def warn(name: str, now: str) -> None:
    """Say what a setting or an option is called today."""
    logger.warning("The setting %s is called %s now: write %s.", name, now, now)
