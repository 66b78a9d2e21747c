"""One network's frozen part, divided among machines by Ray Data: for a million cells.

Every machine has an actor that holds the engine; the process that asks takes their blocks into its
cache, in their order, as if it had computed them. All machines must see the cache folder's pixels.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._core.caching import CHUNK, filled
from .._core.errors import InputError
from . import cluster

if TYPE_CHECKING:
    import pyarrow

    from ..data.loading import Cells
    from ..data.orientations import OrientedPixels
    from ..networks.building import Network
    from .cluster import SweepOptions


def distribute_features(
    network: Network, cells: Cells, options: SweepOptions
) -> np.ndarray | OrientedPixels:
    """Run the frozen part over all cells on several machines, or open what is there already.

    `training.compute_features` then finds the result in the cache folder. A machine that is lost
    costs the blocks that it had in hand; what is stopped goes on where it stopped.

    Parameters
    ----------
    network : networks.Network
    cells : data.Cells
        Their pixels must lie in a cache folder that all machines see.
    options : SweepOptions
        An ``address``, for one actor on each machine, or ``parallel`` actors on this one;
        ``cpus`` and ``gpus`` of each.

    Returns
    -------
    ndarray of shape (orientations, cells, ...)
        Features at the cut, memory-mapped; to the byte those of one machine of the same kind.

    Raises
    ------
    InputError
        If Ray or its cluster is not there, or a machine does not see the cache folder.

    Examples
    --------
    It needs Ray, and here a cluster that runs at that address::

        options = running.SweepOptions(address="127.0.0.1:6379", gpus=1)
        features = running.distribute_features(network, cells, options)
    """
    from ..training import trunk

    if network.cut == "pixels":
        return trunk.compute_features(network, cells)
    cluster.check(options)
    import ray

    with nullcontext() if ray.is_initialized() else cluster.connect(options):
        # The actors' machines decide the engine, and not the one that asks.
        choose = ray.remote(num_cpus=options.cpus, num_gpus=options.gpus)(_choose)
        return _gather(network, cells, ray.get(choose.remote(network.settings.engine)), options)


def _choose(engine: str) -> str:
    from ..training import engines

    return engines.choose(engine)


def _gather(network: Network, cells: Cells, engine: str, options: SweepOptions) -> np.ndarray:
    """Take the actors' blocks into the cache file that `trunk.compute_features` looks for."""
    from ..training import trunk

    settings, pixels = network.settings, cells.pixels
    if not isinstance(pixels, np.memmap):
        raise InputError(
            "The cells' pixels are in memory: only a file can be read by all machines."
        )
    path, key, precision = trunk.features_file(network, cells, engine)
    row = network.trunk.output.shape[1:]
    total = len(settings.views) * len(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = path.with_suffix(".keras").absolute()
    actor = {
        "trunk": str(saved),
        "engine": engine,
        "precision": precision,
        "pixels": os.path.abspath(str(pixels.filename)),
        "exact": settings.deterministic,
        "views": settings.views,
    }
    blocks: Generator[bytes] | None = None

    def compute(start: int, stop: int) -> np.ndarray:
        nonlocal blocks
        if blocks is None:  # what a computation that was stopped has left is not done again
            network.trunk.save(saved)
            blocks = _blocks(range(start, total, CHUNK), total, actor, options)
        return np.frombuffer(next(blocks), precision).reshape(stop - start, *row)

    title = f"{network.architecture.title}: frozen part, divided"
    try:
        flat = filled(path, key, (total, *row), precision, compute, title)
    finally:
        if blocks is not None:
            blocks.close()
        saved.unlink(missing_ok=True)
    return flat.reshape(len(settings.views), len(pixels), *row)


def _blocks(starts: range, total: int, actor: dict, options: SweepOptions) -> Generator[bytes]:
    """The blocks' bytes, in the order of the blocks; its actors end when it is closed."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    machines = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    rows = [{"start": start, "stop": min(start + CHUNK, total)} for start in starts]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    computed = dataset.map_batches(
        FrozenPart,
        batch_size=1,
        batch_format="pyarrow",
        fn_constructor_kwargs=actor,
        compute=ray.data.ActorPoolStrategy(size=options.parallel or len(machines)),
        num_cpus=options.cpus,
        num_gpus=options.gpus,
    )
    for row in computed.iter_rows():
        yield row["rows"]


class FrozenPart:
    """An actor: the engine of one machine, and the cells' pixels."""

    def __init__(
        self, *, trunk: str, engine: str, precision: str, pixels: str, exact: bool, views: list[int]
    ) -> None:
        cluster.use_all_threads()
        import keras
        import tensorflow as tf

        from ..training import engines

        if exact:
            tf.config.experimental.enable_op_determinism()
        if not Path(trunk).is_file():
            raise InputError(
                f"{trunk} is not there on {platform.node()}: choose a cache_folder that all "
                "machines see."
            )
        self.views, self.precision = views, precision
        self.pixels = np.load(pixels, mmap_mode="r")
        self.forward = engines.forward(engine, keras.models.load_model(trunk, compile=False))

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """One block: rows of all views, one view after the other."""
        import pyarrow

        from ..training import trunk

        (block,) = batch.to_pylist()
        rows = range(block["start"], block["stop"])
        computed = trunk.rows_of_views(self.forward, self.pixels, self.views, rows, self.precision)
        content = computed.astype(self.precision).tobytes()
        return pyarrow.table({"rows": pyarrow.array([content], pyarrow.large_binary())})
