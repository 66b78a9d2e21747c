"""Arrays under their content keys."""

import numpy as np
import pytest

from allhelpers._core.errors import InputError
from allhelpers.running.store import Store

ROWS = np.arange(6000, dtype=np.float32).reshape(100, 60)


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    """A folder, and storage that is none."""
    return Store(tmp_path / "store" if request.param == "folder" else f"memory://{tmp_path.name}")


def test_what_was_written_is_read(store):
    store.write("abc", ROWS, {"weights": "x"})
    rows, record = store.read("abc")
    assert rows.dtype == ROWS.dtype
    assert (rows == ROWS).all()
    assert record == {"weights": "x"}


def test_what_is_not_there_is_none(store):
    assert store.read("abc") == (None, None)


@pytest.mark.parametrize("damage", ["one bit", "half of it", "nothing left"])
def test_damage_is_found_and_said(store, capsys, damage):
    store.write("abc", ROWS, {})
    content = bytearray(store.system.cat_file(store.path("abc")))
    content[len(content) // 2] ^= 1
    damaged = {"one bit": content, "half of it": content[: len(content) // 2], "nothing left": b""}[
        damage
    ]
    store.system.pipe_file(store.path("abc"), bytes(damaged))
    assert store.read("abc") == (None, None)
    assert "differs from its checksums" in capsys.readouterr().out


def test_store_leaves_nothing_but_whole_objects(tmp_path):
    store = Store(tmp_path)
    store.check()
    store.write("abc", ROWS, {})
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["abc.npz"]


def test_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Store(tmp_path / "file" / "store").check()


def test_unknown_kind_of_place_is_one_sentence():
    with pytest.raises(InputError, match="cannot be used"):
        Store("nowhere://bucket/folder")
