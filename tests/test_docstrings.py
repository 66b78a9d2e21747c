"""Documentation of the library itself."""

import ast

import pytest

from tests.helpers import ROOT

# What stands in __main__ is documented by `python -m allhelpers --help`; conftest is for the tests.
MODULES = [
    path
    for path in sorted((ROOT / "allhelpers").rglob("*.py"))
    if path.stem not in ("__main__", "conftest")
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_public_function_has_an_example(path):
    functions = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    ]
    public = {
        node.name: ast.get_docstring(node) or ""
        for node in functions
        if not node.name.startswith("_")
    }
    assert [name for name, text in public.items() if "\nExamples\n--------\n" not in text] == []
