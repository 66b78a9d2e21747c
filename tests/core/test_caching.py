"""Large arrays on disk: whole, or continued, or computed anew."""

import signal
from multiprocessing import get_context
from types import SimpleNamespace

import numpy as np
import pytest

from allhelpers._core.caching import filled, patch
from allhelpers._core.errors import InputError

CONTENT = np.arange(10 * 3, dtype=np.float32).reshape(10, 3)


class Compute:
    """Gives rows of an array, notes which were asked for, and can be stopped."""

    def __init__(self, content=CONTENT, stop_at=None):
        self.content, self.stop_at, self.asked = content, stop_at, []

    def __call__(self, start, stop):
        if start == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append((start, stop))
        return self.content[start:stop]


def fill(path, compute, key="k"):
    return filled(path, key, CONTENT.shape, "float32", compute, "test", chunk=4)


@pytest.fixture
def whole(tmp_path):
    """An array that has been filled."""
    fill(tmp_path / "a.npy", Compute())
    return tmp_path / "a.npy"


def test_array_is_computed_once_and_only_opened_afterwards(whole):
    again = Compute()
    opened = fill(whole, again)
    np.testing.assert_array_equal(opened, CONTENT)
    assert again.asked == []
    assert {path.name for path in whole.parent.iterdir()} == {"a.npy", "a.json", "a.npy.lock"}
    np.testing.assert_array_equal(np.load(whole), CONTENT)  # NumPy's own format


def test_what_is_done_is_kept_when_the_process_stops(tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(KeyboardInterrupt):
        fill(path, Compute(stop_at=8))
    assert not path.exists()
    rest = Compute()
    np.testing.assert_array_equal(fill(path, rest), CONTENT)
    assert rest.asked == [(8, 10)]


def test_damaged_part_of_an_unfinished_array_is_computed_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "a.npy", Compute(stop_at=8))
    partial = tmp_path / "a.partial"
    content = bytearray(partial.read_bytes())
    content[-1] ^= 1  # in the second chunk
    partial.write_bytes(content)
    rest = Compute()
    np.testing.assert_array_equal(fill(tmp_path / "a.npy", rest), CONTENT)
    assert rest.asked == [(4, 8), (8, 10)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
        lambda path: path.write_bytes(path.read_bytes()[:-8]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").unlink(),
    ],
)
def test_array_that_does_not_fit_its_record_is_computed_anew_and_the_user_told(
    whole, damage, caplog
):
    damage(whole)
    np.testing.assert_array_equal(fill(whole, Compute()), CONTENT)
    assert f"The cache {whole} cannot be used" in caplog.text


def test_array_with_another_key_is_computed_anew(whole):
    other = Compute(CONTENT + 1)
    np.testing.assert_array_equal(fill(whole, other, key="other"), CONTENT + 1)


def test_replaced_rows_are_part_of_the_array(whole):
    patch(whole, [0, 9], np.zeros((2, 3)))
    again = Compute()
    opened = fill(whole, again)
    assert again.asked == []
    np.testing.assert_array_equal(opened[1:9], CONTENT[1:9])
    assert not opened[[0, 9]].any()


def test_too_little_room_is_refused_with_both_figures(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(
        InputError, match=r"0.0 GB are needed.*0.0 GB are free: make room, or choose another"
    ):
        fill(tmp_path / "a.npy", Compute())
    assert not list(tmp_path.glob("a.p*"))


def test_disk_that_fills_up_is_one_sentence_and_the_run_goes_on_later(tmp_path):
    """A limit on the size of files stands for a full disk."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (170, before[1]))
    try:
        with pytest.raises(InputError, match="make room on the disk and run again"):
            fill(tmp_path / "a.npy", Compute())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (tmp_path / "a.npy").exists()
    np.testing.assert_array_equal(fill(tmp_path / "a.npy", Compute()), CONTENT)


def test_content_that_cannot_be_computed_leaves_nothing(tmp_path):
    def compute(start, stop):
        if start:
            raise InputError("no")
        return CONTENT[start:stop]

    with pytest.raises(InputError, match="no"):
        fill(tmp_path / "a.npy", compute)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy.lock"]


def ask(path):
    """One of several processes."""
    compute = Compute()
    return len(compute.asked) if (fill(path, compute) == CONTENT).all() and compute.asked else 0


def test_four_processes_share_one_array(tmp_path):
    with get_context("spawn").Pool(4) as pool:
        computed = pool.map(ask, [tmp_path / "a.npy"] * 4)
    assert sorted(computed) == [0, 0, 0, 3]
