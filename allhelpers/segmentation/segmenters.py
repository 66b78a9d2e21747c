"""Who finds the cells: the embedded segmenter, Cellpose or StarDist, or the user's own answers."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from . import cytoplasm, embedded, nuclei, stain
from ._seam import InputError
from .answers import Answer
from .cells import RED, Cell, Segmentation, from_mask, of_photograph

if TYPE_CHECKING:
    from types import ModuleType

    from cellpose.models import CellposeModel
    from stardist.models import StarDist2D

Segmenter = Callable[..., Segmentation]

WHITE = 1.5  # diameter of a white cell in red ones, which Cellpose is told
FEW = 0.5  # of the least nucleus; less purple in a mask is a platelet on a red cell
STARDIST_MODEL = "2D_versatile_he"  # nuclei in stained sections; the one of its models for colour
GIVEN = 1.0  # confidence of what the user has drawn


def cellpose(image: np.ndarray, *, red_cell_diameter: float | None = None) -> Segmentation:
    """All cells by Cellpose (Stringer et al. 2021); those with a nucleus are kept."""
    diameter = red_cell_diameter or stain.red_cell_diameter(image)
    size = WHITE * diameter
    labels = _cellpose_model().eval(image, diameter=size, channels=[0, 0])[0]
    return from_labels(image, np.asarray(labels), red_cell_diameter=diameter)


def stardist(image: np.ndarray, *, red_cell_diameter: float | None = None) -> Segmentation:
    """Nuclei by StarDist (Schmidt et al. 2018), the cell around each as in the embedded way."""
    diameter = red_cell_diameter or stain.red_cell_diameter(image)
    low, high = np.percentile(image, (1, 99.8))
    scaled = (image.astype(np.float32) - low) / max(1.0, high - low)
    labels = np.asarray(_stardist_model().predict_instances(scaled)[0])
    densities = stain.density(image)
    # lobes are joined and platelets told as in the embedded way
    joined = nuclei.join_small(labels.astype(np.int32), densities, diameter)
    cells, _ = embedded.outlines(densities, joined, diameter)
    return _segmentation(image, cells, diameter, "No white cells were found.")


@functools.cache
def _cellpose_model() -> CellposeModel:
    """Cellpose's own default model, loaded once; the interface is that of versions 3 and 4."""
    models = _installed("cellpose.models", "cellpose")
    core = importlib.import_module("cellpose.core")
    return models.CellposeModel(gpu=bool(core.use_gpu()))


@functools.cache
def _stardist_model() -> StarDist2D:
    """StarDist's model for stained nuclei, loaded once."""
    return _installed("stardist.models", "stardist").StarDist2D.from_pretrained(STARDIST_MODEL)


def _installed(module: str, package: str) -> ModuleType:
    """A module of an optional package."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"The segmenter {package} is not installed: pip install {package}, or leave the "
            "option out for the embedded one."
        ) from error


SEGMENTERS: dict[str, Segmenter] = {
    "embedded": embedded.segment,
    "cellpose": cellpose,
    "stardist": stardist,
}


def get(name: str) -> Segmenter:
    """A segmenter by its name."""
    if name not in SEGMENTERS:
        raise InputError(f"There is no segmenter {name!r}: choose from {', '.join(SEGMENTERS)}.")
    return SEGMENTERS[name]


def from_labels(
    image: np.ndarray, labels: np.ndarray, *, red_cell_diameter: float | None = None
) -> Segmentation:
    """White cells of a label image in which red ones may be too."""
    diameter = float(red_cell_diameter or stain.red_cell_diameter(image))
    masks = [(labels == label, "") for label in np.unique(labels[labels > 0])]
    densities = stain.density(image)
    cells = _with_nuclei(masks, densities, nuclei.find(densities, diameter), diameter)
    return _segmentation(image, cells, diameter, "No white cells are marked in it.")


def from_answers(
    image: np.ndarray, answers: list[Answer], *, red_cell_diameter: float | None = None
) -> Segmentation:
    """White cells of boxes (segmented inside) or outlines (taken as they are)."""
    diameter = red_cell_diameter or stain.red_cell_diameter(image)
    densities = stain.density(image)
    labels = nuclei.find(densities, diameter)
    outlined = [(_drawn(answer, image.shape), answer.kind) for answer in answers if answer.polygons]
    cells = _with_nuclei(outlined, densities, labels, diameter)
    if boxes := [answer for answer in answers if not answer.polygons]:
        cells += _in_boxes(boxes, densities, labels, diameter)
    return _segmentation(image, cells, diameter, "No white cells are marked in it.")


def _segmentation(
    image: np.ndarray, cells: list[Cell], diameter: float, nothing: str
) -> Segmentation:
    """What was found, or a sentence where it is nothing."""
    return Segmentation(of_photograph(cells, image.shape), diameter, "" if cells else nothing)


def _drawn(answer: Answer, shape: tuple[int, ...]) -> np.ndarray:
    """The mask of an outline."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32) for points in answer.polygons], 1)
    return mask > 0


def _with_nuclei(
    masks: list[tuple[np.ndarray, str]], densities: np.ndarray, labels: np.ndarray, diameter: float
) -> list[Cell]:
    """Cells of given masks, each with its nucleus; without one and without a class it is listed."""
    least = FEW * nuclei.LEAST * nuclei.red_area(diameter)
    cells = []
    for mask, kind in masks:
        if not mask.any():
            continue
        purple = (labels > 0) & mask
        nucleus = nuclei.outline(densities, mask, purple, diameter)
        reason = RED if not kind and purple.sum() < least else ""
        cells.append(from_mask(mask, nucleus, GIVEN, reason=reason, kind=kind))
    return cells


def _in_boxes(
    boxes: list[Answer], densities: np.ndarray, labels: np.ndarray, diameter: float
) -> list[Cell]:
    """The cell in each box, outside of which nothing belongs to it; without a nucleus: the box."""
    smooth, red = cytoplasm.smoothed(densities, labels, diameter)
    cells = []
    for answer in boxes:
        left, top, right, bottom = (max(0, round(value)) for value in answer.box)
        window = np.s_[top:bottom, left:right]
        nucleus = labels[window] > 0
        if nucleus.size == 0:
            raise InputError(f"The box {answer.box} lies outside its photograph: correct it.")
        mask, inner, confidence = np.ones_like(nucleus), nucleus, 0.0
        if nucleus.any():
            mask, sharp, convex = cytoplasm.outline(
                smooth[window], nucleus, others=np.zeros_like(nucleus), red=red, diameter=diameter
            )
            inner = nuclei.outline(densities[window], mask, nucleus, diameter)
            confidence = np.sqrt(min(1.0, sharp) * convex)
        reason = "" if nucleus.any() else RED
        cell = from_mask(mask, inner, confidence, reason=reason, kind=answer.kind)
        cells.append(cell.moved(left, top))
    return cells
