"""The command line: ``python -m allhelpers run | predict | manifest``."""

import argparse
import os
import sys
import types
import typing
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from . import RESEARCH_ONLY, __version__, settings, splitting
from .errors import InputError

EXAMPLES = """examples:
  python -m allhelpers run                                            the synthetic sample, the paper's settings
  python -m allhelpers run --settings settings/sample.yaml            the same, quickly (what `make run` does)
  python -m allhelpers run --images C-NMC.zip --weights imagenet      real cells
  python -m allhelpers run --images FOLDER --allow-subset --architectures mobilenet,resnet50 \\
      --weights mobilenet=mobilenet.h5,resnet50=resnet50.h5 --unfreeze none
"""


def main(arguments=None):
    """Run the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        options.command(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    return 0


def build_parser():
    """Build the parser; the options of ``run`` come from the settings classes."""
    parser = argparse.ArgumentParser("python -m allhelpers", description=__doc__, epilog=RESEARCH_ONLY)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_predict(commands)
    _add_manifest(commands)
    return parser


def _add_run(commands):
    command = commands.add_parser(
        "run", help="execute the notebooks into a run folder", epilog=EXAMPLES,
        description="Execute the notebooks with papermill, in order, into a run folder, and print the comparison. "
        "Training settings take one value, or architecture=value pairs separated by commas.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.set_defaults(command=run)
    command.add_argument("--settings", type=Path, metavar="FILE", help="YAML file of settings; options overrule it")
    command.add_argument("--output", type=Path, metavar="FOLDER", help="run folder (default: runs/IMAGES-SPLIT)")
    command.add_argument("--overwrite", action="store_true", help="delete an earlier run that lies in the run folder")
    for name, field in settings.RunSettings.model_fields.items():
        if name == "run_folder":
            continue
        option, text = "--" + name.replace("_", "-"), f"{field.description} (default: {field.default!r})"
        if field.annotation is bool:
            command.add_argument(option, dest=name, action="store_true", default=None, help=field.description)
        else:
            command.add_argument(option, dest=name, metavar=_metavar(field), help=text.replace("%", "%%"))


def _metavar(field):
    if typing.get_origin(field.annotation) is typing.Literal:
        return "|".join(map(str, typing.get_args(field.annotation)))
    kind = field.annotation
    return kind.__name__.upper() if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) else "VALUE"


def run(options):
    """``run``: all stages, then the comparison on the terminal."""
    from . import pipeline

    values = settings.read_file(options.settings) if options.settings else {}
    for name in settings.RunSettings.model_fields:
        given = getattr(options, name, None)
        if given is not None:
            values[name] = given if given is True else settings.parse_value(name, given)
    folder = pipeline.run(values, options.output or values.pop("run_folder", None), options.overwrite)
    _print_comparison(folder)


def _print_comparison(folder):
    import pandas as pd

    from . import comparison

    table = pd.read_csv(folder / "comparison.csv")
    columns = ["architecture", "weights", "epochs", "test_correct", "test_cells", "test_accuracy", "low", "high"]
    print(table[[*columns, "seconds"]].to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for note in comparison.notes_of(table):
        print(f"* {note}")
    print(f"* low, high: 95 % Wilson interval. {RESEARCH_ONLY}")
    print(f"report: {folder / 'report.html'}")


def _add_predict(commands):
    command = commands.add_parser(
        "predict", help="classify pictures with a trained model",
        description="Classify pictures with a model that `run` has trained, and write a CSV of probabilities.",
        epilog=RESEARCH_ONLY,
    )  # fmt: skip
    command.set_defaults(command=predict)
    command.add_argument("model", metavar="MODEL", help="model.keras of a run, with parameters.json beside it")
    command.add_argument("pictures", nargs="+", metavar="FILE|FOLDER", help="BMP, PNG or JPEG pictures of single cells")
    command.add_argument("--output", type=Path, default=Path("predictions.csv"), metavar="CSV")


def predict(options):
    """``predict``: one row per picture."""
    from . import finetuning, loading, runs

    files = loading.find_pictures(options.pictures)
    network = finetuning.load(options.model)
    table = finetuning.classify(network, files)
    runs.write_csv(options.output, table)
    print(f"{len(table):,} pictures classified: {options.output}. {RESEARCH_ONLY}")


def _add_manifest(commands):
    command = commands.add_parser(
        "manifest", help="make a manifest of official files",
        description="Make a manifest (file, part, fold, label, subject, sha256, and a column for each split) from a "
        "folder of official files, or from a CSV list that holds these facts.",
    )  # fmt: skip
    command.set_defaults(command=make_manifest)
    command.add_argument("source", type=Path, metavar="FOLDER|CSV")
    command.add_argument("--output", type=Path, default=Path("data_manifest.csv"), metavar="CSV")
    command.add_argument("--seed", type=int, default=splitting.DEFAULT_SEED)


def make_manifest(options):
    """``manifest``: facts and splits of every labelled file."""
    from . import manifest, runs

    read = manifest.from_folder if options.source.is_dir() else manifest.from_listing
    table = splitting.add_splits(read(options.source), options.seed)
    runs.write_csv(options.output, table)
    print(f"{len(table):,} cells of {table['subject'].nunique()} patients: {options.output}")


if __name__ == "__main__":
    sys.exit(main())
