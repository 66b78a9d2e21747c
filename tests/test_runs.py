import pytest

from allhelpers import runs


def test_failed_write_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    runs.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        runs.write_json(path, {"new": object()})
    with pytest.raises(UnicodeEncodeError):
        runs.write_text(path, "half of it \ud800")
    assert runs.read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_clock_adds_up_stages():
    clock = runs.Clock()
    for _ in range(2):
        with clock("training"):
            pass
    assert list(clock.seconds) == ["training"]


def test_machine_says_what_to_do_without_a_gpu(monkeypatch):
    monkeypatch.setattr(runs, "gpu", lambda: None)
    assert "no GPU" in runs.machine()
    assert "T4" in runs.machine()


def test_versions_are_recorded():
    assert {"python", "allhelpers", "keras", "tensorflow", "numpy"} <= set(runs.versions())
