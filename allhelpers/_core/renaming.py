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
    "picture_size": "image_size",
    "new_pictures": "new_images",
}


def renamed(values: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Settings under today's names; where both names are there, the later one was meant."""
    for name in () if quiet else values:
        if name in RENAMED:
            warn(name, RENAMED[name])
    return {RENAMED.get(name, name): value for name, value in values.items()}


@functools.cache  # once, however many files and notebooks say it
def warn(name: str, now: str) -> None:
    """Say what a setting or an option is called today."""
    logger.warning("The setting %s is called %s now: write %s.", name, now, now)
