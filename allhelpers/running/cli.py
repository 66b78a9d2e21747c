"""The command line: ``allhelpers run``, ``allhelpers sweep`` and the others.

Options of settings are made from the settings classes (`options`). Rooms are imported where they
are used, so that ``--help`` answers at once.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from .. import RESEARCH_ONLY, __version__
from .._core.errors import InputError, counted
from . import messages
from .options import Command, Commands, current

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EXAMPLES = """\b
examples:
  the synthetic sample, the paper's settings:
    allhelpers run
  the same, quickly (what `make run` does):
    allhelpers run --settings settings/sample.yaml
  real cells:
    allhelpers run --images C-NMC.zip --weights imagenet
  cross-validation by patient; --seed 1,2,3 likewise:
    allhelpers run --images C-NMC.zip --settings settings/recipe.yaml \\
      --split patient:1/5,patient:2/5,patient:3/5,patient:4/5,patient:5/5
  a value for each architecture:
    allhelpers run --images FOLDER --architectures mobilenet,resnet50 \\
      --weights mobilenet=mobilenet.h5,resnet50=resnet50.h5 --unfreeze none
"""


class _FromHome(click.Path):
    """A path; ``--output=~/runs`` reaches us as it is written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return Path(str(super().convert(value, param, ctx))).expanduser()


PATH = _FromHome(path_type=Path)
MODEL = click.argument("model", type=PATH, metavar="MODEL")
IMAGE_SIZE = click.option(
    "--image-size",
    type=click.IntRange(min=0),
    metavar="PIXELS",
    help="height and width that every image must have; 0: any (default: as in training)",
)
OVERWRITE = click.option("--overwrite", is_flag=True, help="replace a file that is there")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. The one place where errors become text."""
    messages.show()
    if threading.current_thread() is threading.main_thread():
        # As at Ctrl-C, what is half written and unpacked images of patients are removed.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        status = allhelpers.main(args=arguments, standalone_mode=False)
        return status if isinstance(status, int) else 0
    except InputError as error:
        return _refuse(str(error), 1)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        more = f" See {context.command_path} --help." if context else ""
        return _refuse(f"{error.format_message()}{more}", error.exit_code)
    except OSError as error:  # a full disk, a folder that may not be written
        reason = error.strerror or error
        return _refuse(f"{error.filename or 'a file'} cannot be used: {reason}.", 1)
    except (click.Abort, KeyboardInterrupt):
        return _refuse("interrupted", 130)
    except Exception as error:
        return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    """A fault of the program, or of a file that it takes for its own: where, in one sentence."""
    if os.environ.get("ALLHELPERS_TRACEBACK"):
        raise error
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return _refuse(
        f"unforeseen ({what}, in {Path(place.filename).name} line {place.lineno}): a file that was "
        "read may be damaged, else please report it, with ALLHELPERS_TRACEBACK=1 set.",
        1,
    )


def _refuse(sentence: str, status: int) -> int:
    print(f"error: {InputError(sentence)}", file=sys.stderr)  # not of any length
    return status


@click.group(
    cls=Commands,
    no_args_is_help=False,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=RESEARCH_ONLY,
)
@click.version_option(__version__, message="%(version)s")
def allhelpers() -> None:
    """Fine-tune ImageNet networks on single white-blood cells, and measure honestly."""


def _command(short: str, *, example: str = RESEARCH_ONLY, **more: Any) -> Callable:
    return allhelpers.command(cls=Command, short_help=short, epilog=example, **more)


def _option(name: str, kind: Any, metavar: str, text: str, **more: Any) -> Callable:
    return click.option(name, type=kind, metavar=metavar, help=text, **more)


def _csv(name: str) -> Callable:
    """Where a table goes."""

    def add(command: Callable) -> Callable:
        place = click.option("--output", type=PATH, default=name, metavar="CSV", show_default=True)
        return place(OVERWRITE(command))

    return add


def _check_free(overwrite: bool, *paths: Path) -> None:
    from ..runs import check_free

    for path in paths:
        check_free(path, overwrite=overwrite)


@_command("execute the notebooks into a run folder", settings="RunSettings", example=EXAMPLES)
@_option("--settings", PATH, "FILE", "YAML file of settings; options overrule it")
@_option("--output", PATH, "FOLDER", "run folder (default: runs/IMAGES-SPLIT)")
@click.option(
    "--overwrite", is_flag=True, help="replace the files of an earlier run in the run folder"
)
def run(settings: Path | None, output: Path | None, overwrite: bool, **options: Any) -> None:
    """Execute the notebooks, in order, into a run folder, and print the comparison.

    Training settings take one value, or architecture=value pairs separated by commas. Several
    splits or seeds, separated by commas, are a run each.
    """
    from . import parameters, planning

    values = parameters.read_file(settings) if settings else {}
    values |= current().given(options)
    each = planning.expand(values)
    how: dict[str, Any] = {"overwrite": overwrite, "given": [settings] if settings else []}
    if len(each) == 1:
        _print_comparison(planning.run_notebooks(each[0], output, **how))
        return
    output = output or values.get("run_folder")
    folders = [planning.run_notebooks(one, planning.folder_of(one, output), **how) for one in each]
    _print_summary(folders, folders[0].parent / "summary.csv")


def _print_comparison(folder: Path) -> None:
    import pandas as pd

    from ..evaluation import words
    from ..runs import Run

    table = pd.read_csv(Run(folder).table_path("comparison"))
    rows = [_comparison_row(row) for row in table.to_dict("records")]
    print(pd.DataFrame(rows).to_string(index=False, na_rep=""))
    for note in words.notes_of(table):
        print(messages.wrapped(f"* {note}"))
    legend = f"* 95 %: Wilson's interval; equal size: AUROC on such cells. {RESEARCH_ONLY}"
    print(messages.wrapped(legend))
    print(f"report: {Run(folder).report_path}")


def _comparison_row(row: Mapping[Any, Any]) -> dict[str, str]:
    """One method's line, short enough for a terminal of 80 columns."""
    from ..evaluation import words

    figures = [row.get(name, math.nan) for name in ("auroc", "auroc_equal_size")]
    auroc, equal = ("" if math.isnan(value) else f"{value:.3f}" for value in figures)
    interval = f"{100 * row['low']:.3g} to {100 * row['high']:.3g}"
    return {
        "method": words.method_title(row["architecture"]),
        "correct": f"{row['test_correct']}/{row['test_cells']}",
        "accuracy (95 %)": f"{row['test_accuracy']:.1%} ({interval})",
        "AUROC": auroc,
        "equal size": equal,
        "s": f"{row['seconds']:.0f}",
    }


@_command(
    "many runs from one file: variants and a grid of settings",
    settings="RunSettings",
    example=f"example: allhelpers sweep sweeps/ablation.yaml --images FOLDER. {RESEARCH_ONLY}",
)
@click.argument("file", type=PATH, metavar="SWEEP.yaml")
@_option("--output", PATH, "FOLDER", "folder of all runs (default: runs/NAME)")
@_option("--parallel", int, "RUNS", "at once, by Ray on this machine (default: one by one)")
@_option("--address", str, "HOST:PORT", "run on this machine's Ray cluster: see docs/cluster.md")
@_option("--cpus", float, "CORES", "cores that Ray sets aside for each (default: 1)")
@_option("--gpus", float, "GPUS", "GPUs that Ray sets aside for each, say 0.5 (default: 0)")
@_option("--retries", int, "TIMES", "how often what fails is tried again (default: 2)")
@click.option(
    "--distribute",
    is_flag=True,
    default=None,
    help="divide each frozen part among the machines: see docs/cluster.md",
)
def sweep(file: Path, output: Path | None, **options: Any) -> None:
    """Run every combination of a sweep file's variants and grid, each as `run` does.

    What is finished is not run again. The settings below hold for all runs; the file's variants and
    grid overrule them.
    """
    import pandas as pd

    from . import sweep as sweeps
    from .planning import ROOT

    means = {field.name: options.pop(field.name) for field in fields(sweeps.SweepOptions)}
    how = sweeps.SweepOptions(**{name: value for name, value in means.items() if value is not None})
    folder = output or ROOT / "runs" / file.stem
    planned = sweeps.read_sweep(file, current().given(options), folder)
    failed = sweeps.run_sweep(planned, folder, how)
    for row in pd.read_csv(folder / "variants.csv").to_dict("records"):
        print(f"* {sweeps.sentence(row)}")
    print(f"* intervals: 95 %, patients resampled. {RESEARCH_ONLY}\ntables: {folder}")
    sweeps.report_failures(failed, folder)


@_command("several runs as one: mean, spread, pooled intervals")
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@_csv("summary.csv")
def summary(runs: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """Summarise finished runs of other splits or seeds.

    Mean and standard deviation over the runs, and metrics over all their test cells with intervals
    from resampling patients.
    """
    _check_free(overwrite, output)
    _print_summary(runs, output)


def _print_summary(folders: Sequence[Path], path: Path) -> None:
    from .._core.files import write_csv
    from ..evaluation import summarize, words

    table = summarize(list(folders))
    write_csv(path, table)
    for row in table.to_dict("records"):
        known = row["patients"] != row["cells"]  # where they are not, each cell counts as one
        of_patients = f" of {counted(row['patients'], 'patient')}" if known else ""
        print(
            f"{words.method_title(row['architecture'])}: {counted(row['runs'], 'run')}, "
            f"{row['cells']:,} test cells{of_patients}"
        )
        for metric in ("weighted_f1", "balanced_accuracy", "auroc"):
            print(
                f"  {metric}: mean {row[f'{metric}_mean']:.3f}, SD {row[f'{metric}_sd']:.3f}; "
                f"together {words.row_in_words(row, metric)}"
            )
    print(f"* intervals: 95 %, patients (where unknown: cells) resampled. {RESEARCH_ONLY}")
    print(f"summary: {path}")


@_command(
    "classify images with a trained model",
    example=f"example: allhelpers predict RUN/mobilenet new_cells. {RESEARCH_ONLY}",
)
@MODEL
@click.argument("images", nargs=-1, required=True, metavar="FILE|FOLDER|ARCHIVE...")
@_csv("predictions.csv")
@IMAGE_SIZE
def predict(model: Path, images: tuple[str, ...], **wanted: Any) -> int:
    """Classify images of single cells, and write a CSV of probabilities.

    Images are files, folders, or zip or tar archives. What cannot be used is listed with its
    reason, and the exit status is then 3; images unlike the training cells are marked. MODEL is
    the model.keras of a run, with parameters.json beside it, or their folder.
    """
    from ..inference import command  # TensorFlow takes seconds: not for a misspelt name

    return command.predict(model, images, **wanted)


@_command(
    "a page that shows a trained model new images",
    example=f"example: allhelpers serve RUN/mobilenet. {RESEARCH_ONLY}",
)
@MODEL
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="this machine only; 0.0.0.0: every machine that reaches this one, without a password",
)
@click.option("--port", type=click.IntRange(1, 65535), default=7860, show_default=True)
def serve(model: Path, host: str, port: int) -> None:
    """Start a page on this machine (needs gradio).

    Upload images, see probabilities, where the evidence lies and the most similar training cells,
    where those images are still there. MODEL is the model.keras of a run, or its folder.
    """
    from .. import inference

    inference.serve(model, host, port)


@_command(
    "a trained model for programs without Keras",
    lists=("--images",),
    former={"pictures": "images"},  # old name
    example=f"example: allhelpers export RUN/mobilenet --format onnx. {RESEARCH_ONLY}",
)
@MODEL
@click.option(
    "--format", "kind", required=True, type=click.Choice(["onnx", "litert", "saved_model"])
)
@_option("--output", PATH, "FILE", "default: beside the model")
@_option(
    "--images",
    str,
    "FILE|FOLDER...",
    "cells to compare on, the first 100 (default: 16 synthetic ones)",
    multiple=True,
)
@IMAGE_SIZE
@OVERWRITE
def export(model: Path, kind: str, images: tuple[str, ...], **wanted: Any) -> None:
    """Write a trained model as ONNX, LiteRT or TensorFlow's SavedModel.

    Preprocessing is inside, and so is the averaging over orientations, if any; the probabilities
    are compared with the model's own. MODEL is the model.keras of a run, or its folder.
    """
    from ..inference import command

    command.export(model, kind, images, **wanted)


@_command(
    "correct the labels that you have marked as wrong",
    example=f"example: allhelpers relabel RUN --output corrected.csv. {RESEARCH_ONLY}",
)
@click.argument("folder", type=PATH, metavar="RUN")
@click.argument("marked", type=PATH, metavar="[MARKED.csv]", required=False)
@_csv("corrected.csv")
def relabel(folder: Path, marked: Path | None, output: Path, overwrite: bool) -> None:
    """Write a corrected table of cells; the original is never touched.

    MARKED.csv is the run's suspects.csv, or a copy, with marks in its column mark: x takes the
    class that is suggested, the name of a class takes that, out leaves the cell out.
    """
    from ..evaluation import suspects
    from ..runs import Run

    _check_free(overwrite, output)
    table = suspects.read_marked(marked or Run(folder).suspects_path)
    print(f"{suspects.write_corrected(folder, table, output)}: {output}")
    print(f"train on it: allhelpers run --images IMAGES --manifest {output}")


@_command("make a manifest of official files", example="")
@click.argument("source", type=PATH, metavar="FOLDER|CSV")
@_csv("data_manifest.csv")
@_option("--seed", int, "INT", "seed of the splits (default: 2019)")
def manifest(source: Path, output: Path, seed: int | None, overwrite: bool) -> None:
    """Make a manifest: file, part, fold, label, patient, sha256, and a column for each split.

    From a folder of official files, or from a CSV list that holds these facts.
    """
    from .._core.files import write_csv
    from ..data import manifest as manifests
    from ..data import splitting

    _check_free(overwrite, output)
    read = manifests.from_folder if source.is_dir() else manifests.from_listing
    table = splitting.add_splits(read(source), splitting.DEFAULT_SEED if seed is None else seed)
    left_out = manifests.left_out(source, table) if source.is_dir() else table.iloc[:0]
    listed = output.with_name("rejected.csv")
    if len(left_out):
        _check_free(overwrite, listed)
    write_csv(output, table)
    print(f"{len(table):,} cells of {table['patient'].nunique()} patients: {output}")
    if len(left_out):
        write_csv(listed, left_out)
        what = "images have no official name or label and are left out"
        print(f"{len(left_out):,} {what}: {listed}")


@_command("look for leaks and shortcuts in the data", settings="DataSettings", example="")
@_option("--output", PATH, "FOLDER", "write the tables as CSV files into a folder")
@click.option("--overwrite", is_flag=True, help="replace tables that lie there")
def audit(output: Path | None, overwrite: bool, **options: Any) -> None:
    """Look for leaks and shortcuts: identical images and patients in two splits.

    From the manifest alone; with --images also images that look the same, and the area of the
    cells.
    """
    from .. import data
    from .._core.files import write_csv
    from ..data import auditing, splitting
    from ..data import manifest as manifests
    from ..settings import DataSettings, validate

    values = current().given(options)
    if output:  # lists of missing or rejected images go there too
        values["run_folder"] = str(output)
        _check_free(overwrite, *(output / f"{name}.csv" for name in auditing.TABLES))
    settings = validate(DataSettings, values)
    if "images" in values:
        cells = data.prepare(settings)
        notes, report = cells.notes, data.audit(cells)
    else:
        table = manifests.read(settings.manifest or manifests.PROJECT_MANIFEST)
        table, notes = manifests.keep_classes(table, settings.classes)
        drawn = splitting.draw(table, settings.split, settings.seed)
        report = auditing.audit_manifest(table.assign(split=drawn))
    for sentence in [*report.sentences, *notes]:
        print(f"* {sentence}")
    for name in ("folds", "splits", "counts") if len(report.folds) else ("splits", "counts"):
        print(f"\n{name}\n{getattr(report, name).to_string(index=False)}")
    if output:
        for name, rows in report.tables().items():
            write_csv(output / f"{name}.csv", rows)


@_command("why ResNet50 failed in the paper", settings="CollapseSettings")
@_option("--output", PATH, "FOLDER", "run folder (default: runs/4_resnet50_collapse)")
def collapse(output: Path | None, **options: Any) -> None:
    """Execute notebook 4_resnet50_collapse.

    {own preprocessing, pixels / 255} x {batch norm with stored statistics, live}, with the paper's
    head.
    """
    _run_study("4_resnet50_collapse", ["collapse"], output, options)


@_command("optimizers, learning rates and activations compared", settings="ChoicesSettings")
@_option("--output", PATH, "FOLDER", "run folder (default: runs/4_optimizers_and_activations)")
def choices(output: Path | None, **options: Any) -> None:
    """Execute notebook 4_optimizers_and_activations.

    Heads on the features of one frozen network, several seeds each.
    """
    _run_study("4_optimizers_and_activations", ["optimizers", "activations"], output, options)


def _run_study(notebook: str, tables: list[str], output: Path | None, options: dict) -> None:
    """Execute a study's notebook, and print its summaries."""
    import pandas as pd

    from .planning import run_study

    command = current()
    executed = run_study(notebook, command.kind, command.given(options), output=output)
    for name in tables:
        table = pd.read_csv(executed.parent.parent / f"{name}_summary.csv")
        print(table.to_string(index=False))
    print(f"{executed}. {RESEARCH_ONLY}")


if __name__ == "__main__":
    sys.exit(main())
