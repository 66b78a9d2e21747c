"""Where images come from, and archives that mean harm."""

import io
import os
import stat
import tarfile
import zipfile

import psutil
import pytest

from allhelpers._core.errors import InputError
from allhelpers._core.files import sha256
from allhelpers.data import archives, images, loading, sources
from allhelpers.data import manifest as manifests
from allhelpers.data.sources import Folder, ZipArchive
from allhelpers.settings import DataSettings


def zip_with(path, members):
    """A zip archive of (name or ZipInfo, content) pairs."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, content in members:
            stream.writestr(name, content)
    return path


def tar_with(path, members, mode="w:gz"):
    """A tar archive of (TarInfo, content) pairs."""
    with tarfile.open(path, mode) as stream:
        for info, content in members:
            info.size = len(content)
            stream.addfile(info, io.BytesIO(content))
    return path


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


OUTSIDE = [
    "../evil.bmp",
    "a/../../evil.bmp",
    "/tmp/evil.bmp",
    "C:\\evil.bmp",
    "..\\evil.bmp",
    "\\evil.bmp",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_archives_that_point_outside_are_refused(tmp_path, name):
    good = b"BM"
    archive = zip_with(tmp_path / "a.zip", [("good.bmp", good), (name, b"evil")])
    with pytest.raises(InputError, match="points outside"):
        ZipArchive(archive)
    packed = tar_with(tmp_path / "a.tar.gz", [(member("good.bmp"), good), (member(name), b"evil")])
    with pytest.raises(InputError, match="points outside"):
        archives.unpack_tar(packed, tmp_path / "inner" / "unpacked")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (tmp_path / "inner" / "unpacked").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path, kind):
    packed = tar_with(tmp_path / "a.tar", [(member("x.bmp", kind, "/etc/passwd"), b"")], "w")
    with pytest.raises(InputError, match="link or a device"):
        archives.unpack_tar(packed, tmp_path / "unpacked")
    with pytest.raises(InputError, match="link or a device"):
        ZipArchive(zip_with(tmp_path / "a.zip", [(zip_link("x.bmp"), "/etc/passwd")]))
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "a.zip", "unpacked.lock"}


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 10_000)
    zeros = bytes(1 << 20)
    with pytest.raises(InputError, match="cannot hold"):
        ZipArchive(zip_with(tmp_path / "a.zip", [(f"{k}.bmp", zeros) for k in range(3)]))
    packed = tar_with(tmp_path / "a.tar.gz", [(member(f"{k}.bmp"), zeros) for k in range(3)])
    with pytest.raises(InputError, match="cannot hold"):
        archives.unpack_tar(packed, tmp_path / "unpacked")
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "a.zip", "unpacked.lock"}


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    with pytest.raises(InputError, match="more than 3 members"):
        ZipArchive(zip_with(tmp_path / "a.zip", [(f"{k}.bmp", b"") for k in range(4)]))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_broken_download_is_named_and_leaves_nothing(tmp_path, mode, kept):
    whole = tar_with(
        tmp_path / f"a.tar.{mode}", [(member("a.bmp"), os.urandom(100_000))], f"w:{mode}"
    ).read_bytes()
    (tmp_path / f"a.tar.{mode}").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match="cannot be unpacked.*download it again"):
        archives.unpack_tar(tmp_path / f"a.tar.{mode}", tmp_path / "unpacked")
    assert {path.name for path in tmp_path.iterdir()} == {f"a.tar.{mode}", "unpacked.lock"}


@pytest.mark.parametrize("mode", ["", "gz"])
def test_tar_archive_gives_the_same_cells_as_its_folder(tmp_path, cells, make_settings, mode):
    folder = sources.open_images(make_settings()).path
    name = tmp_path / f"cells.tar{mode and '.' + mode}"
    quick = {"compresslevel": 1} if mode else {}
    with tarfile.open(name, f"w:{mode}", **quick) as stream:
        stream.add(folder, "C-NMC_Leukemia")
    manifests.from_folder(folder).to_csv(tmp_path / "m.csv", index=False)
    settings = make_settings(
        images=str(name), manifest=str(tmp_path / "m.csv"), cache_folder=str(tmp_path / "cache")
    )
    assert (loading.prepare(settings).pixels == cells.pixels).all()
    (unpacked,) = [path for path in (tmp_path / "cache" / "unpacked").iterdir() if path.is_dir()]
    before = unpacked.stat().st_mtime_ns
    loading.prepare(settings)
    assert unpacked.stat().st_mtime_ns == before  # unpacked once


def test_encrypted_or_damaged_member_is_named(tmp_path):
    archive = zip_with(tmp_path / "a.zip", [("a.bmp", bytes(range(256)) * 40)])
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    source = ZipArchive(archive)
    with pytest.raises(InputError, match="a.bmp in .* cannot be read"):
        source.read(source.members[0])


def test_hashed_file_is_not_read_again_for_its_pixels_while_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_HELD", 7)
    for name in "abc":
        (tmp_path / f"{name}.bmp").write_bytes(name.encode() * 3)
    source, read = Folder(tmp_path), []
    monkeypatch.setattr(images, "read", lambda path: read.append(path.name) or path.read_bytes())
    digests = [source.sha256(member) for member in source.members]
    assert digests == [sha256(member) for member in source.members]
    assert [source.read(member) for member in source.members] == [b"aaa", b"bbb", b"ccc"]
    assert read == ["a.bmp", "b.bmp", "c.bmp", "c.bmp"]
    assert source.read(source.members[0]) == b"aaa"  # given once, then read anew
    assert read[-1] == "a.bmp"


def test_folder_takes_files_only(tmp_path):
    (tmp_path / "folder.bmp").mkdir()
    (tmp_path / "a.BMP").write_bytes(b"BM")
    assert [path.name for path in Folder(tmp_path).members] == ["a.BMP"]


def test_missing_archive_is_refused(tmp_path, make_settings):
    with pytest.raises(InputError, match="does not exist"):
        sources.open_images(make_settings(images=str(tmp_path / "none.tar.gz")))


def test_an_archive_on_a_network_drive_is_copied_once(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    (tmp_path / "drive").mkdir()
    archive = zip_with(tmp_path / "drive" / "a.zip", [("a.bmp", b"cell")])
    settings = DataSettings(images=str(archive), cache_folder=str(tmp_path / "cache"))
    assert sources.open_images(settings).path == archive  # this machine's disk
    drive = psutil.disk_partitions(all=True)[0]._replace(
        mountpoint=str(tmp_path / "drive"), fstype="fuse.drive"
    )
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [drive])
    for _ in range(2):
        source = sources.open_images(settings)
        assert source.path.is_relative_to(tmp_path / "cache")
        assert source.read(source.members[0]) == b"cell"
    assert caplog.text.count("copying a.zip") == 1


def test_a_folder_on_a_network_drive_is_said_to_be_slow(tmp_path, monkeypatch, caplog):
    (tmp_path / "a.bmp").write_bytes(b"cell")
    monkeypatch.setattr(sources, "is_far", lambda path: path == tmp_path)
    sources.open_images(DataSettings(images=str(tmp_path), cache_folder=str(tmp_path / "cache")))
    assert "a zip of it would be copied at once" in caplog.text
