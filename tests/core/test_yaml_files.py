"""YAML of any kind: plain values, or one sentence, in bounded time."""

import time

import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.yaml_files import read_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12)
)
ODD = {
    "binary": bytes(range(256)),
    "UTF-16": "a: 1".encode("utf-16"),
    "open bracket": b"{",
    "no time": b"a: 2020-13-45",
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


def test_anchors_and_merged_names_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("common: &c {epochs: 5}\nown: {<<: *c, seed: 1}\n")
    assert read_yaml(path)["own"] == {"epochs": 5, "seed": 1}
