"""Every command, option, target and file that README and documentation name is there."""

import contextlib
import functools
import io
import re

import pytest

from allhelpers.running import cli
from tests.helpers import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])
COMMAND = re.compile(r"(?<![\w./-])allhelpers (?!import)([a-z]+)\b((?:[^\n`#]|\\\n)*)")


def code(path):
    """What stands in code: blocks, with lines that go on joined, and words between backquotes."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return [
        *blocks,
        *re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)),
    ]


@functools.cache
def options_of(command):
    """Options of a command, as its help names them."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.main([command, "--help"]) == 0, f"there is no command {command}"
    return set(re.findall(r"--[a-z][\w-]*", said.getvalue())) | {"--help"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_commands_and_options_exist(path):
    for text in code(path):
        for command, rest in COMMAND.findall(text.replace("\n", " \n")):
            assert set(re.findall(r"--[a-z][\w-]*", rest)) <= options_of(command), (command, rest)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_options_named_by_themselves_exist(path):
    commands = ("cells", "run", "sweep", "predict", "serve", "export", "audit")
    known = set.union(*map(options_of, commands))
    if path.stem == "cluster":
        pytest.skip("it names options of Ray too")
    alone = [text for text in code(path) if text.startswith("--")]
    assert {text.split()[0].rstrip(",") for text in alone} <= known


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_targets_and_files_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for text in code(path):
        for target in re.findall(r"^make ([a-z-]+)", text, re.M):
            assert f"\n{target}:" in makefile, target
        folders = "settings|sweeps|tools|examples|notebooks|allhelpers|benchmarks|tests"
        for file in re.findall(rf"(?<![\w/])(?:{folders})/[\w/]+\.\w+", text):
            assert (ROOT / file).exists() or "densenet121" in file, file
