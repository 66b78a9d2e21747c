"""Drawn smears with known answers, and where the real ones lie."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from allhelpers.segmentation.sample import NUCLEUS as NUCLEUS
from allhelpers.segmentation.sample import RED_RADIUS as RED_RADIUS
from allhelpers.segmentation.sample import smear as smear
from benchmarks.segmentation import overlap as overlap

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
