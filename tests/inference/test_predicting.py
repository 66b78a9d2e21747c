"""A trained model and new images: what comes out, whatever is handed in."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from allhelpers._core import renaming
from allhelpers._core.errors import InputError
from allhelpers._core.files import neutralised
from allhelpers.data import sources
from allhelpers.inference import command as commands
from allhelpers.inference import new_images as finding
from allhelpers.inference import predicting, saved
from allhelpers.networks import processor
from allhelpers.training import familiarity, trunk
from tests.commands import command, refused
from tests.helpers import ROOT, finish, network_of


@pytest.fixture(scope="module")
def model(small_cells, make_settings, tmp_path_factory):
    """The folder of a trained toy."""
    folder = tmp_path_factory.mktemp("run") / "toy"
    network = network_of("toy", make_settings(unfreeze="none", input_size=64), small_cells)
    features = trunk.compute_features(network, small_cells)
    known = familiarity.familiar_cells(network, features, small_cells)
    finish(network, folder, small_cells, known)
    return folder


@pytest.fixture
def images(make_settings, tmp_path):
    """A folder of four cells, with names of our own."""
    source, folder = sources.open_images(make_settings()), tmp_path / "new"
    folder.mkdir()
    for number, member in enumerate(source.members[:4]):
        shutil.copy(member, folder / f"{number}.bmp")
    return folder


def predict(model, *given, output="out.csv"):
    done = command("predict", model, *given, "--output", output)
    table = pd.read_csv(output, keep_default_na=False) if os.path.isfile(output) else None
    return done, table


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def damage(path):
    path.write_bytes(path.read_bytes()[:5000])


def empty(path):
    path.write_bytes(b"")


def write_text(path):
    path.write_text("no image")


def resize(path):
    cv2.imwrite(str(path), np.full((90, 80, 3), 9, np.uint8))


@pytest.mark.parametrize("spoil", [damage, empty, write_text, resize])
def test_a_bad_image_is_listed_and_the_others_are_classified(model, images, spoil):
    spoil(images / "2.bmp")
    done, table = predict(model, images)
    assert done.status == commands.PARTLY
    assert table["file"].str[-5:].tolist() == ["0.bmp", "1.bmp", "2.bmp", "3.bmp"]
    assert (table["predicted"] == "").tolist() == [False, False, True, False]
    assert "2.bmp" in table["note"][2]
    assert table["p_all"][2] == ""
    assert "1 could not be used" in done.out
    for label, number in table["predicted"][table["predicted"] != ""].value_counts().items():
        assert f"{label}: {number}" in done.out
    assert done.out.splitlines()[-1].startswith("3 of 4 images classified: out.csv")


def test_only_bad_images_are_an_error(model, images):
    for path in images.iterdir():
        damage(path)
    done, table = predict(model, images)
    assert refused(done, "None of 4 images can be used", "damaged")
    assert table is None
    with pytest.raises(InputError, match="There is no image to classify"):
        predicting.predict(saved.find(model), [])


def as_zip(folder):
    with zipfile.ZipFile("new.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"inside/{path.name}")
    return "new.zip"


def as_tar(folder):
    with tarfile.open("new.tar.gz", "w:gz") as archive:
        archive.add(folder, "inside")
    return "new.tar.gz"


@pytest.mark.parametrize("pack", [as_zip, as_tar])
def test_archives_are_read_as_folders_are(model, images, pack):
    _, expected = predict(model, images, output="folder.csv")
    done, table = predict(model, pack(images))
    assert done.status == 0
    assert sorted(table["file"]) == [f"{pack(images)}/inside/{k}.bmp" for k in range(4)]
    columns = ["p_all", "p_hem", "predicted", "atypical"]
    assert table.sort_values("file")[columns].to_numpy().tolist() == (
        expected[columns].to_numpy().tolist()
    )


def test_size_of_images_can_be_said(model, images):
    resize(images / "1.bmp")
    done, table = predict(model, images, "--image-size", "0")
    assert done.status == 0
    assert (table["predicted"] != "").all()
    renaming.warn.cache_clear()
    done, former = predict(model, images, "--picture-size=0", output="former.csv")  # old name
    assert "picture_size is called image_size now" in done.err  # old name
    assert former.equals(table)


def text_page(rng):
    image = np.full((450, 450, 3), 255, np.uint8)
    for row in range(20, 440, 20):
        cv2.putText(image, "a page of text, no cell", (10, row), 0, 0.6, (0, 0, 0))
    return image


def noise(rng):
    return rng.integers(0, 256, (450, 450, 3), dtype=np.uint8)


def screenshot(rng):
    image = np.full((450, 450, 3), 235, np.uint8)
    image[:40], image[100:200, 100:300] = (90, 60, 30), (0, 200, 40)
    return image


def pale_cell(rng):
    image = np.zeros((450, 450, 3), np.uint8)
    return cv2.circle(image, (225, 225), 100, (240, 240, 250), -1)


@pytest.mark.parametrize("draw", [text_page, noise, screenshot, pale_cell])
def test_images_unlike_the_training_cells_are_said_to_be(model, images, draw):
    cv2.imwrite("new/x.png", draw(np.random.default_rng(1)))
    done, table = predict(model, images)
    assert table["atypical"].tolist() == ["no"] * 4 + ["yes"]
    assert "of training cells" in table["note"].iloc[-1]
    assert "1 are not like the cells" in done.out


def test_few_cells_of_the_run_are_called_atypical(model, small_cells, make_settings):
    source = sources.open_images(make_settings())
    _, table = predict(model, source.path)
    assert (table["atypical"] == "yes").mean() <= 0.05


def test_a_model_of_an_older_version_says_that_it_cannot_tell(
    small_cells, make_settings, images, tmp_path
):
    network = network_of("toy", make_settings(unfreeze="none", input_size=64), small_cells)
    finish(network, tmp_path / "old", small_cells)
    done, table = predict(tmp_path / "old", images)
    assert done.status == 0
    assert set(table["atypical"]) == {""}
    assert "is not known" in done.out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["nothing"], ["nothing does not exist"]),
        (["hollow"], ["There is no image", "hollow"]),
        (["pipe"], ["neither a file nor a folder"]),
    ],
)
def test_no_image_is_said_before_the_model_is_looked_at(given, words, tmp_path):
    (tmp_path / "hollow").mkdir()
    os.mkfifo("pipe")
    assert refused(command("predict", "no_model", *given), *words)


def imported(names, *asked):
    """The exit status of a command in a process of its own, and what of these it has imported."""
    code = (
        "import sys; from allhelpers.running.cli import main; status = main(sys.argv[1:]);"
        f"print(status, {names} & set(sys.modules))"
    )
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=path)
    return done.stdout.splitlines()[-1]


def test_no_image_is_said_without_tensorflow_and_pandas():
    assert imported({"tensorflow", "keras", "pandas"}, "predict", "model", "nothing") == "1 set()"


@pytest.mark.parametrize("place", ["folder", "there.csv", "/proc/x.csv", "there.csv/x.csv"])
def test_output_is_checked_before_work(model, images, place, monkeypatch, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.csv").write_text("mine")
    monkeypatch.setattr(predicting, "predict", None)
    assert refused(command("predict", model, images, "--output", place), place.split("/x")[0])
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_a_file_that_is_there_is_replaced_only_when_asked(model, images, tmp_path):
    (tmp_path / "there.csv").write_text("old")
    done = command("predict", model, images, "--output", "there.csv", "--overwrite")
    assert done.status == 0
    assert (tmp_path / "there.csv").read_text().startswith("file,p_all")


def test_what_the_run_has_left_is_never_replaced(model, images, monkeypatch):
    monkeypatch.chdir(model)
    before = (model / "predictions.csv").read_bytes()
    assert refused(command("predict", model, images, "--overwrite"), "is a file of a run")
    assert (model / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["=cmd|'1'!A1.bmp", "+1.bmp", "@x.bmp"])
def test_names_that_a_spreadsheet_would_calculate_are_text(model, images, name):
    os.rename(images / "0.bmp", name)
    _, table = predict(model, name)
    assert table["file"].tolist() == [f"'{name}"]


def test_only_text_is_neutralised():
    assert [neutralised(each) for each in (-1.5, "a=b", "-a", "")] == [-1.5, "a=b", "'-a", ""]


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_what_is_not_classified_in_a_folder_or_archive_is_said(tmp_path, caplog, kind):
    names = ["0.png", "0_mask.png", "1.png", "2.webp", "notes.txt"]
    for name in names:
        (tmp_path / "new" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "new" / name).write_bytes(b"x")
    place = tmp_path / "new"
    if kind != "folder":
        place = Path(shutil.make_archive(str(place), kind, place))
    (tmp_path / "scratch").mkdir()
    with caplog.at_level("INFO", "allhelpers"):
        found = finding.find([place], tmp_path / "scratch")
    assert [Path(each.name).name for each in found] == ["0.png", "1.png"]
    for said in ("masks beside the images): 1 .png", "no image format that is read): 1 .webp"):
        assert said in caplog.text


def test_names_that_are_no_unicode_can_be_written(model, images):
    os.rename(os.fsencode(images / "0.bmp"), os.fsencode(images) + b"/Z\xfcrich.bmp")
    done, table = predict(model, images)
    assert done.status == 0
    assert table["file"].iloc[-1].endswith("Z%FCrich.bmp")


@pytest.mark.skipif(not processor.installed(), reason="OpenVINO is not installed")
def test_a_model_that_was_used_before_needs_no_tensorflow(model, images):
    predict(model, images)
    slow = {"tensorflow", "keras", "matplotlib", "sklearn"}
    assert imported(slow, "predict", str(model), "new", "--output", "again.csv") == "0 set()"


@pytest.mark.parametrize("engine", ["keras", "auto"])
@pytest.mark.parametrize("unfreeze", ["none", "default", "all"])
def test_every_engine_gives_the_probabilities_of_the_saved_model(
    small_cells, make_settings, images, tmp_path, engine, unfreeze
):
    settings = make_settings(unfreeze=unfreeze, input_size=64, engine=engine, tta=4)
    network = network_of("toy", settings, small_cells)
    finish(network, tmp_path / "other", small_cells)
    files = sorted(images.iterdir())
    table = predicting.predict(saved.find(tmp_path / "other"), files)
    pixels = predicting.decoded(network.settings, files)
    expected = predicting.probabilities(network, pixels)
    np.testing.assert_allclose(table[["p_all", "p_hem"]].to_numpy(), expected, atol=7e-5)


def test_a_damaged_cache_is_made_again(model, images):
    _, before = predict(model, images)
    for kept in Path(os.environ["ALLHELPERS_CACHE"]).rglob("model.bin"):
        kept.write_bytes(b"damaged")
    done, after = predict(model, images, output="again.csv")
    assert done.status == 0
    assert after.equals(before)
