"""Synthetic images of single white blood cells in the layout of C-NMC 2019.

No pixel of a real image is used. They show that the pipeline runs from beginning to end; figures
measured on them say nothing about real cells.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from filelock import FileLock

from .._core.constants import IMAGE_SIZE, USUAL_SAMPLE
from .._core.errors import InputError
from .manifest import OFFICIAL_CLASSES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SYNTHETIC_NOTE = "synthetic cells: drawn by a program, no medical meaning"
SIDE = IMAGE_SIZE  # pixels
PATIENTS = 8  # per class
FOLDS = 3
TREE = "C-NMC_training_data"

# Beer-Lambert law: light that passes a stain of density d keeps the share exp(-d * ABSORBANCE) in
# red, green, blue.
LIGHT = 170.0
ABSORBANCE = np.array([0.88, 1.80, 0.77])
CYTOPLASM_DENSITY = 0.6  # the density of an average nucleus is 1


@dataclass(frozen=True)
class Traits:
    """Means of a class, close enough to the other's for the classes to overlap."""

    area: float  # of the cell, in pixels
    nucleus: float  # share of the cell's radius
    grain: float  # size of the chromatin's grains, in pixels
    contrast: float  # of the chromatin's density
    nucleoli: float  # mean number
    cleft: float  # chance of a cleft in the nucleus


TRAITS = {
    "all": Traits(34500, 0.975, 8.5, 0.055, 1.2, 0.35),
    "hem": Traits(26500, 0.955, 12.0, 0.075, 0.2, 0.15),
}

# Shortcuts that can be planted: the cells of one class are brighter, or their files longer.
BRIGHTER, LONGER = 1.25, 4096  # factor, and bytes behind the image, which no reader reads


@dataclass(frozen=True)
class Look:
    """What the cells of one patient share: factors on the traits, and the stain."""

    area: float
    grain: float
    contrast: float
    density: float
    hue: np.ndarray


def draw_sample(
    folder: str | Path, cells: int = 320, seed: int = 2019, *, differs: str = USUAL_SAMPLE
) -> Path:
    """Draw a sample of cells, or leave it alone if it is there already.

    Parameters
    ----------
    folder : str or Path
        Receives ``C-NMC_training_data/fold_K/LABEL/UID_<patient>_<image>_<cell>_LABEL.bmp``.
    cells : int, default=320
        Number of images, half of them of each class, spread evenly over 8 patients per class.
    seed : int, default=2019
        The same ``cells`` and ``seed`` give the same bytes.
    differs : str, default="cell+size"
        What tells the classes apart, of cell, size, brightness and file, joined by ``+``; empty:
        nothing.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the folder already holds other images there; they are never overwritten.

    Examples
    --------
    >>> len(list(draw_sample("new", cells=16).rglob("*.bmp")))
    16
    """
    folder = Path(folder)
    plan, tree = _plan(cells), folder / TREE
    if _is_drawn(tree, plan, seed, differs):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if _is_drawn(tree, plan, seed, differs):  # by another process, while this one waited
            return folder
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            for parent in {(Path(scratch) / TREE / name).parent for name in plan}:
                parent.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor() as pool:
                content = pool.map(lambda cell: _bmp(seed, differs, *cell), plan.values())
                for name, image in zip(plan, content, strict=True):
                    (Path(scratch) / TREE / name).write_bytes(image)
            folder.mkdir(exist_ok=True)
            os.replace(Path(scratch) / TREE, tree)  # all images appear at once or not at all
    return folder


def traits_of(label: str, differs: str) -> Traits:
    """A class's traits; the mean or the other class's where the classes shall not differ."""
    named = differs.split("+")
    traits = TRAITS[label] if "cell" in named else TRAITS["hem"]
    mean = sum(each.area for each in TRAITS.values()) / len(TRAITS)
    return replace(traits, area=TRAITS[label].area if "size" in named else mean)


def draw_cell(
    label: str, patient: int, cell: int, seed: int = 2019, *, differs: str = USUAL_SAMPLE
) -> np.ndarray:
    """Draw one cell as RGB on black."""
    key = [seed, OFFICIAL_CLASSES.index(label), patient]
    look, rng = _look(np.random.default_rng([*key, 0])), np.random.default_rng([*key, cell + 1])
    traits = traits_of(label, differs)
    radius = np.sqrt(traits.area / np.pi * look.area * np.exp(rng.normal(0, 0.16)))
    outline = radius * _outline(rng)
    inside = _fill(outline) > 0.5
    nucleus = _nucleus(rng, outline, traits)
    # Each line draws from the same generator: their order decides the cell.
    density = look.density + rng.normal(0, 0.05)
    density = density + _chromatin(rng, traits, look) - _nucleoli(rng, radius, traits)
    density = CYTOPLASM_DENSITY + (density - CYTOPLASM_DENSITY) * nucleus + _field(rng, 75, 0.06)
    absorbance = (ABSORBANCE * look.hue).astype(np.float32)
    light = LIGHT * (BRIGHTER if label == "all" and "brightness" in differs else 1)
    colour = light * np.exp(-density[inside, None] * absorbance) + _field(rng, 2, 0.9)[inside, None]
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[inside] = np.clip(colour, 1, 255)  # at least 1, so that "not black" is exactly the cell
    return rgb


def _plan(cells: int) -> dict[str, tuple[str, int, int]]:
    """Map each file name (below the tree) to its (label, patient, cell)."""
    plan = {}
    totals = (cells - cells // 2, cells // 2)
    for label, prefix, total in zip(OFFICIAL_CLASSES, ("", "H"), totals, strict=True):
        for index in range(total):
            cell, patient = divmod(index, PATIENTS)
            name = f"UID_{prefix}{patient + 1}_{cell // 2 + 1}_{cell % 2 + 1}_{label}.bmp"
            plan[f"fold_{patient % FOLDS}/{label}/{name}"] = (label, patient, cell)
    return plan


def _is_drawn(tree: Path, plan: dict[str, tuple[str, int, int]], seed: int, differs: str) -> bool:
    """Whether the tree holds this very sample; one image is drawn again to tell seeds apart."""
    if not tree.exists():
        return False
    first = next(iter(plan))
    there = {path.relative_to(tree).as_posix() for path in tree.rglob("*.bmp")}
    if there != set(plan) or (tree / first).read_bytes() != _bmp(seed, differs, *plan[first]):
        raise InputError(
            f"{tree} holds other images than this sample: give another folder, or remove it first."
        )
    return True


def _bmp(seed: int, differs: str, label: str, patient: int, cell: int) -> bytes:
    drawn = draw_cell(label, patient, cell, seed, differs=differs)
    longer = label == "all" and "file" in differs
    return cv2.imencode(".bmp", drawn[..., ::-1])[1].tobytes() + bytes(LONGER * longer)


def _look(rng: np.random.Generator) -> Look:
    area, grain, contrast = np.exp(rng.normal(0, [0.08, 0.10, 0.12]))
    return Look(area, grain, contrast, density=rng.normal(1, 0.06), hue=rng.normal(1, 0.04, 3))


def _outline(rng: np.random.Generator) -> np.ndarray:
    """Radius in 360 directions around 1: low harmonics make an irregular circle."""
    angle, order = np.linspace(0, 2 * np.pi, 360, endpoint=False), np.arange(2, 14)
    height = rng.normal(0, 0.24, order.size) / order**1.7
    phase = rng.uniform(0, 2 * np.pi, order.size)
    radius = 1 + height @ np.cos(np.outer(order, angle) + phase[:, None])
    return np.clip(radius / np.sqrt(np.mean(radius**2)), 0.6, 1.4)


def _fill(radius: np.ndarray, shift: ArrayLike = (0, 0)) -> np.ndarray:
    """Fill the outline around the centre, moved by ``shift`` (pixels), with ones."""
    angle = np.linspace(0, 2 * np.pi, radius.size, endpoint=False)
    corners = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    corners = SIDE / 2 + np.add(shift, corners)
    empty = np.zeros((SIDE, SIDE), np.float32)
    return cv2.fillPoly(empty, [np.round(corners).astype(np.int32)], 1.0)


def _nucleus(rng: np.random.Generator, outline: np.ndarray, traits: Traits) -> np.ndarray:
    """Share of nucleus in each pixel; it lies off the centre and sometimes has a cleft."""
    share = np.clip(rng.normal(traits.nucleus, 0.015), 0.85, 1)
    # Degrees from the cleft.
    away = np.abs((np.arange(360) - rng.uniform(0, 360) + 180) % 360 - 180)
    depth = rng.uniform(0.1, 0.35) * (rng.random() < traits.cleft)
    shift = rng.normal(0, 0.02 * outline.mean(), 2)
    nucleus = outline * share * (1 - depth * np.exp(-((away / 7) ** 2)))
    return cv2.GaussianBlur(_fill(nucleus, shift), (0, 0), 3)


def _chromatin(rng: np.random.Generator, traits: Traits, look: Look) -> np.ndarray:
    """Changes of density by coarse and fine clumps of chromatin."""
    means = np.array([traits.grain * look.grain, traits.contrast * look.contrast])
    grain, contrast = means * np.exp(rng.normal(0, [0.15, 0.2]))
    return _field(rng, grain, contrast) + _field(rng, 3 * grain, 0.7 * contrast)


def _nucleoli(rng: np.random.Generator, radius: float, traits: Traits) -> np.ndarray:
    """Loss of density in the nucleoli, which are pale, round and lie inside the nucleus."""
    pale = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(rng.poisson(traits.nucleoli)):
        x, y = np.round(SIDE / 2 + rng.uniform(-0.4, 0.4, 2) * radius).astype(int).tolist()
        size, depth = round(radius * rng.uniform(0.07, 0.13)), rng.uniform(0.1, 0.25)
        cv2.circle(pale, (x, y), size, depth, -1)
    return cv2.GaussianBlur(pale, (0, 0), 3)


def _field(rng: np.random.Generator, grain: float, deviation: float) -> np.ndarray:
    """Smooth random field with spots of about ``grain`` pixels."""
    knots = rng.normal(0, deviation, 2 * [round(SIDE / grain) + 1]).astype(np.float32)
    return cv2.resize(knots, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
