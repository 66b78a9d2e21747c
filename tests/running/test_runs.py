import pytest

from allhelpers._core.files import read_json, write_json, write_text
from allhelpers._core.machine import Clock, machine, versions


def test_failed_write_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half of it \ud800")
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_clock_adds_up_stages():
    clock = Clock()
    for _ in range(2):
        with clock("training"):
            pass
    assert list(clock.seconds) == ["training"]


def test_machine_says_what_to_do_without_a_gpu(monkeypatch):
    monkeypatch.setattr("allhelpers._core.machine.gpu", lambda: None)
    assert "no GPU" in machine()
    assert "T4" in machine()


def test_versions_are_recorded():
    assert {"python", "allhelpers", "keras", "tensorflow", "numpy"} <= set(versions())
