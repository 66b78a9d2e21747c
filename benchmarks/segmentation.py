"""Score the way from a photograph to single cells on ../shared/smears.

python -m benchmarks.segmentation [--smears FOLDER] [--half odd|even|all]

Settings were chosen on images of even numbers; those of odd numbers are reported. A box is found
where it and a box of the answer overlap by half (intersection over union), each used once. Cells
that the border cuts, or that are left out for another reason, count as found: they are listed with
their boxes.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from allhelpers import segmentation

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "results" / "segmentation.csv"
LEAST_OVERLAP = 0.5
HALVES = {"even": (0,), "odd": (1,), "all": (0, 1)}


def overlaps(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Intersection over union of every found box with every true one."""
    low = np.maximum(found[:, None, :2], true[None, :, :2])
    high = np.minimum(found[:, None, 2:], true[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    sizes = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (found, true)]
    return both / (sizes[0][:, None] + sizes[1][None] - both)


def of_half(paths: list[Path], half: str) -> list[Path]:
    """Images whose number is even, odd or either."""
    number = {path: int("".join(filter(str.isdigit, path.stem))) for path in paths}
    return [path for path in paths if number[path] % 2 in HALVES[half]]


def score_fields(smears: Path, half: str) -> pd.DataFrame:
    """One row per field: boxes that are true, found, and matched, and the time it took."""
    boxes = pd.read_csv(smears / "boxes.csv")
    boxes = boxes[boxes["class"] == "WBC"]
    rows = []
    for path in of_half(sorted((smears / "fields").glob("*.jpg")), half):
        began = time.perf_counter()
        cells = segmentation.segment(segmentation.read_field(path)).cells
        seconds = time.perf_counter() - began
        true = boxes.loc[boxes["file"] == path.name, ["xmin", "ymin", "xmax", "ymax"]].to_numpy()
        table = overlaps(np.array([cell.box for cell in cells]).reshape(-1, 4), true)
        matched = table[linear_sum_assignment(table, maximize=True)]
        matched = matched[matched >= LEAST_OVERLAP]
        rows.append(
            {
                "true": len(true),
                "found": len(cells),
                "matched": len(matched),
                "overlap": matched.sum(),
                "seconds": seconds,
            }
        )
    return pd.DataFrame(rows)


def score_cells(folder: Path, half: str) -> pd.DataFrame:
    """One row per image of one cell: intersection over union of the cell and of its nucleus."""
    rows = []
    for path in of_half(sorted(folder.glob("*.webp")), half):
        mask = cv2.imread(str(path.with_name(f"{path.stem}_mask.png")), cv2.IMREAD_GRAYSCALE)
        true = {"mask": mask > 100, "nucleus": mask > 200}
        cells = segmentation.segment(segmentation.read_field(path)).cells
        scores = [{what: overlap(cell, what, true[what]) for what in true} for cell in cells]
        nothing = dict.fromkeys(true, 0.0)
        rows.append(max(scores, key=lambda score: score["mask"], default=nothing))
    return pd.DataFrame(rows)


def overlap(cell: segmentation.Cell, what: str, true: np.ndarray) -> float:
    """Intersection over union of one mask."""
    found = np.zeros(true.shape, bool)
    left, top, right, bottom = cell.box
    found[top:bottom, left:right] = getattr(cell, what)
    return float((found & true).sum() / (found | true).sum())


def dice(overlap: pd.Series) -> float:
    """Mean Dice from intersections over union, as others report it."""
    return float((2 * overlap / (1 + overlap)).mean())


def table_of(smears: Path, half: str) -> pd.DataFrame:
    """All scores, one row per set."""
    fields = score_fields(smears, half)
    sums = fields.sum()
    rows = [
        {
            "set": "fields",
            "half": half,
            "images": len(fields),
            "recall": sums["matched"] / sums["true"],
            "precision": sums["matched"] / sums["found"],
            "box_iou": sums["overlap"] / sums["matched"],
            "seconds": fields["seconds"].median(),
        }
    ]
    for name in ("cells_1", "cells_2"):
        scores = score_cells(smears / name, half)
        rows.append(
            {
                "set": name,
                "half": half,
                "images": len(scores),
                "cell_iou": scores["mask"].mean(),
                "nucleus_iou": scores["nucleus"].mean(),
                "cell_dice": dice(scores["mask"]),
                "nucleus_dice": dice(scores["nucleus"]),
                "cell_iou_5th_percentile": scores["mask"].quantile(0.05),
            }
        )
    return pd.DataFrame(rows).round(3)


def main(arguments: list[str] | None = None) -> int:
    """Score, print, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smears", type=Path, default=ROOT.parent / "shared" / "smears")
    parser.add_argument("--half", choices=HALVES, default="odd", help="default: odd")
    options = parser.parse_args(arguments)
    table = table_of(options.smears, options.half)
    print(table.to_string(index=False, na_rep=""))
    if options.half == "odd":
        RESULT.parent.mkdir(exist_ok=True)
        table.to_csv(RESULT, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
