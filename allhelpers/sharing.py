"""What the runs of a sweep have in common is computed once: decoded cells, and what frozen trunks make of them.

The cells of all runs that decode alike are laid end to end, each picture once, and cut into shards; a shard's pixels,
and its features by one trunk in one orientation, are objects of a `store.Store`, found by a key of all that decides
them. A run gathers its own rows from there into its machine's cache folder, where its notebooks find what they would
have computed themselves. Whoever needs a shard that is missing or damaged computes that one and keeps it.

Random weights are drawn anew for each seed and settled on each split's training cells: no two such runs have a trunk
in common, and its features stay with the notebooks.
"""

import functools
import hashlib
import itertools
import json
import platform
import tempfile
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import architectures, caching, loading, pipeline, pretrained, runs, sources
from .errors import InputError
from .settings import DataSettings, TrainingSettings

SHARD = 256  # cells
# Settings that decide where pictures are found and how they are decoded, ...
DECODING = ("images", "sample_cells", "cache_folder", "picture_size", "crop", "input_size")
# ... and those that decide a trunk.
FROZEN = (*DECODING, "weights", "unfreeze", "features", "deterministic", "orientations", "average")


@dataclass(frozen=True)
class PixelShard:
    """Some cells, decoded.

    Attributes
    ----------
    settings : DataSettings
        Where the pictures are and how they are decoded.
    cells : tuple of (member, str)
        The source's member and the SHA-256 of each picture.
    """

    settings: DataSettings
    cells: tuple

    @property
    def title(self):
        """For the log."""
        return f"cells of {self.settings.size} pixels"

    @functools.cached_property
    def key(self):
        """Identifies the content."""
        return loading.pixels_key([sha256 for _, sha256 in self.cells], self.settings)

    def compute(self, _store):
        """Decode the cells.

        Returns
        -------
        rows : ndarray of shape (cells, size, size, 3), uint8
        record : dict
        """
        source = _source(self.settings)
        rows = [
            loading.decode_content(source.read(member), member, self.settings, sha256) for member, sha256 in self.cells
        ]
        return np.stack(rows), {}


@dataclass(frozen=True)
class FeatureShard:
    """What a frozen trunk makes of some cells in one orientation.

    Attributes
    ----------
    pixels : PixelShard
    architecture : str
    settings : TrainingSettings
        Those that decide the trunk.
    weights : str
        SHA-256 of the weights' file.
    engine : str
        From `engines.choose`.
    precision : {"float16", "float32"}
        In which the features are kept.
    orientation : int
    """

    pixels: PixelShard
    architecture: str
    settings: TrainingSettings
    weights: str
    engine: str
    precision: str
    orientation: int

    @property
    def cut(self):
        """Where the backbone is cut."""
        return architectures.get(self.architecture).cut(self.settings.unfreeze)

    @property
    def title(self):
        """For the log."""
        turned = f", orientation {self.orientation}" if self.orientation else ""
        return f"{architectures.get(self.architecture).title}'s trunk below {self.cut}{turned}"

    @property
    def cells(self):
        """Those of the pixels."""
        return self.pixels.cells

    @functools.cached_property
    def key(self):
        """Identifies the content."""
        recipe = [self.pixels.key, self.architecture, self.cut, self.weights]
        recipe += [self.engine, self.orientation, self.precision]
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()

    def compute(self, store):
        """Run the trunk over the cells.

        Returns
        -------
        rows : ndarray of shape (cells, ...)
        record : dict
            With the trunk's `trunk.weights_digest`, by which a notebook knows these features.
        """
        from . import trunk

        pixels, _ = obtain(self.pixels, store)
        forward, digest = _trunk(self.architecture, self.settings, self.engine)
        computed = forward(trunk.orient(pixels, self.orientation))
        trunk.check_range(computed, self.precision)
        return computed.astype(self.precision), {"weights": digest}


@functools.lru_cache(2)
def _source(settings):
    """Where the pictures are, opened once per process."""
    return sources.open_images(settings)


@functools.lru_cache(1)
def _trunk(name, settings, engine):
    """A trunk's forward function and its weights' digest, built once per process."""
    from . import engines, networks, trunk

    architecture = architectures.get(name)
    source = pretrained.fetch(architecture, pretrained.locate(architecture, settings.weights, settings.synthetic))
    built = networks.build(architecture, settings, source, classes=("any", "other"))
    return engines.forward(engine, built.trunk), trunk.weights_digest(built.trunk)


def obtain(shard, store):
    """Fetch a shard from the store, or compute it and keep it there.

    Parameters
    ----------
    shard : PixelShard or FeatureShard
    store : store.Store

    Returns
    -------
    rows : ndarray
    record : dict
        How it was computed.

    Raises
    ------
    InputError
        If it cannot be computed.

    Examples
    --------
    >>> from allhelpers.store import Store
    >>> (needs,) = plan([{**training_settings.model_dump(), "architectures": "mobilenet"}], per_shard=80)
    >>> rows, record = obtain(used(needs)[0], Store("store"))
    >>> rows.shape
    (80, 64, 64, 3)
    """
    rows, record = store.read(shard.key)
    return (rows, record) if rows is not None else _compute(shard, store)


def _compute(shard, store):
    rows, record = shard.compute(store)
    store.write(shard.key, rows, record)
    return rows, record


def complete(shard, store):
    """Make sure that a shard is in the store and whole.

    Parameters
    ----------
    shard : PixelShard or FeatureShard
    store : store.Store

    Returns
    -------
    str
        For the log: what was done, in how many seconds and where, or why it could not be done.

    Examples
    --------
    >>> from allhelpers.store import Store
    >>> (needs,) = plan([{**training_settings.model_dump(), "architectures": "mobilenet"}], per_shard=80)
    >>> [complete(used(needs)[0], Store("store")).split(",")[0] for _ in range(2)]
    ['computed: cells of 64 pixels', 'there already: cells of 64 pixels']
    """
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
    """Rows that a run's notebooks will look for in their cache folder.

    Attributes
    ----------
    settings : DataSettings or TrainingSettings
        Of the notebook.
    shards : tuple of tuple
        For each orientation its shards, in order.
    rows : ndarray of int
        Place of each of the run's cells among all cells of the shards.
    per_shard : int
        Cells.
    key : str
        Of the run's pixels.
    """

    settings: DataSettings
    shards: tuple
    rows: np.ndarray
    per_shard: int
    key: str

    def used(self):
        """Shards that hold at least one of the rows.

        Returns
        -------
        list of PixelShard or FeatureShard
        """
        numbers = np.unique(self.rows // self.per_shard)
        return [shards[number] for shards in self.shards for number in numbers]

    def gather(self, store):
        """Bring the rows into the cache folder, where the notebooks look for them.

        Parameters
        ----------
        store : store.Store
        """

        @functools.lru_cache(4)
        def read(orientation, number):
            return obtain(self.shards[orientation][number], store)

        number = int(self.rows.min()) // self.per_shard
        first, count = self.shards[0][number], len(self.rows)
        rows, record = read(0, number)
        path, key = self._place(first, record)

        def compute(start, stop):
            wanted = np.arange(start, stop)
            turns, places = wanted // count, self.rows[wanted % count]
            content = np.empty((stop - start, *rows.shape[1:]), rows.dtype)
            numbers = places // self.per_shard
            for turn, number in sorted(set(zip(turns.tolist(), numbers.tolist(), strict=True))):
                here = (turns == turn) & (numbers == number)
                content[here] = read(turn, number)[0][places[here] % self.per_shard]
            return content

        shape = (len(self.shards) * count, *rows.shape[1:])
        caching.filled(path, key, shape, rows.dtype, compute, f"gathering {first.title}")

    def _place(self, shard, record):
        if isinstance(shard, PixelShard):
            return loading.pixels_path(self.key, self.settings), self.key
        from . import trunk

        key = trunk.features_key(
            shard.architecture, shard.cut, record["weights"], self.key, self.settings, shard.engine
        )
        return trunk.features_path(shard.architecture, key, self.settings), key


def plan(each, per_shard=SHARD):
    """Find out what runs have in common; run where they will run, since that machine's devices decide the engine.

    Parameters
    ----------
    each : list of dict
        Settings of each run, as for `pipeline.run`.
    per_shard : int
        Cells.

    Returns
    -------
    list of list of Need
        For each run, pixels first.

    Raises
    ------
    InputError
        If there is a run whose cells cannot be found, or whose split they cannot give.

    Examples
    --------
    Two seeds, 160 cells each, need the same two shards of pixels; random weights have no trunk in common:

    >>> each = [{**training_settings.model_dump(), "architectures": "mobilenet", "seed": seed} for seed in (1, 2)]
    >>> one, two = plan(each, per_shard=80)
    >>> [shard.title for shard in used(one)], used(one) == used(two)
    (['cells of 64 pixels', 'cells of 64 pixels'], True)
    """
    laid_out, found = _Union(per_shard), [_asked_by(values) for values in each]
    for one in itertools.chain(*found):
        laid_out.add(one)
    return [[need for one in asked for need in laid_out.needs(one)] for asked in found]


def used(needs):
    """Shards of several needs, each once; pixels before the features that are made of them.

    Parameters
    ----------
    needs : iterable of Need

    Returns
    -------
    list of PixelShard or FeatureShard

    Examples
    --------
    >>> (needs,) = plan([{**training_settings.model_dump(), "architectures": "mobilenet"}], per_shard=80)
    >>> [len(need.used()) for need in needs], len(used(needs))
    ([2, 2], 2)
    """
    by_key = {shard.key: shard for need in needs for shard in need.used()}
    return sorted(by_key.values(), key=lambda shard: isinstance(shard, FeatureShard))


def gather(needs, store):
    """Bring all that a run needs into the cache folder; what cannot be had there, its notebooks compute or refuse.

    Parameters
    ----------
    needs : list of Need
    store : store.Store

    Examples
    --------
    The pixels of a run's 160 cells, in the cache folder of its settings:

    >>> from allhelpers.store import Store
    >>> (needs,) = plan([{**training_settings.model_dump(), "architectures": "mobilenet"}], per_shard=80)
    >>> gather(needs, Store("store"))
    >>> np.load(loading.pixels_path(needs[0].key, training_settings)).shape
    (160, 64, 64, 3)
    """
    for need in needs:
        try:
            need.gather(store)
        except InputError as error:
            print(f"not shared: {error}", flush=True)


def give_up(reason, log):
    """Say that what runs have in common could not be computed; the runs go on without.

    Parameters
    ----------
    reason : object
    log : callable
        Takes a line.

    Examples
    --------
    >>> lines = []
    >>> give_up("the process died", lines.append)
    What runs have in common was not computed (the process died): each run computes its own.
    """
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


def _asked_by(values):
    """What the notebooks of a run will decode."""
    data, training = pipeline.settings_of(values)
    table, members = _manifest(_only(DECODING, data, DataSettings), data.manifest, data.positive)
    with tempfile.TemporaryDirectory() as scratch:  # the run itself lists what is missing
        table, _ = loading.choose_cells(table, members.notna(), data.model_copy(update={"run_folder": scratch}))
    return [_Asked(name, one, table, members[table.index]) for name, one in [("", data), *training.items()]]


@functools.lru_cache(2)
def _manifest(settings, manifest, positive):
    """Pictures, their table and which is which, found once for all runs on them."""
    settings = settings.model_copy(update={"manifest": manifest, "positive": positive})
    source = _source(settings)
    table = loading.read_manifest(settings, source)
    return table, loading.match(table, source)


def _only(names, settings, kind):
    """Settings with no others than some, so that runs that have these in common have all."""
    return kind(**{name: getattr(settings, name) for name in names})


class _Union:
    """The cells of all runs end to end, those that are decoded alike together, each picture once."""

    def __init__(self, per_shard):
        self.per_shard, self.cells, self.shards = per_shard, {}, {}

    def add(self, asked):
        """Lay out the cells of a notebook that are not there yet."""
        together = self.cells.setdefault(_only(DECODING, asked.settings, DataSettings), {})
        for sha256, member in zip(asked.table["sha256"], asked.members, strict=True):
            together.setdefault(sha256, member)

    def needs(self, asked):
        """What a notebook needs, once all cells are laid out."""
        settings, sha256 = asked.settings, asked.table["sha256"]
        recipe = _only(DECODING, settings, DataSettings)
        place = {digest: number for number, digest in enumerate(self.cells[recipe])}
        rows, key = sha256.map(place).to_numpy(), loading.pixels_key(sha256, settings)
        pixels = self._pixels(recipe)
        frozen = self._frozen(asked.name, settings, pixels) if asked.name else ()
        return [Need(settings, shards, rows, self.per_shard, key) for shards in ((pixels,), frozen) if shards]

    def _pixels(self, recipe):
        if recipe not in self.shards:
            cells = [(member, sha256) for sha256, member in self.cells[recipe].items()]
            starts = range(0, len(cells), self.per_shard)
            self.shards[recipe] = tuple(
                PixelShard(recipe, tuple(cells[start : start + self.per_shard])) for start in starts
            )
        return self.shards[recipe]

    def _frozen(self, name, settings, pixels):
        """Shards of features for each orientation, or nothing where there is no trunk to share."""
        from . import engines, trunk

        architecture = architectures.get(name)
        if settings.batch_norm == "all" or architecture.cut(settings.unfreeze) == "pixels":
            return ()
        source = pretrained.fetch(architecture, pretrained.locate(architecture, settings.weights, settings.synthetic))
        if source.source == "random":
            return ()
        recipe = _only(FROZEN, settings, TrainingSettings)
        precision = trunk.feature_precision(architecture.cut(settings.unfreeze), settings)
        facts = (_file_sha256(source.path), engines.choose(settings.engine), precision)
        if (name, recipe, facts) not in self.shards:
            turns = range(trunk.orientations_needed(settings))
            self.shards[name, recipe, facts] = tuple(
                tuple(FeatureShard(shard, name, recipe, *facts, turn) for shard in pixels) for turn in turns
            )
        return self.shards[name, recipe, facts]


@functools.lru_cache
def _file_sha256(path):
    return runs.sha256(path)
