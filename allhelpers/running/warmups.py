"""What runs have in common is computed once, before they start at the same time.

Runs one after the other find it in the cache folder; at the same time all would wait for the first.
Random weights are drawn for each seed: no two such runs have a frozen part in common.
"""

from __future__ import annotations

import functools
import platform
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._core.errors import counted
from ..data import decoding, loading, matching, sources
from ..networks import pretrained, registry
from ..settings import DataSettings, TrainingSettings

if TYPE_CHECKING:
    import pandas as pd

    from .cluster import SweepOptions
    from .planning import Plan

# Settings that decide which rows there are and where their images lie.
CELLS = {"images", "manifest", "layout", "classes", "positive"}
CELLS |= {"sample_cells", "cache_folder", "image_size"}


@dataclass(frozen=True)
class WarmUp:
    """A set of cells to decode."""

    settings: DataSettings

    @property
    def title(self) -> str:
        """For the log."""
        return f"cells of {self.settings.size} pixels"

    def compute(self, options: SweepOptions) -> str:
        """Leave it in the cache folder, as a run's own notebook would; a line for the log."""
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:  # the run itself lists what is missing
            chosen = self.settings.model_copy(update={"run_folder": scratch})
            cells = loading.prepare(chosen)
        self._use(cells, options)
        seconds, where = time.perf_counter() - began, platform.node()
        size = counted(len(cells.table), "cell")
        return f"ready: {self.title}, {size}, {seconds:.2f} s on {where}"

    def _use(self, cells: loading.Cells, options: SweepOptions) -> None:
        """What is done with the cells, once they are decoded."""


@dataclass(frozen=True)
class FrozenWarmUp(WarmUp):
    """A frozen part to run over a set of cells."""

    settings: TrainingSettings
    network: str

    @property
    def title(self) -> str:
        architecture = registry.get(self.network)
        cut = architecture.cut(self.settings.unfreeze)
        return f"{architecture.title}'s frozen part below {cut}"

    def _use(self, cells: loading.Cells, options: SweepOptions) -> None:
        from .. import training
        from ..networks import building
        from .distributed import distribute_features

        architecture, settings = registry.get(self.network), self.settings
        found = pretrained.locate(architecture, settings.weights, settings.synthetic)
        weights = pretrained.fetch(architecture, found)
        network = building.build(architecture, settings, weights, cells=cells)
        if options.distribute:
            distribute_features(network, cells, options)
        else:
            training.compute_features(network, cells)


def find(plans: Iterable[Plan]) -> tuple[list[WarmUp], list[WarmUp]]:
    """Distinct sets of cells, and distinct frozen parts; a run without its cells is refused."""
    sets: dict[str, WarmUp] = {}
    frozen: dict[tuple, WarmUp] = {}
    for plan in plans:
        digests = _chosen(plan.data)["sha256"]
        sets.setdefault(decoding.pixels_key(digests, plan.data), WarmUp(plan.data))
        for name in plan.methods:
            settings = plan.settings_of(name)
            if isinstance(settings, TrainingSettings):
                key = decoding.pixels_key(digests, settings)
                sets.setdefault(key, WarmUp(settings))
                if part := _frozen_part(name, settings):
                    frozen.setdefault((key, *part), FrozenWarmUp(settings, name))
    return list(sets.values()), list(frozen.values())


def _frozen_part(name: str, settings: TrainingSettings) -> tuple | None:
    """All that decides features beside the cells, or nothing where runs cannot share them."""
    cut = registry.get(name).cut(settings.unfreeze)
    if settings.weights == "random" or settings.batch_norm == "all" or cut == "pixels":
        return None
    seen = (*settings.views, settings.depths, settings.pooling, settings.brighten)
    return name, cut, settings.weights, seen, settings.feature_dtype, settings.engine


def _chosen(settings: DataSettings) -> pd.DataFrame:
    """The rows that a run's split uses."""
    table, there = _found(DataSettings(**settings.model_dump(include=CELLS)))
    with tempfile.TemporaryDirectory() as scratch:
        chosen = settings.model_copy(update={"run_folder": scratch})
        return loading.choose_cells(table, there, chosen)[0]


@functools.lru_cache(2)
def _found(settings: DataSettings) -> tuple[pd.DataFrame, pd.Series]:
    """A manifest, and which of its images are there; read once for all runs on them."""
    source = sources.open_images(settings)
    table = matching.read_manifest(settings, source)
    return table, matching.match(table, source).notna()
