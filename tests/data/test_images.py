"""The gate that an image file must pass."""

import functools
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from allhelpers._core.errors import InputError
from allhelpers.data import images, resizing, synthetic
from allhelpers.data.images import UnusableError

CELL = synthetic.draw_cell("all", 0, 0)
BMP = cv2.imencode(".bmp", CELL[..., ::-1])[1].tobytes()
PNG = cv2.imencode(".png", CELL[..., ::-1])[1].tobytes()
JPEG = cv2.imencode(".jpg", CELL[..., ::-1])[1].tobytes()


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def saved(array, kind, *, mode=None, **options):
    stream, image = io.BytesIO(), Image.fromarray(array)
    image.convert(mode or image.mode).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("content", [BMP, PNG])
def test_whole_colour_image_of_the_right_size_passes(content):
    np.testing.assert_array_equal(images.decode(content, "a.bmp", size=450), CELL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file"),
        (BMP[: len(BMP) // 2], "is damaged"),
        (PNG[: len(PNG) // 2], "is damaged"),
        (JPEG[: len(JPEG) // 2], "is damaged"),
        (PNG[:2000] + bytes(50) + PNG[2050:], "is damaged"),
        (b"BM" + bytes(100), "is damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "is damaged"),
        (b"not an image", "not a BMP, PNG or JPEG"),
        (saved(CELL, "GIF"), "not a BMP, PNG or JPEG"),
        (saved(CELL, "WEBP"), "not a BMP, PNG or JPEG"),
        (encoded(CELL[:300, :400]), "is 400 x 300 pixels, not 450 x 450"),
        (encoded(CELL[..., 0]), "is grey"),
        (encoded(np.dstack([CELL, CELL[..., 0]])), "with transparency"),
        (encoded(CELL.astype(np.uint16) * 256), "16 bits per channel"),
        (encoded(np.zeros_like(CELL)), "is all black"),
        (encoded(np.zeros_like(CELL), ".bmp"), "is all black"),
        (encoded(np.ones((5000, 5000, 3), np.uint8)), "claims 5,000 x 5,000 pixels"),
    ],
)
def test_other_images_are_refused_by_name_and_reason(content, message):
    with pytest.raises(UnusableError, match=f"^odd.bmp .*{message}"):
        images.decode(content, "odd.bmp")


def test_header_that_claims_a_huge_image_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    for side, message in (
        (8_000, "claims 8,000 x 8,000 pixels"),
        (60_000, "claims far too many pixels"),
    ):
        claims = BMP[:18] + side.to_bytes(4, "little") * 2 + BMP[26:]
        with pytest.raises(InputError, match=message):
            images.decode(claims, "bomb.bmp")


def test_any_size_is_taken_when_the_user_says_so():
    pixels = images.decode(encoded(CELL[:300, :300]), "a.png", size=96, image_size=0)
    assert pixels.shape == (96, 96, 3)


def test_file_that_is_far_too_large_or_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.bmp").write_bytes(BMP)
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="too large for a cell"):
        images.read(tmp_path / "a.bmp")
    with pytest.raises(InputError, match="cannot be read"):
        images.read(tmp_path / "gone.bmp")


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (450, 450, 224),
        (450, 450, 299),
        (300, 300, 160),
        (448, 448, 224),
        (200, 200, 224),
        (310, 451, 96),
        (20, 300, 64),
    ],
)
@pytest.mark.parametrize(
    "cell", [(slice(None), slice(None)), (slice(5, 15), slice(9, 17)), (slice(0, 0), slice(0, 0))]
)
def test_resizing_is_opencvs_to_the_bit(height, width, size, cell):
    image = np.zeros((height, width, 3), np.uint8)
    image[cell] = np.random.default_rng(0).integers(0, 256, image[cell].shape)
    expected = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(resizing.resize(image, size), expected)


tiff = functools.partial(saved, kind="TIFF")
OPAQUE = np.dstack([CELL, np.full(CELL.shape[:2], 255, np.uint8)])


@pytest.mark.parametrize(
    "content",
    [
        tiff(CELL),
        tiff(CELL, compression="tiff_lzw"),
        tiff(CELL, compression="tiff_adobe_deflate"),
        tiff(OPAQUE),
        encoded(np.dstack([CELL[..., ::-1], OPAQUE[..., 3]])),
    ],
)
def test_what_microscopes_and_editors_save_is_read(content):
    np.testing.assert_array_equal(images.decode(content, "a.tif", size=450), CELL)


def test_a_grey_tiff_is_read_as_three_equal_channels():
    grey = CELL[..., 1]
    pixels = images.decode(tiff(grey), "a.tif", size=450)
    np.testing.assert_array_equal(pixels, np.dstack([grey] * 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tiff(CELL, save_all=True, append_images=[Image.fromarray(CELL)]), "holds 2 images"),
        (encoded(CELL.astype(np.uint16) * 256, ".tif"), "16 bits per channel"),
        (tiff(CELL[..., 0].astype(np.float32)), "32 bits per channel"),
        (tiff(np.dstack([CELL, CELL[..., 0]])), "with transparency"),
        (tiff(CELL[..., 0] > 128), "is grey"),
        (tiff(CELL, mode="LAB"), "in CIELAB, not in RGB"),
        (tiff(CELL)[:5000], "is damaged"),
        (tiff(CELL)[:30], "is damaged"),
    ],
)
def test_other_tiffs_are_refused(content, message):
    with pytest.raises(UnusableError, match=message):
        images.decode(content, "a.tif")
