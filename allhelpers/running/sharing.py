"""What the runs of a sweep have in common is computed once: decoded cells, and what frozen trunks make of them.

The cells of all runs that decode alike are laid end to end, each picture once, and cut into shards; a shard's pixels,
and its features by one trunk in one orientation, are objects of a `store.Store`, found by a key of all that decides
them. A run gathers its own rows from there into its machine's cache folder, where its notebooks find what they would
have computed themselves. Whoever needs a shard that is missing or damaged computes that one and keeps it.

Random weights are drawn anew for each seed and settled on each split's training cells: no two such runs have a trunk
in common, and its features stay with the notebooks.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._core import files
from .._core.caching import filled
from .._core.errors import InputError
from ..data import decoding, loading, matching, sources
from ..networks import pretrained, registry
from ..settings import DataSettings, TrainingSettings
from . import planning

if TYPE_CHECKING:
    from .store import Store

SHARD = 256  # cells

# Settings that decide where pictures are found and how they are decoded, ...
DECODING = ("images", "sample_cells", "cache_folder", "picture_size", "crop", "input_size")

# ... and those that decide a trunk.
FROZEN = (*DECODING, "weights", "unfreeze", "features", "deterministic", "orientations", "average")


@dataclass(frozen=True)
class PixelShard:
    """Some cells, decoded."""

    settings: DataSettings
    cells: tuple

    @property
    def title(self) -> Any:
        """For the log."""
        return f"cells of {self.settings.size} pixels"

    @functools.cached_property
    def key(self) -> Any:
        """Identifies the content."""
        return decoding.pixels_key([sha256 for _, sha256 in self.cells], self.settings)

    def compute(self, _store: Any) -> tuple[np.ndarray, dict]:
        """Decode the cells."""
        source = _source(self.settings)
        rows = [
            decoding.decode_content(source.read(member), member, self.settings, sha256)
            for member, sha256 in self.cells
        ]
        return np.stack(rows), {}


@dataclass(frozen=True)
class FeatureShard:
    """What a frozen trunk makes of some cells in one orientation."""

    pixels: PixelShard
    architecture: str
    settings: TrainingSettings
    weights: str
    engine: str
    precision: str
    orientation: int

    @property
    def cut(self) -> Any:
        """Where the backbone is cut."""
        return registry.get(self.architecture).cut(self.settings.unfreeze)

    @property
    def title(self) -> Any:
        """For the log."""
        turned = f", orientation {self.orientation}" if self.orientation else ""
        return f"{registry.get(self.architecture).title}'s trunk below {self.cut}{turned}"

    @property
    def cells(self) -> Any:
        """Those of the pixels."""
        return self.pixels.cells

    @functools.cached_property
    def key(self) -> Any:
        """Identifies the content."""
        recipe = [self.pixels.key, self.architecture, self.cut, self.weights]
        recipe += [self.engine, self.orientation, self.precision]
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()

    def compute(self, store: Store) -> tuple[np.ndarray, dict]:
        """Run the trunk over the cells."""
        from ..data import orientations
        from ..training import trunk

        pixels, _ = obtain(self.pixels, store)
        forward, digest = _trunk(self.architecture, self.settings, self.engine)
        computed = forward(orientations.orient(pixels, self.orientation))
        trunk.check_range(computed, self.precision)
        return computed.astype(self.precision), {"weights": digest}


@functools.lru_cache(2)
def _source(settings: TrainingSettings) -> Any:
    """Where the pictures are, opened once per process."""
    return sources.open_images(settings)


@functools.lru_cache(1)
def _trunk(name: str, settings: TrainingSettings, engine: str) -> Any:
    """A trunk's forward function and its weights' digest, built once per process."""
    from ..networks import building
    from ..training import engines, trunk

    architecture = registry.get(name)
    source = pretrained.fetch(
        architecture, pretrained.locate(architecture, settings.weights, settings.synthetic)
    )
    built = building.build(architecture, settings, source, classes=("any", "other"))
    return engines.forward(engine, built.trunk), trunk.weights_digest(built.trunk)


def obtain(shard: PixelShard | FeatureShard, store: Store) -> tuple[np.ndarray, dict]:
    """Fetch a shard from the store, or compute it and keep it there."""
    rows, record = store.read(shard.key)
    return (rows, record) if rows is not None else _compute(shard, store)


def _compute(shard: PixelShard | FeatureShard, store: Store) -> Any:
    rows, record = shard.compute(store)
    store.write(shard.key, rows, record)
    return rows, record


def complete(shard: PixelShard | FeatureShard, store: Store) -> str:
    """Make sure that a shard is in the store and whole."""
    began = time.perf_counter()
    state = "there already" if store.read(shard.key)[0] is not None else "computed"
    if state == "computed":
        try:
            _compute(shard, store)
        except InputError as error:
            state = f"not computed ({error})"
    seconds = time.perf_counter() - began
    return f"{state}: {shard.title}, {len(shard.cells)} cells, {seconds:.2f} s on {platform.node()} [{shard.key[:12]}]"


@dataclass(frozen=True)
class Need:
    """Rows that a run's notebooks will look for in their cache folder."""

    settings: DataSettings
    shards: tuple
    rows: np.ndarray
    per_shard: int
    key: str

    def used(self) -> list[PixelShard | FeatureShard]:
        """Shards that hold at least one of the rows."""
        numbers = np.unique(self.rows // self.per_shard)
        return [shards[number] for shards in self.shards for number in numbers]

    def gather(self, store: Store) -> None:
        """Bring the rows into the cache folder, where the notebooks look for them."""

        @functools.lru_cache(4)
        def read(orientation: int, number: int) -> Any:
            return obtain(self.shards[orientation][number], store)

        number = int(self.rows.min()) // self.per_shard
        first, count = self.shards[0][number], len(self.rows)
        rows, record = read(0, number)
        path, key = self._place(first, record)

        def compute(start: int, stop: int) -> Any:
            wanted = np.arange(start, stop)
            turns, places = wanted // count, self.rows[wanted % count]
            content = np.empty((stop - start, *rows.shape[1:]), rows.dtype)
            numbers = places // self.per_shard
            for turn, number in sorted(set(zip(turns.tolist(), numbers.tolist(), strict=True))):
                here = (turns == turn) & (numbers == number)
                content[here] = read(turn, number)[0][places[here] % self.per_shard]
            return content

        shape = (len(self.shards) * count, *rows.shape[1:])
        filled(path, key, shape, rows.dtype, compute, f"gathering {first.title}")

    def _place(self, shard: PixelShard | FeatureShard, record: dict[str, Any]) -> Any:
        if isinstance(shard, PixelShard):
            return decoding.pixels_path(self.key, self.settings), self.key
        from ..training import trunk

        key = trunk.features_key(
            shard.architecture, shard.cut, record["weights"], self.key, self.settings, shard.engine
        )
        return trunk.features_path(shard.architecture, key, self.settings), key


def plan(each: list[dict], per_shard: int = SHARD) -> list[list[Need]]:
    """Find out what runs have in common; run where they will run, since that machine's devices decide the engine."""
    laid_out, found = _Union(per_shard), [_asked_by(values) for values in each]
    for one in itertools.chain(*found):
        laid_out.add(one)
    return [[need for one in asked for need in laid_out.needs(one)] for asked in found]


def used(needs: Iterable[Need]) -> list[PixelShard | FeatureShard]:
    """Shards of several needs, each once; pixels before the features that are made of them."""
    by_key = {shard.key: shard for need in needs for shard in need.used()}
    return sorted(by_key.values(), key=lambda shard: isinstance(shard, FeatureShard))


def gather(needs: list[Need], store: Store) -> None:
    """Bring all that a run needs into the cache folder; what cannot be had there, its notebooks compute or refuse."""
    for need in needs:
        try:
            need.gather(store)
        except InputError as error:
            print(f"not shared: {error}", flush=True)


def give_up(reason: Any, log: Callable) -> None:
    """Say that what runs have in common could not be computed; the runs go on without."""
    line = f"What runs have in common was not computed ({reason}): each run computes its own."
    log(line)
    print(line, flush=True)


@dataclass(frozen=True)
class _Asked:
    """What one notebook of a run will decode; ``name`` is its network's, if it has one."""

    name: str
    settings: DataSettings
    table: pd.DataFrame
    members: pd.Series


def _asked_by(values: dict[str, Any]) -> Any:
    """What the notebooks of a run will decode."""
    data, training = planning.settings_of(values)
    table, members = _manifest(_only(DECODING, data, DataSettings), data.manifest, data.positive)
    with tempfile.TemporaryDirectory() as scratch:  # the run itself lists what is missing
        table, _ = loading.choose_cells(
            table, members.notna(), data.model_copy(update={"run_folder": scratch})
        )
    return [
        _Asked(name, one, table, members[table.index])
        for name, one in [("", data), *training.items()]
    ]


@functools.lru_cache(2)
def _manifest(settings: TrainingSettings, manifest: Any, positive: str) -> Any:
    """Pictures, their table and which is which, found once for all runs on them."""
    settings = settings.model_copy(update={"manifest": manifest, "positive": positive})
    source = _source(settings)
    table = matching.read_manifest(settings, source)
    return table, matching.match(table, source)


def _only(names: list[str], settings: TrainingSettings, kind: Any) -> Any:
    """Settings with no others than some, so that runs that have these in common have all."""
    return kind(**{name: getattr(settings, name) for name in names})


class _Union:
    """The cells of all runs end to end, those that are decoded alike together, each picture once."""

    def __init__(self, per_shard: int) -> None:
        self.per_shard, self.cells, self.shards = per_shard, {}, {}

    def add(self, asked: Any) -> None:
        """Lay out the cells of a notebook that are not there yet."""
        together = self.cells.setdefault(_only(DECODING, asked.settings, DataSettings), {})
        for sha256, member in zip(asked.table["sha256"], asked.members, strict=True):
            together.setdefault(sha256, member)

    def needs(self, asked: Any) -> Any:
        """What a notebook needs, once all cells are laid out."""
        settings, sha256 = asked.settings, asked.table["sha256"]
        recipe = _only(DECODING, settings, DataSettings)
        place = {digest: number for number, digest in enumerate(self.cells[recipe])}
        rows, key = sha256.map(place).to_numpy(), decoding.pixels_key(sha256, settings)
        pixels = self._pixels(recipe)
        frozen = self._frozen(asked.name, settings, pixels) if asked.name else ()
        return [
            Need(settings, shards, rows, self.per_shard, key)
            for shards in ((pixels,), frozen)
            if shards
        ]

    def _pixels(self, recipe: Any) -> Any:
        if recipe not in self.shards:
            cells = [(member, sha256) for sha256, member in self.cells[recipe].items()]
            starts = range(0, len(cells), self.per_shard)
            self.shards[recipe] = tuple(
                PixelShard(recipe, tuple(cells[start : start + self.per_shard])) for start in starts
            )
        return self.shards[recipe]

    def _frozen(self, name: str, settings: TrainingSettings, pixels: np.ndarray) -> Any:
        """Shards of features for each orientation, or nothing where there is no trunk to share."""
        from ..training import engines, trunk

        architecture = registry.get(name)
        if settings.batch_norm == "all" or architecture.cut(settings.unfreeze) == "pixels":
            return ()
        source = pretrained.fetch(
            architecture, pretrained.locate(architecture, settings.weights, settings.synthetic)
        )
        if source.source == "random":
            return ()
        recipe = _only(FROZEN, settings, TrainingSettings)
        precision = trunk.feature_precision(architecture.cut(settings.unfreeze), settings)
        facts = (_file_sha256(source.path), engines.choose(settings.engine), precision)
        if (name, recipe, facts) not in self.shards:
            turns = range(trunk.orientations_needed(settings))
            self.shards[name, recipe, facts] = tuple(
                tuple(FeatureShard(shard, name, recipe, *facts, turn) for shard in pixels)
                for turn in turns
            )
        return self.shards[name, recipe, facts]


@functools.lru_cache
def _file_sha256(path: Path) -> Any:
    return files.sha256(path)
