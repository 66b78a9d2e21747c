"""A row finds the image that it names, or none."""

import hashlib
import time

import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import matching
from allhelpers.data.sources import Folder


@pytest.fixture
def source(tmp_path):
    """Images whose names come again in other folders."""
    names = ["blast/p0/0.png", "blast/p1/0.png", "healthy/p0/0.png", "healthy/p0/1.png", "top.png"]
    for name in [*names, "blast/p1/only.png", "deep/UID_1_1_1_all.BMP"]:
        path = tmp_path / "data" / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return Folder(tmp_path / "data" / "mine")


def found(source, *files, sha256=None):
    table = pd.DataFrame({"file": files})
    table = table if sha256 is None else table.assign(sha256=sha256)
    return [member and source.name(member) for member in matching.match(table, source)]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("blast/p0/0.png", "blast/p0/0.png"),
        ("./blast/p0/0.png", "blast/p0/0.png"),
        ("blast\\p0\\0.png", "blast/p0/0.png"),
        (".\\blast\\p0\\0.png", "blast/p0/0.png"),
        ("blast//p1/../p0/0.png", "blast/p0/0.png"),
        ("mine/blast/p0/0.png", "blast/p0/0.png"),
        ("data/mine/blast/p0/0.png", "blast/p0/0.png"),
        ("/home/somebody/mine/blast/p0/0.png", "blast/p0/0.png"),
        ("C:\\Users\\x\\mine\\blast\\p0\\0.png", "blast/p0/0.png"),
        ("../mine/blast/p0/0.png", "blast/p0/0.png"),
        ("p1/0.png", "blast/p1/0.png"),
        ("only.png", "blast/p1/only.png"),
        ("top.png", "top.png"),
        ("mine/top.png", "top.png"),
        ("blast/p0/0.PNG", "blast/p0/0.png"),
        ("fold_0/all/UID_1_1_1_all.bmp", "deep/UID_1_1_1_all.BMP"),
        # Missing: never another folder's image of the same name.
        ("healthy/p1/0.png", None),
        ("elsewhere/blast/p0/0.png", None),
        ("other/only.png", None),
        ("other/top.png", None),
        ("../top.png", None),
        ("p7/only.png", None),
        ("none.png", None),
    ],
)
def test_a_row_finds_the_path_that_ends_so_or_none(source, file, name):
    assert found(source, file) == [name]


def test_an_absolute_path_is_that_file(source):
    names = [source.name(member) for member in source.members]
    assert found(source, *map(str, source.members)) == names


@pytest.mark.parametrize("file", ["0.png", "p0/0.png", "./0.png"])
def test_a_name_that_fits_two_files_is_refused(source, file):
    with pytest.raises(InputError, match="can be any of"):
        found(source, file)


def test_two_rows_about_one_file_are_refused(source):
    with pytest.raises(InputError, match="are both the file blast/p0/0.png"):
        found(source, "blast/p0/0.png", "mine/blast/p0/0.png")


def test_the_content_shows_which_file_is_meant(source):
    digest = hashlib.sha256(b"healthy/p0/0.png").hexdigest()
    for file in ("0.png", "p0/0.png", "renamed/0.png"):
        assert found(source, file, sha256=digest.upper()) == ["healthy/p0/0.png"]
    assert found(source, "renamed/0.png", sha256="0" * 64) == [None]


def test_matching_takes_time_in_proportion_to_the_rows(tmp_path):
    names = [f"p{k}/0.png" for k in range(1500)]
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    source = Folder(tmp_path)
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    began = time.perf_counter()
    assert found(source, *(f"other/{name}" for name in names), sha256=digests) == names
    assert time.perf_counter() - began < 3  # 70 s when each row looked at all files
