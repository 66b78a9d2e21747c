"""Many runs from one file: named variants and a grid of settings, each run by the same notebooks.

Runs go one after the other, or many at once by Ray (`cluster`); docs/cluster.md says what they
leave, and sweeps/ablation.yaml shows such a file.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from .._core.errors import InputError, counted, listing
from .._core.files import atomic, write_csv
from ..evaluation import comparison, gathering, words
from ..settings import validate
from . import cluster, parameters, planning, warmups
from .cluster import SweepOptions
from .planning import Plan

log = logging.getLogger(__name__)

ALONE = "all"  # name of the only variant where none are named


class Sweep(BaseModel):
    """What a sweep file holds; the first variant is what the others are measured against."""

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
class SweepRun:
    """One run of a sweep."""

    variant: str
    folder: Path
    point: dict = field(hash=False)  # of the grid
    plan: Plan = field(hash=False)

    @property
    def name(self) -> str:
        """Its folder inside the sweep's."""
        return f"{self.folder.parent.name}/{self.folder.name}"


def read_sweep(path: str | Path, given: dict, folder: str | Path) -> list[SweepRun]:
    """Read a sweep file and plan its runs.

    Parameters
    ----------
    path : str or Path
        YAML.
    given : dict
        Settings from the command line; they overrule the file's ``settings``, not its variants and
        grid.
    folder : str or Path
        Where the runs go.

    Returns
    -------
    list of SweepRun

    Raises
    ------
    InputError
        If the file, or any setting of any of its runs, cannot be used, or two runs are the same;
        nothing has been run then.

    Examples
    --------
    >>> variants = "variants: {a: {}, b: {epochs: 5}}"
    >>> text = "{settings: {weights: random}, " + variants + ", grid: {seed: [1, 2]}}"
    >>> _ = Path("own.yaml").write_text(text)
    >>> [run.name for run in read_sweep("own.yaml", {}, "out")]
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
    for variant in sweep.variants:
        if not variant.strip(". "):
            raise InputError(
                f"A variant of {path} is called {variant!r}: give it a name that can be a folder's."
            )
    points = [
        dict(zip(sweep.grid, values, strict=True))
        for values in itertools.product(*sweep.grid.values())
    ]
    asked = [
        (variant, point, {**common, **own, **point})
        for variant, own in sweep.variants.items()
        for point in points
    ]
    folders = [_place(Path(folder), variant, point) for variant, point, _ in asked]
    if len(set(folders)) < len(folders):
        raise InputError(
            f"Two runs of {path} would share a folder: give variants and values of the grid other "
            "names."
        )
    runs = [
        SweepRun(variant, place, point, planning.plan_run(values))
        for place, (variant, point, values) in zip(folders, asked, strict=True)
    ]
    _refuse_twins(path, runs)
    return runs


def _place(folder: Path, variant: str, point: dict) -> Path:
    name = ",".join(_plain(f"{name}={value}") for name, value in point.items())
    return (folder / _plain(variant) / name).absolute()


def _plain(name: str) -> str:
    """A name as a part of a path."""
    return re.sub(r"[^\w.=-]+", "-", name.replace("/", "of"))


def _refuse_twins(path: Path, runs: list[SweepRun]) -> None:
    """One run under two spellings, such as 1 and 1.0, would count twice in every mean."""
    for run, twin in itertools.combinations(runs, 2):
        if run.variant == twin.variant and run.plan == twin.plan:
            names = [name for name in run.point if str(run.point[name]) != str(twin.point[name])]
            raise InputError(
                f"Two runs of {path} are the same ({listing(names)} in two spellings): name each "
                "value once."
            )


def run_sweep(
    runs: list[SweepRun], folder: str | Path, options: SweepOptions | None = None
) -> list[dict]:
    """Run what is not finished yet, and gather all results; a run that fails does not stop others.

    Parameters
    ----------
    runs : list of SweepRun
    folder : str or Path
        Gets sweep.csv, variants.csv, sweep.log and, if need be, failed.csv.
    options : SweepOptions, optional
        By default one run after the other.

    Returns
    -------
    list of dict
        Runs that have failed: variant, settings of the grid, folder, reason, notebook.

    Raises
    ------
    InputError
        If Ray or its cluster is not there, or there is a run whose cells cannot be found or split:
        before anything is run. If all runs fail.

    Examples
    --------
    It executes the notebooks of every run, which takes minutes::

        runs = read_sweep("sweeps/ablation.yaml", {}, "runs/ablation")
        failed = run_sweep(runs, "runs/ablation", SweepOptions(parallel=2))
    """
    options, folder = options or SweepOptions(), Path(folder).absolute()
    if options.by_ray:
        cluster.check(options)
    unfinished = [run for run in runs if not run.plan.is_finished(run.folder)]
    common = warmups.find(run.plan for run in unfinished)
    record = partial(_record, folder)
    if not options.by_ray:
        errors = _in_sequence(runs, options.retries, record)
    else:
        errors = cluster.run(unfinished, common, options, record=record) if unfinished else {}
    failed = [
        {
            "variant": run.variant,
            **run.point,
            "folder": str(run.folder),
            "reason": str(error),
            "notebook": getattr(error, "notebook", ""),
        }
        for run, error in errors.items()
    ]
    _write([run for run in runs if run not in errors], failed, folder)
    return failed


def _record(folder: Path, line: str) -> None:
    """What is done, and when, line by line in sweep.log; a sweep that goes on adds to it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "sweep.log", "a", encoding="utf-8") as stream:
        stream.write(f"{datetime.now().isoformat(' ', 'seconds')} {line}\n")


def _in_sequence(
    runs: list[SweepRun], retries: int, record: Callable[[str], None]
) -> dict[SweepRun, InputError]:
    """One run after the other; the errors of those that have failed."""
    errors = {}
    for number, run in enumerate(runs, 1):
        log.info("[%d/%d] %s", number, len(runs), run.name)
        try:
            run.plan.run(run.folder, retries=retries)
        except InputError as error:
            errors[run] = error
            log.info("failed: %s", error)
            record(f"failed: {run.name}: {error}")
        else:
            record(f"finished: {run.name}")
    return errors


def _write(done: list[SweepRun], failed: list[dict], folder: Path) -> None:
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


def _draw(rows: pd.DataFrame, summary: pd.DataFrame, settings: list[str], folder: Path) -> None:
    """One figure per question that the sweep can answer."""
    from ..plotting import base, sweeps

    figures = {
        f"{by}s": sweeps.spread(rows, by, settings)
        for by in ("seed", "split")
        if rows[by].nunique() > 1
    }
    if len(summary) > 1:
        figures["architectures"] = sweeps.between(summary, rows)
    for name, figure in figures.items():
        with atomic(folder / f"{name}.png") as partial:
            figure.savefig(partial, dpi=base.DPI)


def table(done: list[SweepRun]) -> pd.DataFrame:
    """One row per run and network: variant, the grid's settings, columns of `gathering.compare`."""
    rows = []
    for run in done:
        results = gathering.compare(run.folder, gathering.finished_in(run.folder))
        own = {name: value for name, value in run.point.items() if name not in results}
        rows.append(results.assign(variant=run.variant, **own)[["variant", *own, *results]])
    return pd.concat(rows, ignore_index=True)


def variants(done: list[SweepRun]) -> pd.DataFrame:
    """One row per variant and network, over all its runs, and its gains over the first variant."""
    folders: dict[str, list] = {}
    for run in done:
        folders.setdefault(run.variant, []).append(run.folder)
    tested = {variant: gathering.tested(own, baselines=False) for variant, own in folders.items()}
    reference = next(iter(tested.values()))
    rows = []
    for variant, own in folders.items():
        summary = gathering.summarize(own, baselines=False)
        names = summary["architecture"]
        gains = [_gain(tested[variant][name], reference.get(name)) for name in names]
        summary = summary.join(pd.DataFrame(gains, index=summary.index))
        summary.insert(0, "variant", variant)
        rows.append(summary)
    return pd.concat(rows, ignore_index=True)


def _gain(own: list[pd.DataFrame], reference: list[pd.DataFrame] | None) -> dict[str, float]:
    """What a variant gains over the first one, where both were tested on the same cells."""
    tested = pd.concat(own, ignore_index=True)
    first = pd.concat(reference, ignore_index=True) if reference else tested.iloc[:0]
    if tested["file"].tolist() != first["file"].tolist():
        return {}
    return comparison.gains(tested, first)


def sentence(row: Mapping) -> str:
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
        start = Path(folder).absolute()
        names = listing(str(Path(record["folder"]).relative_to(start)) for record in failed)
        have = "has" if len(failed) == 1 else "have"
        raise InputError(
            f"{counted(len(failed), 'run')} {have} failed ({names}): see "
            f"{Path(folder) / 'failed.csv'}, mend, run again."
        )
