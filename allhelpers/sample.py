"""Synthetic cells, drawn on demand: the embedded default data.

The pictures imitate the form of C-NMC 2019 (one stained white-blood cell, cut out and centred on black, 450 x 450
pixels, official file names), so that the whole line can be run and tested without a download. They show the pipeline
and have no medical meaning: nothing can be concluded from them about leukaemia or about a network.

The two classes differ as the textbook says (leukaemic cells are larger, their nucleus fills them, their chromatin is
finer and may show nucleoli), and overlap; every patient has a look of their own, as stain and scanner give it.
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from filelock import FileLock

SIZE = 450  # pixels, as the official files
PATIENTS = 8  # of each class
FOLDS = 3


@dataclass(frozen=True)
class Look:
    """Distribution of what a class's cells look like: means, and spreads between cells.

    Attributes
    ----------
    radius, nucleus, grain, contrast, nucleoli : float
        Radius of the cell (pixels), radius of the nucleus as a share of it, size of chromatin clumps (pixels),
        strength of the chromatin texture (0..1), mean number of nucleoli.
    """

    radius: float
    nucleus: float
    grain: float
    contrast: float
    nucleoli: float


# Radii after the areas of real cells: HEM about 26,500 pixels, ALL about 36,200, each with a wide spread.
LOOKS = {"all": Look(106, 0.94, 11, 0.05, 1.2), "hem": Look(91, 0.86, 18, 0.09, 0.3)}
CELL_SPREAD = Look(11, 0.04, 4, 0.02, 0)
PATIENT_SPREAD = Look(4, 0.015, 2, 0.01, 0)
STAIN = {"nucleus": (72, 30, 82), "cytoplasm": (98, 56, 104)}  # RGB


def draw(folder, cells=320, seed=2019):
    """Draw synthetic cells as BMP files in the official layout; do nothing if they are there.

    Parameters
    ----------
    folder : str or Path
        Where to put ``C-NMC_training_data/fold_K/{all,hem}/UID_*.bmp``. It appears complete or not at all.
    cells : int
        How many, half of them of each class.
    seed : int
        The same seed and number give the same files.

    Returns
    -------
    Path
        The folder.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # what a killed run has left
            jobs = [(label, k) for label in LOOKS for k in range(cells // 2)]
            try:
                with ThreadPoolExecutor() as pool:
                    list(pool.map(lambda job: _write(partial, *job, seed), jobs))
                os.replace(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def _write(folder, label, number, seed):
    patient, image = number % PATIENTS, number // PATIENTS + 1
    subject = f"{'H' if label == 'hem' else ''}{patient + 1}"
    target = folder / "C-NMC_training_data" / f"fold_{patient % FOLDS}" / label
    target.mkdir(parents=True, exist_ok=True)
    picture = draw_cell(label, patient, image, seed)
    cv2.imwrite(str(target / f"UID_{subject}_{image}_1_{label}.bmp"), picture[..., ::-1])


def draw_cell(label, patient, image, seed=2019):
    """Draw one synthetic cell.

    Parameters
    ----------
    label : {"all", "hem"}
    patient : int
        Decides the stain and, with the class, where this patient's cells lie in the class's range.
    image : int
        Number of the picture among the patient's.
    seed : int

    Returns
    -------
    ndarray of shape (450, 450, 3), uint8
        RGB, black outside the cell.
    """
    origin = [seed, list(LOOKS).index(label), patient]
    of_patient, of_cell = np.random.default_rng(origin), np.random.default_rng([*origin, image])
    look = _vary(_vary(LOOKS[label], PATIENT_SPREAD, of_patient), CELL_SPREAD, of_cell)
    stain = {part: np.array(colour) * of_patient.normal(1, 0.04, 3) for part, colour in STAIN.items()}
    cell = _blob(look.radius, 0.10, of_cell)
    nucleus = _blob(look.radius * min(look.nucleus, 0.97), 0.10, of_cell) * cell
    picture = np.where(nucleus[..., None] > 0.5, stain["nucleus"], stain["cytoplasm"])
    picture *= _chromatin(look, nucleus, of_cell)[..., None]
    picture *= of_patient.normal(1, 0.05) * of_cell.normal(1, 0.05)  # depth of the stain
    picture = cv2.GaussianBlur(picture + of_cell.normal(0, 2, (SIZE, SIZE, 1)), (0, 0), 1.2)
    return (np.clip(picture, 1, 255) * (cell[..., None] > 0.5)).astype(np.uint8)


def _vary(look, spread, random):
    """Add normal variation to every number of a look."""
    values = {name: value + random.normal(0, 1) * getattr(spread, name) for name, value in vars(look).items()}
    lowest = {"radius": 55, "nucleus": 0.6, "grain": 4, "contrast": 0.02, "nucleoli": 0}
    return Look(**{name: max(value, lowest[name]) for name, value in values.items()})


def _blob(radius, irregularity, random):
    """A roundish filled outline, 0 outside and 1 inside: a circle with low harmonics added to its radius."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    outline = np.ones_like(angle)
    for harmonic in range(2, 9):
        outline += random.normal(0, irregularity / harmonic) * np.cos(harmonic * angle + random.uniform(0, 2 * np.pi))
    points = SIZE / 2 + radius * outline * np.stack([np.cos(angle), np.sin(angle)])
    mask = cv2.fillPoly(np.zeros((SIZE, SIZE), np.float32), [points.T.round().astype(np.int32)], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), 1.5)


def _chromatin(look, nucleus, random):
    """Relative brightness: clumps in the nucleus, a fainter grain elsewhere, and pale nucleoli."""
    clumps = sum(_noise(look.grain * scale, random) / scale**0.5 for scale in (0.5, 1, 2))
    brightness = 1 + clumps * look.contrast * np.where(nucleus > 0.5, 1.0, 0.4)
    for _ in range(random.poisson(look.nucleoli)):
        angle, distance = random.uniform(0, 2 * np.pi), random.uniform(0, 0.5) * look.radius
        centre = SIZE / 2 + distance * np.array([np.cos(angle), np.sin(angle)])
        spot = np.zeros((SIZE, SIZE), np.float32)
        cv2.circle(spot, centre.round().astype(int).tolist(), int(random.uniform(8, 15)), 1.0, -1)
        brightness += 0.2 * cv2.GaussianBlur(spot, (0, 0), 3)
    return brightness


def _noise(grain, random):
    """Smooth noise of unit spread whose lumps are about ``grain`` pixels wide."""
    points = max(4, round(SIZE / grain))
    coarse = random.normal(size=(points, points)).astype(np.float32)
    return cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
