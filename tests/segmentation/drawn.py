"""Drawn smears with known answers, and where the real ones lie."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from allhelpers.segmentation import Cell
from allhelpers.segmentation.sample import NUCLEUS, RED_RADIUS, smear

__all__ = [
    "NUCLEUS",
    "PLATELET",
    "RED_RADIUS",
    "SMEARS",
    "needs_smears",
    "overlap",
    "smear",
    "whole",
    "write",
]

PLATELET = (140, 100, 170)
SMEARS = Path(__file__).resolve().parents[3] / "shared" / "smears"
needs_smears = pytest.mark.skipif(
    not SMEARS.is_dir(), reason="real smears (../shared/smears) are not on this machine"
)


def write(path: Path, image: np.ndarray) -> Path:
    """Write an RGB image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union."""
    return float((found & true).sum() / max(1, (found | true).sum()))


def whole(cell: Cell, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of a cell in the whole field."""
    mask = np.zeros(shape[:2], bool)
    left, top, right, bottom = cell.box
    mask[top:bottom, left:right] = getattr(cell, what)
    return mask
