"""Settings as people write them: a notebook's cell, a YAML file, a command line."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core.errors import InputError
from .._core.packaged import named
from .._core.renaming import RENAMED, renamed
from .._core.yaml_files import REMEDY, read_yaml
from ..networks import registry
from ..networks.registry import NAMES
from ..settings import PER_ARCHITECTURE, RunSettings, Settings, validate
from . import colab, messages

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..networks.registry import Architecture

PLAIN = (str, int, float, bool, type(None), list, dict)  # types of a notebook's parameters


def from_notebook(
    kind: type[Settings], namespace: dict[str, Any], architecture: Architecture | None = None
) -> Settings:
    """Validate what a notebook's parameters cell, and papermill's, have defined.

    Every lower-case name that is bound to a plain value when this is called first counts as a
    setting, so that a misspelt parameter, which papermill only warns about, is an error. From then
    on the notebook shows what the library logs.

    Parameters
    ----------
    kind : type
        One of the classes of `settings`.
    namespace : dict
        The notebook's ``globals()``.
    architecture : Architecture, optional
        Whose own input size is meant where none is set.

    Returns
    -------
    kind

    Raises
    ------
    InputError
        For the first unknown name, wrong type or impossible value.

    Examples
    --------
    >>> from allhelpers.settings import DataSettings
    >>> from_notebook(DataSettings, {"split": "patient", "ARCHITECTURE": "vgg16"}).split
    'patient'
    """
    messages.show()
    # When the cells are run again, what the cells below have defined since is no setting.
    known = namespace.setdefault("_settings", {name for name in namespace if name.islower()})
    known = {*known, *kind.model_fields, *namespace.get("__annotations__", {})}
    values = renamed(
        {
            name: value
            for name, value in namespace.items()
            if name in known and not name.startswith("_") and type(value) in PLAIN
        }
    )
    if architecture and not values.get("input_size"):
        values["input_size"] = architecture.input_size
    return validate(kind, colab.place(values))


def read_file(path: str | Path) -> dict[str, Any]:
    """Read a settings file.

    Parameters
    ----------
    path : str or Path
        YAML: one ``name: value`` per line; training settings may hold one value per architecture.

    Returns
    -------
    dict
        Settings under today's names.

    Raises
    ------
    InputError
        If the file cannot be read, or is not such a file.

    Examples
    --------
    >>> _ = Path("own.yaml").write_text("{split: patient, epochs: {mobilenet: 5, vgg16: 9}}")
    >>> read_file("own.yaml")
    {'split': 'patient', 'epochs': {'mobilenet': 5, 'vgg16': 9}}
    """
    content = read_yaml(named(path))
    if not isinstance(content, dict):
        raise InputError(f"The settings file {path} holds no settings: {REMEDY}.")
    return renamed(content)


def parse_value(kind: type[BaseModel], name: str, text: str) -> Any:
    """Turn text from the command line into a setting's value."""
    name = RENAMED.get(name, name)
    pairs = [pair.partition("=") for pair in text.split(",")]
    per_method = kind is RunSettings and name in PER_ARCHITECTURE
    if per_method and all(key in NAMES and equals for key, equals, _ in pairs):
        return {key: _scalar(kind, name, value) for key, _, value in pairs}
    return _scalar(kind, name, text)


def _scalar(kind: type[BaseModel], name: str, text: str) -> Any:
    """A number where the setting is none of text, and the text is one; else the text."""
    if kind.model_fields[name].annotation is str:
        return text
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def per_architecture(values: Mapping[str, Any], architecture: str | None) -> dict[str, Any]:
    """Pick what is meant for one architecture; for none, what is meant for all."""
    picked = {}
    for name, value in values.items():
        if not isinstance(value, dict) or name not in RunSettings.model_fields:
            picked[name] = value
        elif name not in PER_ARCHITECTURE:
            raise InputError(f"{name} takes one value, not one per architecture.")
        else:
            for key in value:
                registry.check_method(str(key))
            if architecture in value:
                picked[name] = value[architecture]
    return picked
