"""Write the cells that all notebooks share: the check of the version, the forms, the offer of the results.

    python tools/shared_cells.py [--check]

The forms come from the settings classes: one field per setting, with its type, its choices, its default and its help,
at most eleven to a form. Papermill puts its values behind the last form, so that they count.
"""

import ast
import sys
import typing
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from allhelpers import __version__
from allhelpers.networks.registry import ARCHITECTURES
from allhelpers.settings import (
    ChoicesSettings,
    ClassicalSettings,
    CollapseSettings,
    ComparisonSettings,
    DataSettings,
    OwnCellsSettings,
    TrainingSettings,
)

MOST = 11  # fields in a form: with its title not more lines than any other cell
FURTHER = {
    "the cells": (
        "seed", "allow_subset", "manifest", "positive", "max_rejected", "sample_cells", "picture_size", "crop",
        "input_size", "cache_folder", "overwrite",
    ),
    "steps and head": (
        "unfreeze", "optimiser", "batch_norm", "batch_size", "momentum", "schedule", "hidden", "activation",
        "dropout", "label_smoothing",
    ),
    "what the network sees, and the machine": (
        "orientations", "average", "balance", "norm_momentum", "refit", "patience", "features", "engine",
        "deterministic",
    ),
}  # fmt: skip
DATA = ("images", "split", "allow_subset", "seed", "run_folder")
MAIN = {
    DataSettings: DATA,
    TrainingSettings: (*DATA, "weights", "unfreeze", "epochs", "optimiser", "learning_rate"),
    OwnCellsSettings: (
        "images", "manifest", "split", "architecture", "weights", "epochs", "learning_rate", "run_folder",
        "new_pictures", "open_page",
    ),
    ClassicalSettings: (*DATA, "classifiers", "refit"),
    ComparisonSettings: ("architectures", "run_folder"),
    CollapseSettings: (*DATA, "weights", "pool", "seeds", "epochs", "learning_rate"),
    ChoicesSettings: (
        "images", "split", "allow_subset", "run_folder", "architecture", "weights", "epochs", "learning_rates", "seeds",
        "hidden",
    ),
}  # fmt: skip
KINDS = {
    "1": DataSettings, "2": TrainingSettings, "3": ComparisonSettings,
    "5": OwnCellsSettings,
    "2_classical": ClassicalSettings, "4_resnet50_collapse": CollapseSettings,
    "4_optimisers_and_activations": ChoicesSettings,
}  # fmt: skip
# Values that a text may take, where it is no Literal; others can be typed in.
SUGGESTED = {
    "images": ["sample", "kaggle"],
    "manifest": ["", "folders"],
    "split": ["paper", "patient", "patient:1/5", "fold_0:fold_1"],
    "weights": ["default", "imagenet", "random"],
    "unfreeze": ["default", "none", "all"],
    "run_folder": ["runs/sample", "drive/allhelpers/sample"],
}
CHOICES = {"architecture": list(ARCHITECTURES)}
IMPORT = "from allhelpers import "
NOTES = {
    "parameters": "Change the values here, or let papermill inject them. An impossible value stops the notebook in the "
    "next cell.\nWhat stands under *Further settings* is good for a start.",
    "last": "# In Colab a button: model, report and tables as one zip file\nrunning.offer(settings.run_folder)",
}


def kind_of(stem):
    """The settings class of a notebook's parameters."""
    return KINDS.get(stem) or KINDS[stem[0]]


def field_line(kind, name):
    """One setting as a line that is Python, a field in Colab, and a typed parameter with its help for papermill.

    Parameters
    ----------
    kind : type
        A class of `settings`.
    name : str

    Returns
    -------
    str
    """
    field = kind.model_fields[name]
    python, colab = _types(name, field.annotation)
    default = f'"{field.default}"' if isinstance(field.default, str) else repr(field.default)
    return f"{name}: {python} = {default}  # @param {colab}  # {field.description}"


def _types(name, annotation):
    """Type of a setting for Python, and its form field for Colab."""
    if typing.get_origin(annotation) is typing.Literal:
        choices = typing.get_args(annotation)
        listed = ", ".join(f'"{choice}"' for choice in choices)
        return type(choices[0]).__name__, f"[{listed}]" + (
            "" if isinstance(choices[0], str) else ' {type:"raw"}'
        )
    python = annotation if annotation in (str, bool, int, float) else typing.get_args(annotation)[0]
    for known, ending in ((SUGGESTED, " {allow-input: true}"), (CHOICES, "")):
        if name in known:
            return python.__name__, "[" + ", ".join(
                f'"{choice}"' for choice in known[name]
            ) + "]" + ending
    field = {str: "string", bool: "boolean", int: "integer", float: "number"}[python]
    return python.__name__, f'{{type:"{field}"}}'


def forms(kind):
    """Source of each form of a notebook, papermill's last.

    Parameters
    ----------
    kind : type
        A class of `settings`.

    Returns
    -------
    list of str
    """
    main = MAIN[kind]
    further = {} if kind is ComparisonSettings else FURTHER
    groups = {
        f"Further settings: {title}": [
            name for name in names if name in kind.model_fields and name not in main
        ]
        for title, names in further.items()
    }
    groups = {title: names for title, names in groups.items() if names} | {"Settings": main}
    return [
        "\n".join([f"# @title {title}", *(field_line(kind, name) for name in names)])
        for title, names in groups.items()
    ]


def write(notebook, stem):
    """Replace the shared cells of a notebook.

    Parameters
    ----------
    notebook : NotebookNode
    stem : str
        Name of its file.
    """
    kind, cells = kind_of(stem), notebook.cells
    heading = next(k for k, cell in enumerate(cells) if cell.source.startswith("## 2 Parameters"))
    end = next(
        k
        for k, cell in enumerate(cells)
        if cell.cell_type == "code" and "from_notebook(" in cell.source
    )
    cells[heading].source = f"## 2 Parameters\n\n{NOTES['parameters']}"
    written = [nbformat.v4.new_code_cell(source) for source in forms(kind)]
    written[-1].metadata["tags"] = ["parameters"]
    cells[heading + 1 : end] = written
    setup = next(cell for cell in cells if "print(running.machine())" in cell.source)
    imported, *kept = [line for line in setup.source.splitlines() if "check_version" not in line]
    names = {"running", *imported.removeprefix(IMPORT).split(", ")}
    checked = f'running.check_version("{__version__}")'
    setup.source = "\n".join([IMPORT + ", ".join(sorted(names)), *kept[:-1], checked, kept[-1]])
    if "running.offer" in cells[-1].source:
        cells.pop()
    cells.append(nbformat.v4.new_code_cell(NOTES["last"]))
    for number, cell in enumerate(cells):
        cell.id = f"{stem.replace('_', '-')}-{number:02d}"
    ast.parse("\n".join(written_cell.source for written_cell in written))


def main(arguments):
    """Write all notebooks, or with ``--check`` only say which are not up to date; returns the exit status."""
    stale = []
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        before = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        write(notebook, path.stem)
        after = nbformat.writes(notebook) + "\n"
        if after != before:
            stale.append(path.name)
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    print(
        f"{len(stale)} notebooks {'are not up to date' if '--check' in arguments else 'written'}",
        *stale,
    )
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
