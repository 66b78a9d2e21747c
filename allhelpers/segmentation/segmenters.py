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
from .cells import RED, Cell, Segmentation, at_border, from_mask

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
    return _around(image, labels, diameter)


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
    masks = [(labels == label, "") for label in np.unique(labels[labels > 0])]
    return _with_nuclei(image, masks, red_cell_diameter)


def from_answers(
    image: np.ndarray, answers: list[Answer], *, red_cell_diameter: float | None = None
) -> Segmentation:
    """White cells of boxes (segmented inside) or outlines (taken as they are)."""
    diameter = red_cell_diameter or stain.red_cell_diameter(image)
    outlined = [(_drawn(answer, image.shape), answer.kind) for answer in answers if answer.polygons]
    cells = _with_nuclei(image, outlined, diameter).cells
    cells += _in_boxes(image, [answer for answer in answers if not answer.polygons], diameter)
    cells.sort(key=lambda cell: (cell.box[1], cell.box[0]))
    return Segmentation(cells, diameter, "" if cells else "No white cells are marked in it.")


def _drawn(answer: Answer, shape: tuple[int, ...]) -> np.ndarray:
    """The mask of an outline."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32) for points in answer.polygons], 1)
    return mask > 0


def _with_nuclei(
    image: np.ndarray, masks: list[tuple[np.ndarray, str]], diameter: float | None
) -> Segmentation:
    """Cells of given masks, each with its nucleus; without one and without a class it is listed."""
    diameter = diameter or stain.red_cell_diameter(image)
    densities = stain.density(image)
    purple = nuclei.find(densities, diameter) > 0
    least = FEW * nuclei.LEAST * np.pi / 4 * diameter**2
    cells = []
    for mask, kind in masks:
        if not mask.any():
            continue
        nucleus = nuclei.outline(densities, mask, purple & mask, diameter)
        reason = RED if not kind and (purple & mask).sum() < least else ""
        cell = from_mask(mask, nucleus, GIVEN, reason=reason, kind=kind)
        cells.append(at_border(cell, image.shape))
    return Segmentation(cells, float(diameter), "" if cells else "No white cells are marked in it.")


def _in_boxes(image: np.ndarray, boxes: list[Answer], diameter: float) -> list[Cell]:
    """Segment each box; what lies outside it cannot belong to the cell."""
    if not boxes:
        return []
    densities = stain.density(image)
    labels = nuclei.find(densities, diameter)
    smooth = cv2.GaussianBlur(densities, (0, 0), max(0.8, cytoplasm.SMOOTH * diameter))
    red = cytoplasm.red_cells(smooth, labels, diameter)
    return [_in_box(image, box, (densities, smooth, labels, red), diameter) for box in boxes]


def _in_box(image: np.ndarray, answer: Answer, field: tuple, diameter: float) -> Cell:
    """The cell of one box; a box without a nucleus is listed as it is."""
    densities, smooth, labels, red = field
    height, width = labels.shape
    left, top, right, bottom = (round(value) for value in answer.box)
    window = np.s_[max(0, top) : min(bottom, height), max(0, left) : min(right, width)]
    whole, inner = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    if labels[window].size == 0:
        raise InputError(f"The box {answer.box} lies outside its photograph: correct it.")
    nucleus, reason, confidence = labels[window] > 0, "", 0.0
    if nucleus.any():
        others = np.zeros(nucleus.shape, bool)
        mask, sharp, convex = cytoplasm.outline(
            smooth[window], nucleus, others=others, red=red, diameter=diameter
        )
        inner[window] = nuclei.outline(densities[window], mask, nucleus, diameter)
        whole[window], confidence = mask, np.sqrt(min(1.0, sharp) * convex)
    else:
        whole[window], reason = True, RED
    cell = from_mask(whole, inner, confidence, reason=reason, kind=answer.kind)
    return at_border(cell, image.shape)


def _around(image: np.ndarray, labels: np.ndarray, diameter: float) -> Segmentation:
    """Cells around given nuclei: lobes are joined and platelets told as in the embedded way."""
    densities = stain.density(image)
    joined = nuclei.join_small(labels.astype(np.int32), densities, diameter)
    chosen = embedded.purple_ones(densities, joined, nuclei.large(joined, diameter))
    cells = embedded.outlines(densities, joined, chosen, diameter=diameter)
    cells = [at_border(cell, image.shape) for cell in cells]
    return Segmentation(cells, diameter, "" if cells else "No white cells were found.")
