"""YAML that others have written: read in bounded time and memory, or refused in one sentence."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from .errors import InputError

MOST_BYTES = 2**18
MOST_BRACKETS = 100  # one inside of the other
MOST_VALUES = 100_000  # with every alias written out: a few anchors can stand for billions
REMEDY = "write one 'name: value' per line"

# What is more than text: a class may be called no, 007, 1:30 or 2024-05-01.
VALUES = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9]\d*)",
    "float": r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "null": r"~|null|Null|NULL|",
    "merge": r"<<",
}


class _Loader(yaml.SafeLoader):
    """As `yaml.safe_load`, but that `VALUES` alone are more than text, and no name stands twice."""

    # Brackets in brackets take time that grows with the square of their number.
    def fetch_flow_collection_start(self, token: type) -> None:
        if self.flow_level > MOST_BRACKETS:
            raise InputError(f"it holds more than {MOST_BRACKETS} brackets inside of each other")
        super().fetch_flow_collection_start(token)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [name for name, k in Counter(names).items() if k > 1 and name != "<<"]:
            raise InputError(f"{min(twice)} stands there twice")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    None: [(f"tag:yaml.org,2002:{kind}", re.compile(rf"({t})\Z")) for kind, t in VALUES.items()]
}


def read_yaml(path: str | Path) -> Any:
    """Plain values of a YAML file: dicts with text as keys, lists, texts, numbers."""
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise InputError(
            f"The settings file {path} is larger than {MOST_BYTES >> 10} KiB: {REMEDY}."
        )
    try:
        values = yaml.load(content.decode("utf-8-sig"), _Loader)
        _count(values, {})
    except InputError as error:
        raise InputError(f"The settings file {path} cannot be used ({error}): {REMEDY}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The settings file {path} is not in UTF-8: save it so.") from error
    except Exception as error:  # PyYAML lets through what int, date and float raise, and recursion
        where = _place(error)
        raise InputError(f"The settings file {path} is not YAML{where}: {REMEDY}.") from error
    return values


def _place(error: Exception) -> str:
    """Line and reason, where the parser knows them."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f" (line {error.problem_mark.line + 1}: {error.problem})"
    return ""


def _count(value: Any, known: dict[int, int]) -> int:
    """Count values as if each alias were written out; refuse keys that are no text."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = 0  # while it is being counted
        names = value if isinstance(value, dict) else ()
        if odd := [name for name in names if not isinstance(name, str)]:
            raise InputError(f"the name {str(odd[0])[:50]} is no text: put it in quotes")
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(each, known) for each in inner)
    if not known[id(value)]:
        raise InputError("it holds itself")
    if known[id(value)] > MOST_VALUES:
        raise InputError(f"it holds more than {MOST_VALUES:,} values")
    return known[id(value)]
