import functools
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers._core import caching
from allhelpers._core.errors import InputError
from allhelpers._core.files import sha256
from allhelpers.data import decoding, images, loading, matching, sources, splitting
from allhelpers.data import manifest as manifests
from allhelpers.data.images import decode
from allhelpers.data.loading import Cells
from allhelpers.data.manifest import OFFICIAL_CLASSES
from allhelpers.data.sources import KAGGLE_DATASET, Folder, ZipArchive
from tests.helpers import SHARED, needs_shared


@pytest.fixture(scope="module")
def folder(make_settings):
    """The sample's files, as a user's folder in the official layout."""
    return sources.open_images(make_settings()).path


@pytest.fixture
def copied(folder, tmp_path):
    """A copy that a test may damage, with a manifest of the undamaged files."""
    images, table = tmp_path / "images", manifests.from_folder(folder)
    shutil.copytree(folder, images)
    table.to_csv(tmp_path / "manifest.csv", index=False)
    return images


@pytest.fixture
def settings(make_settings, copied):
    """Settings that read the copy."""
    own = {"cache_folder": str(copied.parent / "cache"), "run_folder": str(copied.parent / "run")}
    return make_settings(images=str(copied), manifest=str(copied.parent / "manifest.csv"), **own)


class Decoded(list):
    """Names of the images that are decoded; stops where it is told to."""

    stop_at = None

    def __call__(self, content, name, *settings, decode=decoding.decode_content, **options):
        if len(self) == self.stop_at:
            self.stop_at = None
            raise KeyboardInterrupt
        self.append(name.name)
        return decode(content, name, *settings, **options)


@pytest.fixture
def decoded(cells, monkeypatch):
    monkeypatch.setattr(decoding, "decode_content", counting := Decoded())
    return counting


def first(images):
    return sorted(images.rglob("*.bmp"))[0]


def test_cells_are_rgb_resized_by_area(cells, folder):
    row = cells.table.iloc[0]
    image = cv2.imread(str(folder / row["file"]))
    expected = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)[..., ::-1]
    np.testing.assert_array_equal(cells.pixels[0], expected)
    assert cells.pixels.shape == (160, 224, 224, 3)
    assert cells.pixels.dtype == np.uint8


def test_labels_follow_the_order_of_classes(cells):
    labels = cells.labels()
    expected = cells.table["label"].map(OFFICIAL_CLASSES.index)
    assert (labels.argmax(axis=1) == expected).all()
    assert (labels.sum(axis=1) == 1).all()


def test_decoded_once(settings, monkeypatch):
    before = loading.prepare(settings)

    def never(*_, **__):
        raise AssertionError("decoded again")

    monkeypatch.setattr(decoding, "decode_content", never)
    np.testing.assert_array_equal(loading.prepare(settings).pixels, before.pixels)


def test_folder_layout_does_not_matter(settings, copied):
    expected = loading.prepare(settings)
    flat = copied.parent / "flat" / "any" / "where"
    flat.mkdir(parents=True)
    for path in copied.rglob("*.bmp"):
        path.rename(flat / path.name)
    moved = settings.model_copy(
        update={"images": str(copied.parent / "flat"), "cache_folder": str(flat.parent / "c")}
    )
    np.testing.assert_array_equal(loading.prepare(moved).pixels, expected.pixels)


def test_zip_archive_gives_the_same_cells(settings, copied):
    archive = copied.parent / "cells.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in copied.rglob("*.bmp"):
            stream.write(path, Path("C-NMC_Leukemia") / path.relative_to(copied))
    zipped = settings.model_copy(
        update={"images": str(archive), "cache_folder": str(copied.parent / "zipcache")}
    )
    np.testing.assert_array_equal(loading.prepare(zipped).pixels, loading.prepare(settings).pixels)


def test_kaggle_download_is_asked_for_and_read(settings, copied, monkeypatch):
    """Laid out as the download: training_data/fold_k/{all,hem}, and tests with the same names."""
    download = copied.parent / "versions" / "2"
    shutil.move(copied / "C-NMC_training_data", download / "C-NMC_Leukemia" / "training_data")
    for part in ("validation_data", "testing_data"):
        (download / "C-NMC_Leukemia" / part).mkdir()
        (download / "C-NMC_Leukemia" / part / "1.bmp").write_bytes(part.encode())
    asked = []
    monkeypatch.setattr(
        "kagglehub.dataset_download", lambda name: asked.append(name) or str(download)
    )
    cells = loading.prepare(settings.model_copy(update={"images": "kaggle"}))
    assert asked == [KAGGLE_DATASET]
    assert len(cells.table) == 160


def test_failed_kaggle_download_is_one_sentence(monkeypatch):
    def fail(_):
        raise ConnectionError("no route")

    monkeypatch.setattr("kagglehub.dataset_download", fail)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match="could not be downloaded"):
        sources.download_kaggle("owner/name")


def test_same_name_is_told_apart_by_content(tmp_path):
    """1.bmp stands in the preliminary and in the final test."""
    for part, content in (("prelim", b"right"), ("final", b"other")):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.bmp").write_bytes(content)
    table = pd.DataFrame({"file": ["x/1.bmp"], "sha256": [sha256(tmp_path / "prelim" / "1.bmp")]})
    assert matching.match(table, Folder(tmp_path))[0] == tmp_path / "prelim" / "1.bmp"


def test_same_image_twice_is_refused(settings, copied):
    for place in ("one", "two"):
        (copied / place).mkdir()
    shutil.copy(first(copied), copied / "one")
    shutil.move(first(copied), copied / "two")
    with pytest.raises(InputError, match="lies twice.*remove one copy"):
        loading.prepare(settings)


def test_missing_images_stop_the_run_and_are_listed(settings, copied):
    gone = first(copied)
    gone.unlink()
    with pytest.raises(InputError, match=r"1 of the 160 images.*--allow-subset"):
        loading.prepare(settings)
    assert pd.read_csv(Path(settings.run_folder) / "missing.csv")["file"].str.endswith(
        gone.name
    ).tolist() == [True]


def test_allowed_subset_is_drawn_anew_and_said(settings, copied):
    for path in sorted(copied.rglob("*.bmp"))[:4]:
        path.unlink()
    cells = loading.prepare(settings.model_copy(update={"allow_subset": True}))
    assert "156 of the manifest's 160 images" in cells.notes[0]
    assert cells.table["split"].value_counts()[["val", "test"]].tolist() == [70, 70]


def test_all_official_training_files_need_no_subset(official, make_settings):
    """The preliminary test may be missing for the paper's split: none of its cells is used."""
    there = official["part"] == "training"
    settings = make_settings(images="somewhere", split="paper")
    chosen, notes = loading.choose_cells(official, there, settings)
    assert chosen["split"].value_counts().to_dict() == {"train": 6036, "val": 70, "test": 70}
    assert notes == []


def test_seed_of_the_run_draws_another_split(official, make_settings):
    there = official["part"] != ""
    one, two = (
        loading.choose_cells(official, there, make_settings(seed=seed))[0] for seed in (2019, 7)
    )
    assert set(one["file"]) != set(two["file"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:1000], "SHA-256 differs"),
        (lambda content: b"", "is an empty file"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "SHA-256 differs"),
    ],
)
def test_damaged_image_is_named_and_once_mended_the_only_one_to_be_decoded(
    settings, copied, cells, decoded, damage, message
):
    path = first(copied)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    for _ in range(2):
        with pytest.raises(InputError, match=f"{path.name}.*{message}.*max_rejected = 1"):
            loading.prepare(settings)
    assert len(decoded) == 160 + 1
    path.write_bytes(content)
    np.testing.assert_array_equal(loading.prepare(settings).pixels, cells.pixels)
    assert decoded[161:] == [path.name]
    loading.prepare(settings)  # which nothing has to be decoded for
    assert len(decoded) == 162
    assert not (Path(settings.run_folder) / "rejected.csv").exists()
    assert not list(Path(settings.cache_folder).rglob("*.partial"))


def test_images_that_may_be_left_out_cost_one_pass(settings, copied, cells, decoded):
    damaged = sorted(copied.rglob("*.bmp"))[10:13]
    for path in damaged:
        path.write_bytes(b"no cell")
    allowed = settings.model_copy(update={"max_rejected": 3})
    rest = loading.prepare(allowed)
    assert len(decoded) == 160
    names = [path.name for path in damaged]
    used = ~cells.table["file"].str.rsplit("/", n=1).str[-1].isin(names)
    assert rest.table["file"].tolist() == cells.table["file"][used].tolist()
    np.testing.assert_array_equal(rest.pixels, cells.pixels[used])
    assert rest.key == decoding.pixels_key(rest.table["sha256"], settings)
    assert rest.notes == ["3 images cannot be used and are left out: see rejected.csv"]
    assert len(rest.manifest) == 160
    listed = pd.read_csv(Path(settings.run_folder) / "rejected.csv")
    assert list(listed) == ["file", "split", "label", "patient", "reason"]
    assert [file.rsplit("/", 1)[-1] for file in listed["file"]] == names
    assert listed["reason"].str.contains("SHA-256 differs").all()
    again = loading.prepare(allowed)
    assert again.key == rest.key
    assert sorted(decoded[160:]) == names


def test_a_run_needs_at_least_one_image_that_can_be_used(settings, copied):
    for path in copied.rglob("*.bmp"):
        path.write_bytes(b"no cell")
    with pytest.raises(InputError, match="160 of 160 images cannot be used"):
        loading.prepare(settings.model_copy(update={"max_rejected": 160}))


def test_stopped_pass_goes_on_and_still_knows_what_cannot_be_used(
    settings, copied, decoded, monkeypatch
):
    damaged = first(copied)
    damaged.write_bytes(b"no cell")
    monkeypatch.setattr(decoding, "filled", functools.partial(caching.filled, chunk=16))
    decoded.stop_at = 100
    with pytest.raises(KeyboardInterrupt):
        loading.prepare(settings)
    done = len(decoded)
    with pytest.raises(InputError, match="1 of 160 images cannot be used"):
        loading.prepare(settings)
    assert len(decoded) - done < 100
    assert sum(name == damaged.name for name in decoded) == 2


def test_some_of_the_cells_keep_what_belongs_to_them(cells):
    some = cells.take([5, 3])
    assert some.table["file"].tolist() == cells.table["file"].iloc[[5, 3]].tolist()
    np.testing.assert_array_equal(some.pixels, cells.pixels[[5, 3]])
    assert some.key not in (cells.key, cells.take([3, 5]).key)
    assert len(some.manifest) == 160


def test_empty_and_missing_folders_are_refused(tmp_path, make_settings):
    with pytest.raises(InputError, match="There is no image"):
        sources.open_images(make_settings(images=str(tmp_path)))
    with pytest.raises(InputError, match="does not exist"):
        sources.open_images(make_settings(images=str(tmp_path / "none")))
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="cannot be read as zip"):
        sources.open_images(make_settings(images=str(tmp_path / "broken.zip")))


def test_member_of_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("UID_1_1_1_all.bmp", bytes(2 << 20))
    monkeypatch.setattr(images, "MOST_BYTES", 1 << 20)
    archive = ZipArchive(tmp_path / "bomb.zip")
    with pytest.raises(InputError, match="unpacks to more than"):
        archive.read(archive.members[0])


def test_run_folder_takes_one_choice_of_cells(cells, make_settings):
    settings = make_settings()
    assert loading.record_cells(cells, settings) == loading.record_cells(cells, settings)
    other = Cells(cells.table.iloc[1:], cells.pixels[1:], cells.notes, "other", cells.classes)
    with pytest.raises(InputError, match="holds other cells"):
        loading.record_cells(other, settings)


def test_sample_says_that_it_is_synthetic(cells):
    assert cells.notes[0].startswith("synthetic")
    assert cells.kind == "synthetic sample"


@needs_shared
def test_real_official_files(tmp_path, make_settings, official):
    import subprocess
    import sys

    restore = [sys.executable, SHARED / "cnmc" / "restore.py", tmp_path / "real", "--limit", "40"]
    subprocess.run(restore, check=True, capture_output=True)
    places = {"images": "real", "run_folder": "run", "cache_folder": "cache"}
    places = {name: str(tmp_path / place) for name, place in places.items()}
    settings = make_settings(allow_subset=True, **places)
    cells = loading.prepare(settings)
    folds = len(list((SHARED / "cnmc").glob("fold_*")))  # 40 images of each class in each
    assert cells.table["split"].value_counts().to_dict() == {
        "val": 70,
        "test": 70,
        "train": folds * 80 - 140,
    }
    assert f"{folds * 80} of the manifest's 12,528 images" in cells.notes[0]
    labels = official.set_index("file")["label"]
    assert (cells.table["label"] == labels[cells.table["file"]].to_numpy()).all()
    # The paper's split leaks patients, and the project can tell.
    assert splitting.shared_patients(cells.table)


def test_crop_keeps_the_centre_and_the_scale():
    image = np.zeros((450, 450, 3), np.uint8)
    image[200:250, 176:276] = 200
    content = cv2.imencode(".bmp", image)[1].tobytes()
    whole = decode(content, "a.bmp", size=225, crop=450)
    centre = decode(content, "a.bmp", size=155, crop=310)
    assert whole.shape == (225, 225, 3)
    assert centre.shape == (155, 155, 3)
    assert whole.any(axis=-1).sum() == centre.any(axis=-1).sum() == 25 * 50


@pytest.fixture
def listed(tmp_path, make_settings):
    """A table of eight of nine images; the function takes its text and prepares the cells."""
    for k in range(9):
        path = tmp_path / "mine" / "slide 1" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((70, 70, 3), 20 * k + 20, np.uint8))
    rows = [f"slide 1/{k}.png,{'ab'[k % 2]},p{k}" for k in range(8)]

    def prepare(change=lambda text: text):
        table = tmp_path / "cells.csv"
        table.write_text(change("\n".join(["file,label,patient", *rows])))
        where = {"images": str(tmp_path / "mine"), "manifest": str(table), "input_size": 64}
        return loading.prepare(make_settings(split="patient", image_size=0, **where))

    return prepare


def test_images_that_a_table_does_not_list_are_counted(listed):
    said = "not listed in cells.csv, and not used: 1 image (1 .png in slide 1)"
    assert said in listed().notes


@pytest.mark.parametrize("change", [("slide", "Slide"), (".png", ".jpg"), ("slide 1", "slide%201")])
def test_what_is_missing_is_named_beside_what_is_there(listed, change):
    with pytest.raises(InputError) as error:
        listed(lambda text: text.replace(*change))
    assert "8 of the 8 images" in str(error.value)
    assert f"({'slide 1/0.png'.replace(*change)}," in str(error.value)
    there = "there, but in no row: slide 1/0.png, slide 1/1.png, slide 1/2.png and 6 more"
    assert there in str(error.value)
    assert "--manifest" not in str(error.value)  # which was given
