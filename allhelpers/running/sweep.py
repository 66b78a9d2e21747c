"""Many runs from one file: named variants and a grid of settings, each run through the same notebooks.

::

    SWEEP.yaml
      base: ../settings/recipe.yaml         optional: a settings file, relative to this one
      settings: {epochs: 12}                for all runs
      variants:                             named sets of settings; the first is what the others are measured against
        recipe: {}
        "no turning": {orientations: 1}
      grid:                                 all combinations are run
        split: ["fold_0:1/2", "fold_0:2/2"]
        seed: [1, 2, 3]

    FOLDER/
      <variant>/<name=value,...>/           one run folder each
      sweep.csv                             one row per run and network, with every metric
      variants.csv                          one row per variant and network, over all its runs
      figures/*.png                         spread over seeds and over splits; architectures and variants side by side
      failed.csv                            runs that have failed, with the reason; only if there are some
      sweep.log                             what was computed, when, where, and in how many seconds

What runs have in common, decoded cells and features of frozen trunks, is computed once (`sharing`); Ray runs many at
once where it is asked to (`cluster`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from tqdm.auto import tqdm

from .._core.errors import InputError, counted, listing
from .._core.files import atomic, write_csv
from ..evaluation import comparison, gathering, words
from ..evaluation.comparison import COMPARED
from ..settings import validate
from . import cluster, notebooks, parameters, planning, sharing
from .sharing import SHARD
from .store import Store

if TYPE_CHECKING:
    import numpy as np

    from ..settings import TrainingSettings

ALONE = "all"  # name of the only variant where none are named


class Sweep(BaseModel):
    """What a sweep file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field("", description="settings file, relative to the sweep file")
    settings: dict = Field(
        {}, description="settings of all runs, beside or instead of those of the base"
    )
    variants: dict[str, dict] = Field(
        {ALONE: {}}, min_length=1, description="named sets of settings"
    )
    grid: dict[str, list] = Field(
        {}, description="lists of values, of which all combinations are run"
    )


@dataclass(frozen=True)
class Run:
    """One run of a sweep."""

    variant: str
    point: dict
    values: dict
    folder: Path

    @property
    def name(self) -> Any:
        """Its folder inside the sweep's."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def finished(self) -> Any:
        """Whether it has ended."""
        return notebooks.finished(self.values, self.folder)


def read_sweep(path: str | Path, given: dict, folder: str | Path) -> list[Run]:
    """Read a sweep file and lay out its runs.

    Parameters
    ----------
    path : str or Path
        YAML.
    given : dict
        Settings from the command line; they overrule the file's ``settings``, not its variants and grid.
    folder : str or Path
        Where the runs go.

    Returns
    -------
    list of Run

    Raises
    ------
    InputError
        If the file, or any setting of any of its runs, cannot be used; nothing has been run then.

    Examples
    --------
    >>> text = "{settings: {weights: random}, variants: {a: {}, b: {epochs: 5}}, grid: {seed: [1, 2]}}"
    >>> _ = Path("own.yaml").write_text(text)
    >>> [one.name for one in read_sweep("own.yaml", {}, "out")]
    ['a/seed=1', 'a/seed=2', 'b/seed=1', 'b/seed=2']
    """
    path = Path(path)
    sweep = validate(Sweep, parameters.read_file(path))
    base = parameters.read_file(path.parent / sweep.base) if sweep.base else {}
    common = {**base, **sweep.settings, **given}
    if any(not values for values in sweep.grid.values()):
        raise InputError(
            f"The grid of {path} holds an empty list: give each setting at least one value."
        )
    planned = []
    for variant, own in sweep.variants.items():
        for choice in itertools.product(*sweep.grid.values()):
            point = dict(zip(sweep.grid, choice, strict=True))
            name = ",".join(_plain(f"{k}={v}") for k, v in point.items())
            place = Path(folder) / _plain(variant) / name
            planned.append(Run(variant, point, {**common, **own, **point}, place.absolute()))
    if len({run.folder for run in planned}) < len(planned):
        raise InputError(
            f"Two runs of {path} would share a folder: give variants and values of the grid other names."
        )
    for run in planned:
        planning.check(run.values)
    return planned


def _plain(name: str) -> Any:
    """A name as a part of a path."""
    return re.sub(r"[^\w.=-]+", "-", name.replace("/", "of"))


@dataclass(frozen=True)
class How:
    """How a sweep is run; nothing of it changes a result."""

    parallel: int = 0
    address: str = ""
    cpus: float = 1
    gpus: float = 0
    retries: int = 2
    store: str = ""
    per_shard: int = SHARD

    def __post_init__(self) -> None:
        for name, least in {
            "parallel": 0,
            "cpus": 0,
            "gpus": 0,
            "retries": 0,
            "per_shard": 1,
        }.items():
            if getattr(self, name) < least:
                raise InputError(
                    f"{name} = {getattr(self, name)} cannot be used: give {least} or more."
                )
        if self.parallel and self.address:
            raise InputError(
                "--parallel is for this machine and --address for a cluster: give one of them."
            )

    @property
    def by_ray(self) -> Any:
        """Whether Ray runs it."""
        return bool(self.parallel or self.address)


def run_sweep(planned: list[Run], folder: str | Path, how: How | None = None) -> list[dict]:
    """Run what is not finished yet, and gather all results; a run that fails does not stop the others.

    Parameters
    ----------
    planned : list of Run
    folder : str or Path
        Gets sweep.csv, variants.csv, sweep.log and, if need be, failed.csv.
    how : How, optional
        By default one run after the other.

    Returns
    -------
    list of dict
        Runs that have failed: variant, settings of the grid, folder, reason, notebook.

    Raises
    ------
    InputError
        If the store cannot be written, Ray or its cluster is not there, or there is a run whose cells cannot be found
        or split: before anything is run. If all runs fail.

    Examples
    --------
    It executes the notebooks of every run, which takes minutes::

        failed = run(read("sweeps/ablation.yaml", {}, "runs/ablation"), "runs/ablation")
    """
    how, folder = how or How(), Path(folder).absolute()
    if how.by_ray:
        cluster.check(how)
    store = Store(how.store or _usual_store(planned, folder, how))
    store.check()
    run_all = cluster.run if how.by_ray else _in_sequence
    errors = run_all(planned, store, how, _logger(folder))
    failed = [
        {
            "variant": one.variant,
            **one.point,
            "folder": str(one.folder),
            "reason": str(error),
            "notebook": getattr(error, "notebook", ""),
        }
        for one, error in zip(planned, errors, strict=True)
        if error
    ]
    _write([one for one, error in zip(planned, errors, strict=True) if not error], failed, folder)
    return failed


def _usual_store(planned: list[Run], folder: Path, how: How) -> Any:
    """Machines of a cluster share the folder of the runs and nothing else; one machine has its cache."""
    cache = planning.settings_of(planned[0].values)[0].cache_folder
    return folder / "store" if how.address else Path(cache) / "store"


def _logger(folder: Path) -> Any:
    """What is done, and when, line by line in sweep.log; a sweep that goes on adds to it."""

    def log(line: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "sweep.log", "a", encoding="utf-8") as stream:
            stream.write(f"{datetime.now().isoformat(' ', 'seconds')} {line}\n")

    return log


def _in_sequence(planned: list[Run], store: Store, how: How, log: Callable) -> Any:
    """One run after the other; returns the error, or nothing, of each."""
    _share_in_sequence(planned, store, how, log)
    errors = []
    for number, one in enumerate(planned, 1):
        print(f"[{number}/{len(planned)}] {one.name}", flush=True)
        errors.append(notebooks.attempt(one.values, one.folder, how.retries))
        log(f"failed: {one.name}: {errors[-1]}" if errors[-1] else f"finished: {one.name}")
        if errors[-1]:
            print(f"failed: {errors[-1]}", flush=True)
    return errors


def _share_in_sequence(planned: list[Run], store: Store, how: How, log: Callable) -> None:
    """Compute and gather what unfinished runs have in common, in a process whose memory is free again afterwards."""
    unfinished = [number for number, one in enumerate(planned) if not one.finished]
    if not unfinished:
        return
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:

            def call(function: Any, *arguments: Any) -> Any:
                return process.submit(function, *arguments).result()

            # All runs are laid out, so that shards stay the same when some runs are finished.
            needs = call(sharing.plan, [one.values for one in planned], how.per_shard)
            shared = sharing.used(need for number in unfinished for need in needs[number])
            for shard in tqdm(shared, desc="what runs have in common", unit="shard"):
                log(call(sharing.complete, shard, store))
            for number in unfinished:
                call(sharing.gather, needs[number], store)
    except BrokenProcessPool:
        sharing.give_up("the process died, often for lack of memory", log)


def _write(done: list[Run], failed: list[dict], folder: Path) -> None:
    (folder / "failed.csv").unlink(missing_ok=True)
    if failed:
        write_csv(folder / "failed.csv", pd.DataFrame(failed))
    if not done:
        raise InputError(
            f"No run has succeeded ({failed[0]['reason']}): see {folder / 'failed.csv'}."
        )
    rows, summary = table(done), variants(done)
    write_csv(folder / "sweep.csv", rows)
    write_csv(folder / "variants.csv", summary)
    _draw(rows, summary, list(done[0].point), folder / "figures")


def _draw(
    rows: np.ndarray, summary: pd.DataFrame, settings: TrainingSettings, folder: Path
) -> None:
    """One figure per question that the sweep can answer."""
    from .. import plotting

    figures = {
        f"{by}s": plotting.spread(rows, by, settings)
        for by in ("seed", "split")
        if rows[by].nunique() > 1
    }
    if len(summary) > 1:
        figures["architectures"] = plotting.between(summary, rows)
    for name, figure in figures.items():
        with atomic(folder / f"{name}.png") as partial:
            figure.savefig(partial, dpi=plotting.DPI)


def table(done: list[Run]) -> pd.DataFrame:
    """One row per run and network.

    Parameters
    ----------
    done : list of Run
        Finished ones.

    Returns
    -------
    DataFrame
        Columns variant, the grid's settings, and those of `comparison.compare`.

    Examples
    --------
    >>> from allhelpers import sweep
    >>> found = table([Run("recipe", {"momentum": 0.9}, {}, run)])
    >>> found[["variant", "momentum", "architecture", "test_correct"]].to_dict("records")
    [{'variant': 'recipe', 'momentum': 0.9, 'architecture': 'mobilenet', 'test_correct': 7}]
    """
    rows = []
    for one in done:
        found = gathering.compare(one.folder, gathering.finished_in(one.folder))
        here = {"variant": one.variant, **{k: v for k, v in one.point.items() if k not in found}}
        rows.append(pd.DataFrame([here] * len(found)).join(found))
    return pd.concat(rows, ignore_index=True)


def variants(done: list[Run]) -> pd.DataFrame:
    """One row per variant and network: over all its runs, and against the first variant on the same cells.

    Parameters
    ----------
    done : list of Run
        Finished ones.

    Returns
    -------
    DataFrame
        Columns variant, those of `comparison.summarise`, and for AUROC and weighted F1 the difference from the first
        variant (``<metric>_gain``) with the interval of a paired bootstrap of patients (``<metric>_gain_low``,
        ``<metric>_gain_high``); empty where the first variant was not tested on the same cells.

    Examples
    --------
    >>> found = variants([Run("recipe", {}, {}, run), Run("no turning", {}, {}, run)])
    >>> found[["variant", "weighted_f1_gain"]].values.tolist()
    [['recipe', 0.0], ['no turning', 0.0]]
    """
    by_variant = {one.variant: [] for one in done}
    for one in done:
        by_variant[one.variant].append(one.folder)
    tested = {variant: gathering.tested(folders) for variant, folders in by_variant.items()}
    reference = next(iter(tested))
    rows = []
    for variant, folders in by_variant.items():
        found = gathering.summarize(folders)
        gains = [
            _gain(tested[variant][name], tested[reference].get(name))
            for name in found["architecture"]
        ]
        found = found.join(pd.DataFrame(gains, index=found.index))
        found.insert(0, "variant", variant)
        rows.append(found)
    return pd.concat(rows, ignore_index=True)


def _gain(own: Any, reference: Any) -> Any:
    own = pd.concat(own, ignore_index=True)
    reference = pd.concat(reference, ignore_index=True) if reference else own.iloc[:0]
    if own["file"].tolist() != reference["file"].tolist():
        return {}
    found = comparison.differences(own, reference)
    return {
        key.replace(metric, f"{metric}_gain"): found[key]
        for metric in COMPARED
        for key in (metric, f"{metric}_low", f"{metric}_high")
    }


def sentence(row: dict) -> str:
    """One variant of `variants` in words."""
    text = (
        f"{row['variant']}, {words.method_title(row['architecture'])}: weighted F1 "
        f"{words.row_in_words(row, 'weighted_f1')}, AUROC {row['auroc']:.3f}; "
        f"{counted(row['runs'], 'run')}, mean {row['weighted_f1_mean']:.3f}"
    )
    if pd.notna(row.get("weighted_f1_gain")):
        text += f"; gain {words.row_in_words(row, 'weighted_f1_gain', '+.3f')}"
    return text


def report_failures(failed: list[dict], folder: str | Path) -> None:
    """Raise if runs have failed, once all the others are done."""
    if failed:
        names = listing(
            [Path(record["folder"]).relative_to(Path(folder).absolute()) for record in failed]
        )
        have, listed = "has" if len(failed) == 1 else "have", Path(folder) / "failed.csv"
        raise InputError(
            f"{counted(len(failed), 'run')} {have} failed ({names}): see {listed}, mend, run again."
        )
