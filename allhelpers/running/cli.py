"""The command line: ``python -m allhelpers run | sweep | summary | predict | export | manifest | audit |
collapse | choices``."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import types
import typing
from pathlib import Path
from typing import Any

from .. import RESEARCH_ONLY, __version__
from .._core.errors import InputError, counted
from ..data import splitting
from ..data.splitting import DEFAULT_SEED
from ..settings import ChoicesSettings, CollapseSettings, DataSettings, RunSettings, validate
from . import parameters

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


OWN_OPTIONS = (
    "run_folder",
    "overwrite",
)  # settings whose options are not made from the settings classes


SWEEP_OPTIONS = (
    (
        "--parallel",
        int,
        "TASKS",
        "tasks at once, by Ray on this machine (default: one after the other, without)",
    ),
    (
        "--address",
        str,
        "HOST:PORT",
        "run on this Ray cluster; the machine must belong to it: see docs/cluster.md",
    ),
    ("--cpus", float, "CORES", "cores that Ray sets aside for each task (default: 1)"),
    (
        "--gpus",
        float,
        "GPUS",
        "GPUs that Ray sets aside for each task, for instance 0.5 (default: 0)",
    ),
    ("--retries", int, "TIMES", "how often what fails is tried again (default: 2)"),
    (
        "--store",
        str,
        "FOLDER|URL",
        "where cells and features are kept for all runs (default: store in the cache "
        "folder; with --address in the output folder)",
    ),
    (
        "--per-shard",
        int,
        "CELLS",
        "cells that one task decodes or puts through a trunk (default: 256)",
    ),
)


EXAMPLES = """examples:
  python -m allhelpers run                                            the synthetic sample, the paper's settings
  python -m allhelpers run --settings settings/sample.yaml            the same, quickly (what `make run` does)
  python -m allhelpers run --images C-NMC.zip --weights imagenet      real cells
  python -m allhelpers run --images C-NMC.zip --split patient:1/5,patient:2/5,patient:3/5,patient:4/5,patient:5/5 \\
      --settings settings/recipe.yaml                                 cross-validation by patient; --seed 1,2,3 likewise
  python -m allhelpers run --images FOLDER --allow-subset --architectures mobilenet,resnet50 \\
      --weights mobilenet=mobilenet.h5,resnet50=resnet50.h5 --unfreeze none
"""


def main(arguments: Any = None) -> Any:
    """Run the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        options.command(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that may not be written
        print(
            f"error: {error.filename or 'a file'} cannot be used: {error.strerror or error}.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    return 0


def build_parser() -> Any:
    """Build the parser; the options of ``run`` come from the settings classes."""
    parser = argparse.ArgumentParser(
        "python -m allhelpers", description=__doc__, epilog=RESEARCH_ONLY
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_sweep(commands)
    _add_summary(commands)
    _add_predict(commands)
    _add_serve(commands)
    _add_export(commands)
    _add_manifest(commands)
    _add_audit(commands)
    _add_collapse(commands)
    _add_choices(commands)
    return parser


def _add_run(commands: Any) -> None:
    command = commands.add_parser(
        "run",
        help="execute the notebooks into a run folder",
        epilog=EXAMPLES,
        description="Execute the notebooks with papermill, in order, into a run folder, and print the comparison. "
        "Training settings take one value, or architecture=value pairs separated by commas.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=run)
    command.add_argument(
        "--settings", type=Path, metavar="FILE", help="YAML file of settings; options overrule it"
    )
    command.add_argument(
        "--output", type=Path, metavar="FOLDER", help="run folder (default: runs/IMAGES-SPLIT)"
    )
    command.add_argument(
        "--overwrite", action="store_true", help="delete an earlier run that lies in the run folder"
    )
    _add_settings(command, RunSettings)


def _add_settings(command: Any, kind: Any) -> None:
    """One option per setting; where results go is said by --output."""
    for name, field in kind.model_fields.items():
        if name in OWN_OPTIONS:
            continue
        option, text = (
            "--" + name.replace("_", "-"),
            f"{field.description} (default: {field.default!r})",
        )
        if field.annotation is bool:
            command.add_argument(
                option, dest=name, action="store_true", default=None, help=field.description
            )
        else:
            command.add_argument(
                option, dest=name, metavar=_metavar(field), help=text.replace("%", "%%")
            )


def _metavar(field: Any) -> Any:
    if typing.get_origin(field.annotation) is typing.Literal:
        return "|".join(map(str, typing.get_args(field.annotation)))
    kind = field.annotation
    return (
        kind.__name__.upper()
        if isinstance(kind, type) and not isinstance(kind, types.GenericAlias)
        else "VALUE"
    )


def run(options: Any) -> None:
    """``run``: all stages, then the comparison on the terminal."""
    from . import notebooks, planning

    values = parameters.read_file(options.settings) if options.settings else {}
    values |= _given(options, RunSettings)
    output = options.output or values.pop("run_folder", None)
    each = planning.expand(values)
    if len(each) == 1:
        _print_comparison(notebooks.run_notebooks(each[0], output, options.overwrite))
        return
    folders = [
        notebooks.run_notebooks(one, planning.folder_of(one, output), options.overwrite)
        for one in each
    ]
    _print_summary(folders, folders[0].parent / "summary.csv")


def _add_sweep(commands: Any) -> None:
    command = commands.add_parser(
        "sweep",
        help="many runs from one file: variants and a grid of settings",
        description="Run every combination of a sweep file's variants and grid, each as `run` does; what is finished "
        "is not run again. The options below hold for all runs; the file's variants and grid overrule them.",
        epilog=f"example: python -m allhelpers sweep sweeps/ablation.yaml --images FOLDER. {RESEARCH_ONLY}",
    )
    command.set_defaults(command=run_sweep)
    command.add_argument("file", type=Path, metavar="SWEEP.yaml")
    command.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder of all runs (default: runs/NAME)"
    )
    for option, kind, metavar, text in SWEEP_OPTIONS:
        command.add_argument(
            option, type=kind, metavar=metavar, help=text, default=argparse.SUPPRESS
        )
    _add_settings(command, RunSettings)


def run_sweep(options: Any) -> None:
    """``sweep``: all runs, then one line per variant."""
    import pandas as pd

    from . import sweep
    from .planning import ROOT
    from .sweep import How

    folder = options.output or ROOT / "runs" / options.file.stem
    planned = sweep.read_sweep(options.file, _given(options, RunSettings), folder)
    names = [field.name for field in dataclasses.fields(How)]
    how = How(**{name: getattr(options, name) for name in names if hasattr(options, name)})
    failed = sweep.run_sweep(planned, folder, how)
    for row in pd.read_csv(folder / "variants.csv").to_dict("records"):
        print(f"* {sweep.sentence(row)}")
    print(f"* intervals: 95 %, patients resampled. {RESEARCH_ONLY}\ntables: {folder}")
    sweep.report_failures(failed, folder)


def _given(options: Any, kind: Any) -> Any:
    """Settings that stand on the command line."""
    texts = {name: getattr(options, name, None) for name in kind.model_fields}
    return {
        name: text if text is True else parameters.parse_value(kind, name, text)
        for name, text in texts.items()
        if text is not None and name not in OWN_OPTIONS
    }


def _print_comparison(folder: Path) -> None:
    import pandas as pd

    from ..evaluation import gathering

    table = pd.read_csv(folder / "comparison.csv")
    columns = [
        "architecture",
        "weights",
        "epochs",
        "test_correct",
        "test_cells",
        "test_accuracy",
        "low",
        "high",
    ]
    print(
        table[[*columns, "seconds"]].to_string(
            index=False, na_rep="", float_format=lambda value: f"{value:.3f}"
        )
    )
    for note in gathering.notes_of(table):
        print(f"* {note}")
    print(f"* low, high: 95 % Wilson interval. {RESEARCH_ONLY}")
    print(f"report: {folder / 'report.html'}")


def _add_summary(commands: Any) -> None:
    command = commands.add_parser(
        "summary",
        help="several runs as one: mean, spread, pooled intervals",
        description="Summarise finished runs of other splits or seeds: mean and standard deviation over the runs, and "
        "metrics over all their test cells with intervals from resampling patients.",
        epilog=RESEARCH_ONLY,
    )
    command.set_defaults(command=summary)
    command.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs"
    )
    command.add_argument("--output", type=Path, default=Path("summary.csv"), metavar="CSV")


def summary(options: Any) -> None:
    """``summary``: one row per architecture."""
    _print_summary(options.runs, options.output)


def _print_summary(folders: Any, path: Path) -> None:
    from .._core.files import write_csv
    from ..evaluation import gathering, words

    table = gathering.summarize(folders)
    write_csv(path, table)
    for row in table.to_dict("records"):
        print(
            f"{words.method_title(row['architecture'])}: {counted(row['runs'], 'run')}, {row['cells']:,} test cells of "
            f"{row['patients']} patients"
        )
        for metric in ("weighted_f1", "balanced_accuracy", "auroc"):
            print(
                f"  {metric}: mean {row[f'{metric}_mean']:.3f}, SD {row[f'{metric}_sd']:.3f}; together "
                f"{words.row_in_words(row, metric)}"
            )
    print(f"* intervals: 95 %, patients resampled. {RESEARCH_ONLY}")
    print(f"summary: {path}")


def _add_predict(commands: Any) -> None:
    command = commands.add_parser(
        "predict",
        help="classify pictures with a trained model",
        description="Classify pictures with a model that `run` has trained, and write a CSV of probabilities.",
        epilog=RESEARCH_ONLY,
    )
    command.set_defaults(command=predict)
    command.add_argument(
        "model", metavar="MODEL", help="model.keras of a run, with parameters.json beside it"
    )
    command.add_argument(
        "pictures",
        nargs="+",
        metavar="FILE|FOLDER",
        help="BMP, PNG or JPEG pictures of single cells",
    )
    command.add_argument("--output", type=Path, default=Path("predictions.csv"), metavar="CSV")


def predict(options: Any) -> None:
    """``predict``: one row per picture."""
    from .._core.files import write_csv
    from ..data import sources
    from ..inference import predicting, saved

    files = sources.find_images(options.pictures)
    network = saved.load(options.model)
    table = predicting.predict(network, files)
    write_csv(options.output, table)
    print(f"{len(table):,} pictures classified: {options.output}. {RESEARCH_ONLY}")


def _add_serve(commands: Any) -> None:
    command = commands.add_parser(
        "serve",
        help="a page that shows a trained model new pictures",
        description="Start a page on this machine: upload pictures, see probabilities, where the evidence lies and the "
        "most similar training cells (where those pictures are still there). Needs gradio "
        "(requirements-page.txt).",
        epilog=f"example: python -m allhelpers serve RUN/mobilenet. {RESEARCH_ONLY}",
    )
    command.set_defaults(command=serve)
    command.add_argument(
        "model", metavar="MODEL", help="model.keras of a run, with parameters.json beside it"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, this machine "
        "only; 0.0.0.0: every machine that reaches this one, without a password)",
    )
    command.add_argument("--port", type=int, default=7860, help="(default: %(default)s)")


def serve(options: Any) -> None:
    """``serve``: the page, until interrupted."""
    from ..inference import page

    page.serve(options.model, options.host, options.port)


def _add_export(commands: Any) -> None:
    command = commands.add_parser(
        "export",
        help="a trained model for programs without Keras",
        description="Write a trained model as ONNX, LiteRT or TensorFlow's SavedModel, with preprocessing (and the "
        "averaging over orientations, if any) inside, and compare its probabilities with the model's own.",
        epilog=f"example: python -m allhelpers export RUN/mobilenet --format onnx --pictures FOLDER. {RESEARCH_ONLY}",
    )
    command.set_defaults(command=export)
    command.add_argument(
        "model", metavar="MODEL", help="model.keras of a run, with parameters.json beside it"
    )
    command.add_argument("--format", required=True, choices=("onnx", "litert", "saved_model"))
    command.add_argument("--output", type=Path, metavar="FILE", help="default: beside the model")
    command.add_argument(
        "--pictures",
        nargs="+",
        metavar="FILE|FOLDER",
        help="cells to compare on, the first 100 (default: 16 synthetic ones)",
    )


def export(options: Any) -> None:
    """``export``: the file, and how far its probabilities differ."""
    from ..data import sources
    from ..inference import exporting, saved
    from ..inference.exporting import COMPARED, SUFFIXES

    network = saved.load(options.model)
    folder = Path(options.model)
    folder = folder if folder.is_dir() else folder.parent
    path = options.output or folder / f"{network.architecture.name}{SUFFIXES[options.format]}"
    files = sources.find_images(options.pictures)[:COMPARED] if options.pictures else None
    cells, difference = exporting.export(network, options.format, path, files)
    print(f"{path}: probabilities of {cells} differ by {difference:.1e} at most. {RESEARCH_ONLY}")


def _add_manifest(commands: Any) -> None:
    command = commands.add_parser(
        "manifest",
        help="make a manifest of official files",
        description="Make a manifest (file, part, fold, label, subject, sha256, and a column for each split) from a "
        "folder of official files, or from a CSV list that holds these facts.",
    )
    command.set_defaults(command=make_manifest)
    command.add_argument("source", type=Path, metavar="FOLDER|CSV")
    command.add_argument("--output", type=Path, default=Path("data_manifest.csv"), metavar="CSV")
    command.add_argument("--seed", type=int, default=DEFAULT_SEED)


def make_manifest(options: Any) -> None:
    """``manifest``: facts and splits of every labelled file."""
    from .._core.files import write_csv
    from ..data import manifest as manifests

    read = manifests.from_folder if options.source.is_dir() else manifests.from_listing
    table = splitting.add_splits(read(options.source), options.seed)
    write_csv(options.output, table)
    print(f"{len(table):,} cells of {table['subject'].nunique()} patients: {options.output}")
    left_out = manifests.left_out(options.source, table) if options.source.is_dir() else []
    if len(left_out):
        listed = options.output.with_name("rejected.csv")
        write_csv(listed, left_out)
        print(
            f"{len(left_out):,} pictures have no official name or label and are left out: {listed}"
        )


def _add_audit(commands: Any) -> None:
    command = commands.add_parser(
        "audit",
        help="look for leaks and shortcuts in the data",
        description="Look for leaks and shortcuts: identical pictures and patients on both sides of a split, from the "
        "manifest alone; with --images also pictures that look the same, and the area of the cells.",
    )
    command.set_defaults(command=run_audit)
    command.add_argument(
        "--output", type=Path, metavar="FOLDER", help="write the tables as CSV files into a folder"
    )
    _add_settings(command, DataSettings)


def run_audit(options: Any) -> None:
    """``audit``: one sentence per finding, and tables."""
    from .._core.files import write_csv
    from ..data import auditing, loading, matching, sources
    from ..data import manifest as manifests
    from ..data.manifest import PROJECT_MANIFEST

    values = _given(options, DataSettings)
    if options.output:  # lists of missing or rejected pictures go there too
        values["run_folder"] = str(options.output)
    given = validate(DataSettings, values)
    if options.images:
        cells = loading.prepare(given)
        table = matching.read_manifest(given, sources.open_images(given))
    else:
        table = manifests.read(given.manifest or PROJECT_MANIFEST)
        table, cells = table.assign(split=splitting.draw(table, given.split, given.seed)), None
    found = auditing.audit(table, cells)
    for sentence in found.sentences:
        print(f"* {sentence}")
    for name in ("folds", "sides", "counts"):
        print(f"\n{name}\n{getattr(found, name).to_string(index=False)}")
    if options.output:
        for name, tables in found.tables().items():
            write_csv(options.output / f"{name}.csv", tables)


def _add_collapse(commands: Any) -> None:
    command = commands.add_parser(
        "collapse",
        help="why ResNet50 failed in the paper",
        epilog=RESEARCH_ONLY,
        description="Execute notebook 4_resnet50_collapse: {own preprocessing, pixels / 255} x {batch norm with stored "
        "statistics, live}, with the paper's head.",
    )
    command.set_defaults(command=run_collapse)
    command.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="run folder (default: runs/4_resnet50_collapse)",
    )
    _add_settings(command, CollapseSettings)


def run_collapse(options: Any) -> None:
    """``collapse``: the executed notebook, and its summary on the terminal."""
    import pandas as pd

    from . import notebooks

    kind = CollapseSettings
    notebook = notebooks.run_study(
        "4_resnet50_collapse", kind, _given(options, kind), options.output
    )
    print(pd.read_csv(notebook.parent.parent / "collapse_summary.csv").to_string(index=False))
    print(f"{notebook}. {RESEARCH_ONLY}")


def _add_choices(commands: Any) -> None:
    command = commands.add_parser(
        "choices",
        help="optimisers, step sizes and activations compared",
        epilog=RESEARCH_ONLY,
        description="Execute notebook 4_optimisers_and_activations: heads on the features of one frozen network, "
        "several seeds each.",
    )
    command.set_defaults(command=run_choices)
    folder = "run folder (default: runs/4_optimisers_and_activations)"
    command.add_argument("--output", type=Path, metavar="FOLDER", help=folder)
    _add_settings(command, ChoicesSettings)


def run_choices(options: Any) -> None:
    """``choices``: the executed notebook, and its summaries on the terminal."""
    import pandas as pd

    from . import notebooks

    kind = ChoicesSettings
    notebook = notebooks.run_study(
        "4_optimisers_and_activations", kind, _given(options, kind), options.output
    )
    for choice in ("optimisers", "activations"):
        print(pd.read_csv(notebook.parent.parent / f"{choice}_summary.csv").to_string(index=False))
    print(f"{notebook}. {RESEARCH_ONLY}")


if __name__ == "__main__":
    sys.exit(main())
