"""Files are written whole or not at all."""

import errno

import pytest

from allhelpers._core.files import atomic


def test_a_full_disk_says_where(tmp_path):
    def write():
        with atomic(tmp_path / "a.csv") as partial:
            partial.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space") as error:
        write()
    assert error.value.filename == str(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
