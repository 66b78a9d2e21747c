"""Cells as files: images on black, tables, label images."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from ._seam import InputError, atomic
from .cells import Cell

TABLES = ("cells.csv", "left_out.csv", "fields.csv")
SHEETS, LABELS = "contact_sheets", "label_images"
QUALITY = 80  # of contact sheets; without loss WebP takes ten times as long
STEP = 16  # pixels; sides of squares are multiples


@contextmanager
def claimed(output: Path, overwrite: bool) -> Iterator[Path]:
    """An empty folder beside the output, which takes its place only if the block ends well."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        if not overwrite:
            raise InputError(f"{output} is there already: choose another folder, or --overwrite.")
        if not all((output / name).is_file() for name in TABLES):
            raise InputError(
                f"{output} does not come from this command and is not overwritten: choose another."
            )
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if output.exists():
            shutil.rmtree(output)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def cut_out(image: np.ndarray, cell: Cell, factor: float = 1.0) -> np.ndarray:
    """The cell on black, cropped to its box and resized."""
    left, top, right, bottom = cell.box
    size = [max(1, round(side * factor)) for side in (right - left, bottom - top)]
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    mask = cv2.resize(cell.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
    part = cv2.resize(image[top:bottom, left:right], size, interpolation=method)
    return part * mask[..., np.newaxis]


def centred(part: np.ndarray, side: int) -> np.ndarray:
    """An image in the middle of a black square."""
    height, width = part.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + height, left : left + width] = part
    return square


def side_for(largest: int) -> int:
    """The smallest multiple of `STEP` that leaves a pixel on each side."""
    return -(-(largest + 2) // STEP) * STEP


def save(path: Path, image: np.ndarray) -> None:
    """Write an RGB image in the format of its name."""
    quality = (cv2.IMWRITE_WEBP_QUALITY, QUALITY) if path.suffix == ".webp" else ()
    with atomic(path) as partial:
        turned = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(partial), turned, quality):
            raise InputError(f"{path} cannot be written: check the disk and its permissions.")


def centre_all(folder: Path, files: list[str], side: int) -> None:
    """Put all images into squares of one side: only now the largest cell is known."""
    for file in files:
        part = cv2.imread(str(folder / file))
        if part is None:
            raise InputError(f"{folder / file} cannot be read again: check the disk.")
        save(folder / file, centred(cv2.cvtColor(part, cv2.COLOR_BGR2RGB), side))


def save_labels(folder: Path, name: str, cells: list[Cell], shape: tuple[int, ...]) -> None:
    """Label images of cells and of nuclei, 16 bits, which QuPath and Cellpose read."""
    for what in ("mask", "nucleus"):
        labels = np.zeros(shape[:2], np.uint16)
        for number, cell in enumerate(cells, start=1):
            left, top, right, bottom = cell.box
            labels[top:bottom, left:right][getattr(cell, what)] = number
        with atomic(folder / LABELS / f"{name}_{what}.tif") as partial:
            cv2.imwrite(str(partial), labels)
