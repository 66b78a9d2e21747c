"""YAML of any kind: plain values, or one sentence, in bounded time."""

import time

import pytest
import yaml

from allhelpers._core.errors import InputError
from allhelpers._core.yaml_files import read_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12)
)
ODD = {
    "binary": bytes(range(256)),
    "UTF-16": "a: 1".encode("utf-16"),
    "open bracket": b"{",
    "no integer": b"a: !!int x",
    "no float": b"a: !!float x",
    "no timestamp": b"a: !!timestamp x",
    "no boolean": b"a: !!bool x",
    "a Python object": b"a: !!python/object/apply:os.system [id]",
    "a number of 5,000 digits": b"a: " + b"9" * 5000,
    "20,000 brackets": b"a: " + b"[" * 20_000,
    "20,000 dashes": b"- " * 20_000,
    "a number as name": b"1: a",
    "nothing as name": b"null: a",
    "a number as name inside": b"variants: {a: {1: 2}}",
    "a list as name": b"? [a, b]\n: 1",
    "a name that stands twice": b"seed: 1\nseed: 2",
    "anchors that stand for billions": BOMB.encode(),
    "a list that holds itself": b"a: &a [*a]",
    "a megabyte": b"a: " + b"x" * 2**21,
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_odd_yaml_is_one_sentence_at_once(content, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(InputError, match=r"a\.yaml"):
        read_yaml(path)
    assert time.monotonic() - began < 5


PLAIN = [
    "no",
    "Yes",
    "on",
    "007",
    "010",
    "1:30",
    "0x1F",
    "1_000",
    "2020-13-45",
    "2024-05-01",
    "1e-4",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_yaml_takes_for_more_than_text_is_text(tmp_path, text):
    (tmp_path / "a.yaml").write_text(f"a: {text}\nb: [{text}]\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": text, "b": [text]}


VALUES = {"a": True, "b": -3, "c": 1e-05, "d": None, "e": "yes", "f": "0.5", "g": "1:30", "h": 2e22}


def test_what_was_written_is_read(tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(VALUES))
    assert read_yaml(tmp_path / "a.yaml") == VALUES


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a: 1\n\tb: 2", r"line 2: .*\\t"),
        (b"a: 1\nb: *.png", "line 2"),
        (b"a: ges\xfcndert", "not in UTF-8"),
    ],
)
def test_what_is_no_yaml_says_where(tmp_path, content, why):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(InputError, match=why):
        read_yaml(tmp_path / "a.yaml")


def test_anchors_and_merged_names_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("common: &c {epochs: 5}\nown: {<<: *c, seed: 1}\n")
    assert read_yaml(path)["own"] == {"epochs": 5, "seed": 1}
