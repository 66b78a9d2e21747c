"""Damaged JPEGs, and images that are exchanged behind the cache's back."""

import io
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from allhelpers.data import images, loading, synthetic

DAMAGED = 60  # copies of each


def jpeg(quality=85, side=250, **more):
    cell = cv2.resize(synthetic.draw_cell("all", 3, 1, seed=0), (side, side))
    stream = io.BytesIO()
    Image.fromarray(cell).save(stream, "JPEG", quality=quality, **more)
    return stream.getvalue()


def flip(content, place, random):
    content[place] ^= 1 << int(random.integers(8))


def blank(content, place, random):
    content[place : place + 40] = bytes(40)


def lose(content, place, random):
    del content[place : place + 10]


@pytest.mark.parametrize(("damage", "least"), [(flip, 0.3), (blank, 0.8), (lose, 0.6)])
def test_damaged_jpegs_are_refused_where_the_decoder_warns(damage, least):
    """A flipped bit that makes another valid code of the same length cannot be seen."""
    whole, random, refused = jpeg(), np.random.default_rng(1), 0
    start = whole.index(b"\xff\xda") + 14
    for _ in range(DAMAGED):
        content = bytearray(whole)
        damage(content, int(random.integers(start, len(whole) - 60)), random)
        try:
            images.decode(bytes(content), "x.jpg", image_size=0)
        except images.UnusableError as error:
            refused += "is damaged" in str(error)
    assert refused >= least * DAMAGED


@pytest.mark.parametrize(
    "content",
    [
        jpeg(),
        jpeg(quality=1),
        jpeg(progressive=True),
        jpeg(subsampling=0),
        jpeg() + b"and more",
        cv2.imencode(".jpg", np.full((9, 7, 3), 90, np.uint8), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[
            1
        ].tobytes(),
    ],
)
def test_whole_jpegs_of_every_kind_are_taken(content):
    assert images.decode(content, "x.jpg", image_size=0).any()


def test_exchanged_images_of_one_size_and_time_are_seen(make_settings, tmp_path):
    folder = tmp_path / "mine"
    for label, level in (("blast", 40), ("healthy", 160)):
        for number in range(4):
            path = folder / label / f"{number}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((80, 80, 3), level + number, np.uint8))
            os.utime(path, (1_600_000_000, 1_600_000_000))
    settings = make_settings(
        images=str(folder),
        manifest="folders",
        split="patient",
        image_size=0,
        input_size=64,
        cache_folder=str(tmp_path / "cache"),
        run_folder=str(tmp_path),
    )
    before = loading.prepare(settings).table.set_index("file")["sha256"]
    other = folder.rename(tmp_path / "aside")
    (folder / "blast").parent.mkdir()
    (other / "blast").rename(folder / "healthy")
    (other / "healthy").rename(folder / "blast")
    after = loading.prepare(settings)
    sha256 = after.table.set_index("file")["sha256"]
    assert sha256["blast/1.bmp"] == before["healthy/1.bmp"] != before["blast/1.bmp"]
    rows = after.table["label"] == "blast"
    assert after.pixels[rows.to_numpy()].min() >= 160
