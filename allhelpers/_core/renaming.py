"""Settings that had other names once; files, notebooks and commands with the old ones go on
working.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)

RENAMED = {
    "optimiser": "optimizer",
    "average": "tta",
    "features": "feature_dtype",
    "hidden": "hidden_units",
    "norm_momentum": "batch_norm_momentum",
}


def renamed(values: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Settings under today's names; where both names are there, the later one was meant."""
    for name in () if quiet else values:
        if name in RENAMED:
            _warn(name)
    return {RENAMED.get(name, name): value for name, value in values.items()}


@functools.cache  # once, however many files and notebooks say it
def _warn(name: str) -> None:
    logger.warning("The setting %s is called %s now: write %s.", name, RENAMED[name], RENAMED[name])
