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
      failed.csv                            runs that have failed, with the reason; only if there are some
"""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from . import comparison, pipeline, runs
from . import settings as run_settings
from .errors import InputError, listing

ALONE = "all"  # name of the only variant where none are named


class Sweep(BaseModel):
    """What a sweep file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field("", description="settings file, relative to the sweep file")
    settings: dict = Field({}, description="settings of all runs, beside or instead of those of the base")
    variants: dict[str, dict] = Field({ALONE: {}}, min_length=1, description="named sets of settings")
    grid: dict[str, list] = Field({}, description="lists of values, of which all combinations are run")


@dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes
    ----------
    variant : str
    point : dict
        The grid's settings.
    values : dict
        All settings.
    folder : Path
    """

    variant: str
    point: dict
    values: dict
    folder: Path


def read(path, given, folder):
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
    """
    path = Path(path)
    sweep = run_settings.validate(Sweep, run_settings.read_file(path))
    base = run_settings.read_file(path.parent / sweep.base) if sweep.base else {}
    common = {**base, **sweep.settings, **given}
    if any(not values for values in sweep.grid.values()):
        raise InputError(f"The grid of {path} holds an empty list: give each setting at least one value.")
    planned = []
    for variant, own in sweep.variants.items():
        for choice in itertools.product(*sweep.grid.values()):
            point = dict(zip(sweep.grid, choice, strict=True))
            name = ",".join(_plain(f"{k}={v}") for k, v in point.items())
            place = Path(folder) / _plain(variant) / name
            planned.append(Run(variant, point, {**common, **own, **point}, place.absolute()))
    if len({run.folder for run in planned}) < len(planned):
        raise InputError(f"Two runs of {path} would share a folder: give variants and values of the grid other names.")
    for run in planned:
        pipeline.check(run.values)
    return planned


def _plain(name):
    """A name as a part of a path."""
    return re.sub(r"[^\w.=-]+", "-", name.replace("/", "of"))


def run(planned, folder):
    """Run what is not finished yet, and gather all results; a run that fails does not stop the others.

    Parameters
    ----------
    planned : list of Run
    folder : str or Path
        Gets sweep.csv, variants.csv and, if need be, failed.csv.

    Returns
    -------
    list of dict
        Runs that have failed: variant, settings of the grid, folder, reason.
    """
    failed = []
    for number, one in enumerate(planned, 1):
        print(f"[{number}/{len(planned)}] {one.folder.relative_to(Path(folder).absolute())}", flush=True)
        try:
            pipeline.run(one.values, one.folder)
        except InputError as error:
            failed.append({"variant": one.variant, **one.point, "folder": str(one.folder), "reason": str(error)})
            print(f"failed: {error}", flush=True)
    broken = {record["folder"] for record in failed}
    done = [one for one in planned if str(one.folder) not in broken]
    _write(done, failed, Path(folder))
    return failed


def _write(done, failed, folder):
    (folder / "failed.csv").unlink(missing_ok=True)
    if failed:
        runs.write_csv(folder / "failed.csv", pd.DataFrame(failed))
    if not done:
        raise InputError(f"All {len(failed)} runs have failed ({failed[0]['reason']}): see {folder / 'failed.csv'}.")
    runs.write_csv(folder / "sweep.csv", table(done))
    runs.write_csv(folder / "variants.csv", variants(done))


def table(done):
    """One row per run and network.

    Parameters
    ----------
    done : list of Run
        Finished ones.

    Returns
    -------
    DataFrame
        Columns variant, the grid's settings, and those of `comparison.compare`.
    """
    rows = []
    for one in done:
        found = comparison.compare(one.folder, comparison.finished_in(one.folder))
        here = {"variant": one.variant, **{k: v for k, v in one.point.items() if k not in found}}
        rows.append(pd.DataFrame([here] * len(found)).join(found))
    return pd.concat(rows, ignore_index=True)


def variants(done):
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
    """
    by_variant = {one.variant: [] for one in done}
    for one in done:
        by_variant[one.variant].append(one.folder)
    tested = {variant: comparison.tested(folders) for variant, folders in by_variant.items()}
    reference = next(iter(tested))
    rows = []
    for variant, folders in by_variant.items():
        found = comparison.summarise(folders)
        gains = [_gain(tested[variant][name], tested[reference].get(name)) for name in found["architecture"]]
        found = found.join(pd.DataFrame(gains, index=found.index))
        found.insert(0, "variant", variant)
        rows.append(found)
    return pd.concat(rows, ignore_index=True)


def _gain(own, reference):
    own = pd.concat(own, ignore_index=True)
    reference = pd.concat(reference, ignore_index=True) if reference else own.iloc[:0]
    if own["file"].tolist() != reference["file"].tolist():
        return {}
    found = comparison.differences(own, reference)
    return {key.replace(metric, f"{metric}_gain"): found[key] for metric in comparison.COMPARED
            for key in (metric, f"{metric}_low", f"{metric}_high")}  # fmt: skip


def sentence(row):
    """One variant of `variants` in words.

    Parameters
    ----------
    row : dict

    Returns
    -------
    str
    """
    text = (
        f"{row['variant']}, {comparison.title(row['architecture'])}: weighted F1 {row['weighted_f1']:.3f} "
        f"({row['weighted_f1_low']:.3f} to {row['weighted_f1_high']:.3f}), AUROC {row['auroc']:.3f}; "
        f"{row['runs']} runs, mean {row['weighted_f1_mean']:.3f}"
    )
    if pd.notna(row.get("weighted_f1_gain")):
        text += (
            f"; gain {row['weighted_f1_gain']:+.3f} ({row['weighted_f1_gain_low']:+.3f} to "
            f"{row['weighted_f1_gain_high']:+.3f})"
        )
    return text


def report_failures(failed, folder):
    """Raise if runs have failed, once all the others are done.

    Parameters
    ----------
    failed : list of dict
        From `run`.
    folder : str or Path

    Raises
    ------
    InputError
    """
    if failed:
        names = listing([Path(record["folder"]).relative_to(Path(folder).absolute()) for record in failed])
        raise InputError(
            f"{len(failed)} runs have failed ({names}): see {Path(folder) / 'failed.csv'}, mend, run again."
        )
