"""Every file of a source is used, refused, or passed over by a rule that is said."""

import os
import socket
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import images, loading, matching, own_cells, sources, walking
from allhelpers.data.images import UnusableError
from allhelpers.data.sources import Folder, ZipArchive
from allhelpers.settings import TrainingSettings


def image(number=0):
    return cv2.imencode(".png", np.full((70, 70, 3), 40 + number, np.uint8))[1].tobytes()


def lay(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(number))
    return folder


CELLS = [f"{label}/{k}.png" for label in ("blast", "healthy") for k in range(3)]


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/1.png/SYNOPHOTO_THUMB_M.png",
        "blast/@eaDir/1.png",
        "@Recycle/1.png",
        "$RECYCLE.BIN/1.png",
        "lost+found/1.png",
        "Thumbnails/1.png",
        "__MACOSX/blast/._1.png",
        ".ipynb_checkpoints/1.png",
        "blast/.hidden.png",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_systems_keep_is_no_class(tmp_path, name, packed):
    source = Folder(lay(tmp_path / "cells", *CELLS, name))
    if packed:
        with zipfile.ZipFile(tmp_path / "cells.zip", "w") as stream:
            for each in [*CELLS, name]:
                stream.writestr(each, b"")
        source = ZipArchive(tmp_path / "cells.zip")
    table = own_cells.from_folders(source)
    assert table["file"].tolist() == CELLS
    assert set(source.passed_over.values()) == {walking.HIDDEN}


def test_every_other_file_is_counted(tmp_path, caplog, own):
    folder = lay(tmp_path / "cells", *CELLS, "blast/7.webp", "blast/8.webp", "notes.txt")
    caplog.set_level("INFO")
    cells = loading.prepare(own(folder))
    assert "2 .webp in blast" in caplog.text
    assert "1 .txt" in caplog.text
    (note,) = [note for note in cells.notes if ".webp" in note]
    assert note.startswith("2 files not read (no image format that is read)")
    table = cells.table["file"].map(lambda file: file.split("/")[0]).value_counts()
    assert table.to_dict() == {"blast": 3, "healthy": 3}
    assert "folder 1 of 1 blast (3), healthy (3)" in " ".join(caplog.text.split())


@pytest.mark.parametrize("name", ["monocyte/1.webp", "monocyte/1.heic", "monocyte/all.zip"])
def test_a_class_without_a_readable_image_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match="The folder monocyte in .* holds no image"):
        own_cells.from_folders(Folder(lay(tmp_path / "cells", *CELLS, name)))


def test_an_empty_class_folder_is_an_error_and_a_folder_of_texts_is_not(tmp_path):
    folder = lay(tmp_path / "cells", *CELLS, "docs/read.txt")
    assert len(own_cells.from_folders(Folder(folder))) == 6
    (folder / "monocyte").mkdir()
    with pytest.raises(InputError, match="The folder monocyte in .* holds no image"):
        own_cells.from_folders(Folder(folder))


def test_results_and_cache_may_lie_among_the_images(tmp_path, own):
    folder = lay(tmp_path / "cells", *CELLS)
    places = {"run_folder": str(folder / "out"), "cache_folder": str(folder / "cache")}
    first = loading.prepare(own(folder, **places))
    (folder / "out" / "figures").mkdir(parents=True)
    (folder / "out" / "figures" / "a.webp").write_bytes(b"x")
    again = loading.prepare(own(folder, **places))
    assert again.table.equals(first.table)
    assert again.notes == first.notes


def test_a_class_of_which_all_images_are_refused_is_an_error(tmp_path, own):
    folder = lay(tmp_path / "cells", *CELLS)
    for k in range(3):
        cv2.imwrite(str(folder / f"mono_{k}.tif"), np.full((70, 70), 900 + k, np.uint16))
        (folder / "monocyte").mkdir(exist_ok=True)
        os.replace(folder / f"mono_{k}.tif", folder / "monocyte" / f"{k}.tif")
    with pytest.raises(InputError, match=r"3 of 9 .*16 bits per channel"):
        loading.prepare(own(folder))
    with pytest.raises(InputError, match="No image can be used of monocyte for"):
        loading.prepare(own(folder, max_rejected=5))


def test_a_folder_of_other_files_says_what_it_holds(tmp_path):
    lay(tmp_path / "cells", "a/1.webp", "b/2.webp", "c.zip")
    with pytest.raises(InputError, match=r"it holds 1 \.webp in a, 1 \.webp in b, 1 \.zip"):
        sources.find_images([tmp_path / "cells"])


def test_predict_says_how_many_files_it_does_not_read(tmp_path, caplog):
    lay(tmp_path / "cells", *CELLS, "blast/7.webp", "masks/1.png")
    assert len(sources.find_images([tmp_path / "cells"])) == 6
    assert "1 file not read (no image format that is read): 1 .webp in blast" in caplog.text


@pytest.mark.parametrize("suffix", [".JPG", ".jfif", ".JPE", ".BMP", ".tif", ".TIFF", ".Png"])
def test_suffixes_are_known_in_any_case(tmp_path, suffix):
    lay(tmp_path / "cells", f"a/1{suffix}")
    assert len(Folder(tmp_path / "cells").members) == 1


def test_links_inside_are_followed_and_others_named(tmp_path):
    folder = lay(tmp_path / "cells", *CELLS)
    lay(tmp_path / "elsewhere", "monocyte/1.png")
    (folder / "monocyte").symlink_to(tmp_path / "elsewhere" / "monocyte")
    (folder / "blast" / "itself").symlink_to(folder)
    (folder / "gone.png").symlink_to(tmp_path / "gone.png")
    source = Folder(folder)
    assert len(source.members) == 6
    assert source.passed_over == dict.fromkeys(
        ["monocyte/", "blast/itself/", "gone.png"], walking.LINK
    )
    (folder / "again").symlink_to(folder / "blast")
    with pytest.raises(InputError, match="are one file, by a link"):
        own_cells.from_folders(Folder(folder))


def test_links_to_images_elsewhere_are_read(tmp_path):
    pool = lay(tmp_path / "pool", "1.png", "2.png")
    for number, label in (("1", "blast"), ("2", "healthy")):
        (tmp_path / "cells" / label).mkdir(parents=True)
        (tmp_path / "cells" / label / "x.png").symlink_to(pool / f"{number}.png")
    assert len(own_cells.from_folders(Folder(tmp_path / "cells"))) == 2


@pytest.fixture
def special(tmp_path):
    """A pipe, a socket and a device that has no end, called like images."""
    if os.name == "nt":
        pytest.skip("Windows has no such files")
    place = tmp_path / "special"
    place.mkdir()
    os.mkfifo(place / "pipe.png")
    (place / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place / "socket.png"))
    return place


def test_pipes_and_endless_files_are_refused_at_once(special, monkeypatch):
    for path in special.iterdir():
        with pytest.raises(UnusableError, match="a pipe or a device"):
            images.read(path)
        with pytest.raises(InputError, match="is a pipe, a socket or a device"):
            Folder(path)
        with pytest.raises(InputError, match="is a pipe, a socket or a device"):
            ZipArchive(path)
    assert set(Folder(special).passed_over.values()) == {walking.SPECIAL}
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    with pytest.raises(UnusableError, match="too large"):
        images.read("/proc/self/maps")  # a file that says that it is empty


def test_names_that_are_not_utf8_are_taken(tmp_path, own):
    folder = tmp_path / "cells"
    for number, label in enumerate(["blast", "healthy"]):
        (folder / label).mkdir(parents=True)
        for k in range(4):
            name = os.fsencode(folder / label) + b"/Pr\xe4parat_%d.png" % k
            with open(name, "wb") as stream:
                stream.write(image(10 * number + k))
    (folder / "blast" / "Präparat_0.webp").touch()
    settings = own(folder)
    cells = loading.prepare(settings)
    loading.record_cells(cells, settings)
    assert cells.table["file"].tolist()[0] == "blast/Pr%E4parat_0.png"
    assert len(pd.read_csv(tmp_path / "run" / "manifest.csv")) == 8
    with open(os.fsencode(folder) + b"/blast/Pr\xe4parat_0.png", "wb") as stream:
        stream.write(b"damaged")
    assert len(loading.prepare(own(folder, max_rejected=1)).table) == 7


@pytest.mark.parametrize("written", ["./{}/{}.png", "cells\\{}\\{}.png", ".\\{}\\{}.png"])
def test_names_in_zips_have_folders_however_they_are_written(tmp_path, written):
    path = tmp_path / "cells.zip"
    with zipfile.ZipFile(path, "w") as stream:
        for label in ("blast", "healthy"):
            for k in range(3):
                info = zipfile.ZipInfo("x")
                info.filename = written.format(label, k)
                stream.writestr(info, image(k))
    source = ZipArchive(path)
    assert own_cells.from_folders(source)["label"].tolist() == ["blast"] * 3 + ["healthy"] * 3
    assert source.read(source.members[1]) == image(1)
    table = pd.DataFrame({"file": [written.format("blast", 2)]})
    assert source.read(matching.match(table, source)[0]) == image(2)


def test_one_name_twice_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as stream:
        stream.writestr("a.png", b"1")
        stream.writestr("./a.png", b"2")
    with pytest.raises(InputError, match="holds a.png twice"):
        ZipArchive(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("x.rar", "an archive of a kind that is not read"),
        ("blood.npz", "a file of arrays"),
        ("cell.png", "one file"),
        ("cells.csv", "a table"),
        ("cells", "a file"),
        ("gone", "does not exist"),
        ("gone.zip", "does not exist"),
    ],
)
def test_images_of_another_kind_are_told_what_they_are(tmp_path, name, sentence):
    if "gone" not in name:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"{name} .*{sentence}"):
        sources.open_images(TrainingSettings(images=str(tmp_path / name)))


OFFICIAL = [f"UID_{p}_{k}_1_all" for p in (1, 2) for k in (1, 2)]
OFFICIAL += [f"UID_H{p}_{k}_1_hem" for p in (1, 2) for k in (1, 2)]


@pytest.mark.parametrize(
    "place",
    [
        "{own}/{name}.bmp",
        "{upper}/{name}.BMP",
        "Train_data/{own}/{name}.png",
        "cells/{name}.jpg",
        "fold_0/{upper}/{name}.bmp",
        "{number}/{name}.bmp",
    ],
)
def test_official_names_give_class_and_patient_in_any_folder(tmp_path, place, caplog):
    caplog.set_level("INFO")
    for number, name in enumerate(OFFICIAL):
        official = name[-3:]
        own = {"all": "Leukemia", "hem": "Normal"}[official]
        facts = {"own": own, "upper": official.upper(), "name": name, "number": number % 2}
        path = tmp_path / place.format(**facts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    table = own_cells.from_folders(Folder(tmp_path))
    assert "patient  names of files   1 (2), 2 (2), H1 (2), H2 (2)" in caplog.text
    for row in table.itertuples():
        _, patient, *_, label = row.file.rsplit("/")[-1].rsplit(".")[0].split("_")
        assert (row.patient, row.label) == (patient, label)


@pytest.mark.parametrize("slip", ["Leukemia/UID_H9_1_1_hem.bmp", "hem/UID_9_1_1_all.bmp"])
def test_an_official_file_in_the_folder_of_another_class_is_refused(tmp_path, slip):
    names = {"all": "Leukemia", "hem": "Normal"}
    files = [f"{names[name[-3:]]}/{name}.bmp" for name in OFFICIAL]
    with pytest.raises(InputError, match=f"{slip} in .* of another class"):
        own_cells.from_folders(Folder(lay(tmp_path, *files, slip)))


def test_the_layout_is_said_by_the_user(tmp_path, own):
    names = [
        f"{site}/{label}/{k}.png" for site in ("Bonn", "Paris") for label in "ab" for k in "12"
    ]
    folder = lay(tmp_path / "cells", *names)
    with pytest.raises(InputError, match="--layout"):
        loading.prepare(own(folder))
    assert set(loading.prepare(own(folder, layout="*/class")).classes) == {"a", "b"}
