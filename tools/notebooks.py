"""Write the notebooks from their templates in tools/notebooks, one template for all networks.

    python tools/notebooks.py [--check]

What several notebooks share stands once: the forms come from the settings classes, the cells that
fetch the project, train, evaluate and save from the templates that are included. Papermill puts its
values behind the last form, so that they count.
"""

import ast
import re
import sys
import typing
from pathlib import Path

import jinja2
import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "tools" / "notebooks"
sys.path.insert(0, str(ROOT))

from allhelpers import __version__  # noqa: E402
from allhelpers.networks.registry import ARCHITECTURES  # noqa: E402
from allhelpers.segmentation.parameters import SmearSettings  # noqa: E402
from allhelpers.settings import (  # noqa: E402
    ChoicesSettings,
    ClassicalSettings,
    CollapseSettings,
    ComparisonSettings,
    DataSettings,
    EnsembleSettings,
    NewImagesSettings,
    OwnCellsSettings,
    TrainingSettings,
)

MOST = 11  # fields in a form: with its title not more lines than any other cell
FURTHER = {
    "the cells": (
        "seed",
        "allow_subset",
        "manifest",
        "classes",
        "layout",
        "positive",
        "max_rejected",
        "sample_cells",
        "sample_differs",
    ),
    "their images": (
        "image_size",
        "crop",
        "input_size",
        "cache_folder",
        "overwrite",
    ),
    "steps and head": (
        "unfreeze",
        "optimizer",
        "batch_norm",
        "batch_size",
        "momentum",
        "schedule",
        "hidden_units",
        "activation",
        "dropout",
        "label_smoothing",
    ),
    "past the size trap: balance, and a head on frozen blocks": (
        "balance",
        "balance_by",
        "size_matching",
        "depths",
        "pooling",
        "brighten",
        "standardise",
        "weight_decay",
        "calibrate",
        "sensitivity",
        "suspects",
    ),
    "how cells are shown": (
        "orientations",
        "variants",
        "tta",
        "batch_norm_momentum",
    ),
    "what validation chooses, and the machine": (
        "refit",
        "refit_all",
        "patience",
        "choose_by",
        "feature_dtype",
        "engine",
        "figures",
        "deterministic",
    ),
}
DATA = ("images", "split", "allow_subset", "seed", "run_folder")
MAIN = {
    SmearSettings: tuple(SmearSettings.model_fields),
    DataSettings: DATA,
    TrainingSettings: (*DATA, "weights", "unfreeze", "epochs", "optimizer", "learning_rate"),
    OwnCellsSettings: (
        "images",
        "manifest",
        "split",
        "architecture",
        "weights",
        "epochs",
        "learning_rate",
        "run_folder",
        "new_images",
        "open_page",
    ),
    NewImagesSettings: tuple(NewImagesSettings.model_fields),
    ClassicalSettings: (*DATA, "classifiers", "refit", "choose_by"),
    EnsembleSettings: (*DATA, "members", "calibrate", "sensitivity"),
    ComparisonSettings: ("architectures", "run_folder"),
    CollapseSettings: (*DATA, "weights", "pool", "seeds", "epochs", "learning_rate"),
    ChoicesSettings: (
        "images",
        "split",
        "allow_subset",
        "run_folder",
        "architecture",
        "weights",
        "epochs",
        "learning_rates",
        "seeds",
        "hidden_units",
    ),
}
KINDS = {
    "0": SmearSettings,
    "1": DataSettings,
    "2": TrainingSettings,
    "3": ComparisonSettings,
    "5": OwnCellsSettings,
    "6": NewImagesSettings,
    "2_classical": ClassicalSettings,
    "2_ensemble": EnsembleSettings,
    "4_resnet50_collapse": CollapseSettings,
    "4_optimizers_and_activations": ChoicesSettings,
}
# Values that a text may take, where it is no Literal; others can be typed in.
SUGGESTED = {
    "images": ["sample", "kaggle", "drive/C-NMC.zip"],
    "fields": ["sample"],
    "manifest": ["", "folders"],
    "split": ["paper", "patient", "patient:1/5", "column", "fold_0:fold_1"],
    "members": ["mobilenet,vgg16,resnet50", "mobilenet,vgg16"],
    "weights": ["default", "imagenet", "random"],
    "unfreeze": ["default", "none", "all"],
    "run_folder": ["runs/sample", "drive/allhelpers/sample"],
}
# Where a notebook is for cells of one's own, or for a model.
FITTING = {
    OwnCellsSettings: {
        "images": ["sample", "drive/my_cells.zip"],
        "manifest": ["folders", "drive/my_cells.csv"],
        "split": ["patient", "patient:1/5"],
        "run_folder": ["runs/own_cells", "drive/allhelpers/own_cells"],
        "new_images": ["", "drive/new_cells"],
    },
    NewImagesSettings: {
        "model": ["runs/sample/mobilenet", "drive/allhelpers/own_cells/mobilenet"],
        "new_images": ["sample", "drive/new_cells"],
        "run_folder": ["runs/new_images", "drive/allhelpers/new_images"],
    },
}
CHOICES = {"architecture": list(ARCHITECTURES)}

METADATA = {
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": []},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def kind_of(stem):
    """The settings class of a notebook's parameters."""
    return KINDS.get(stem) or KINDS[stem[0]]


def field_line(kind, name):
    """One setting as a line that is Python, a field in Colab, and a typed parameter with its help
    for papermill.

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
    python, colab = _types(name, field.annotation, FITTING.get(kind, {}))
    default = f'"{field.default}"' if isinstance(field.default, str) else repr(field.default)
    return f"{name}: {python} = {default}  # @param {colab}  # {field.description}"


def _types(name, annotation, fitting):
    """Type of a setting for Python, and its form field for Colab."""
    if name == "crop":  # a number or a word
        return "int | str", '["0", "320", "\'cell\'"] {type:"raw", allow-input: true}'
    if typing.get_origin(annotation) is typing.Literal:
        choices = typing.get_args(annotation)
        listed = ", ".join(f'"{choice}"' for choice in choices)
        return type(choices[0]).__name__, f"[{listed}]" + (
            "" if isinstance(choices[0], str) else ' {type:"raw"}'
        )
    python = annotation if annotation in (str, bool, int, float) else typing.get_args(annotation)[0]
    for known, ending in (({**SUGGESTED, **fitting}, " {allow-input: true}"), (CHOICES, "")):
        if name in known:
            return python.__name__, "[" + ", ".join(
                f'"{choice}"' for choice in known[name]
            ) + "]" + ending
    field = {str: "string", bool: "boolean", int: "integer", float: "number"}[python]
    return python.__name__, f'{{type:"{field}"}}'


def forms(kind):
    """Source of each form of a notebook, the main settings first.

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
    groups = {"Settings": main} | {title: names for title, names in groups.items() if names}
    return [
        "\n".join([f"# @title {title}", *(field_line(kind, name) for name in names)])
        for title, names in groups.items()
    ]


def repository() -> str:
    """The address that `make publish` has written into the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"colab\.research\.google\.com/github/([^/]+/[^/]+)/blob", readme)[1]


def badge(stem: str) -> str:
    """The button that opens a notebook in Colab."""
    colab = "https://colab.research.google.com"
    address = f"{colab}/github/{repository()}/blob/main/notebooks/{stem}.ipynb"
    return f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({address})"


def cells_of(text: str) -> list:
    """The cells of a template's text; each begins with a line ``# %%``, ``# %% [markdown]`` or ``#
    %% [parameters]``.
    """
    cells = []
    for kind, source in re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n?)*)", text, re.MULTILINE):
        make = nbformat.v4.new_markdown_cell if "markdown" in kind else nbformat.v4.new_code_cell
        cells.append(make(source.strip("\n")))
        if "parameters" in kind:
            cells[-1].metadata["tags"] = ["parameters"]
        if source.startswith("# @title"):  # Colab shows the fields without their code
            cells[-1].metadata["cellView"] = "form"
    return cells


def forms_of(kind: type) -> str:
    """The forms as cells of a template; papermill puts its values behind the last."""
    *others, last = forms(kind)
    return "\n\n".join([*(f"# %%\n{form}" for form in others), f"# %% [parameters]\n{last}"])


def notebook(stem: str, template: str, **more: object) -> str:
    """A notebook as the text of its file."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
    kind = kind_of(stem)
    text = environment.get_template(template).render(
        badge=badge(stem),
        forms=forms_of(kind),
        repository=repository(),
        version=__version__,
        **more,
    )
    written = nbformat.v4.new_notebook(cells=cells_of(text), metadata=METADATA)
    for number, cell in enumerate(written.cells):
        cell.id = f"{stem.replace('_', '-')}-{number:02d}"
        if cell.cell_type == "code":
            ast.parse(cell.source)
    return nbformat.writes(written) + "\n"


def notebooks() -> dict[str, str]:
    """Every notebook's text by the name of its file."""
    written = {}
    networks = yaml.safe_load((TEMPLATES / "networks.yaml").read_text(encoding="utf-8"))
    for name, network in networks.items():
        written[f"2_{name}"] = notebook(
            f"2_{name}", "2_network.cells.jinja", name=name, network=network
        )
    for path in TEMPLATES.glob("[0-9]*.cells.jinja"):
        stem = path.name.removesuffix(".cells.jinja")
        if stem != "2_network":
            written[stem] = notebook(stem, path.name)
    return written


def main(arguments: list[str]) -> int:
    """Write all notebooks, or with ``--check`` only say which are not up to date; returns the exit
    status.
    """
    check, stale = "--check" in arguments, []
    for stem, text in sorted(notebooks().items()):
        path = ROOT / "notebooks" / f"{stem}.ipynb"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, encoding="utf-8")
    print(f"{len(stale)} notebooks {'are not up to date' if check else 'written'}", *stale)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
