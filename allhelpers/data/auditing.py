"""The audit: what in the data could make a network look better than it is.

Leaks (identical or nearly identical images, patients on both sides of a split) and shortcuts (the
size of the cell) are found before any network is trained. Identical images are found from the
manifest alone; near-duplicates and areas need the images.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from .._core.errors import listing
from .._core.files import write_json
from ..runs import Run
from . import manifest as manifests
from . import splitting
from .manifest import SPLITS
from .shortcuts import find_shortcuts, sentence_of_shortcuts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .loading import Cells

HASH_SIDE = 8  # a perceptual hash has 8 x 8 = 64 bits

# Two images are nearly identical up to this many different bits and this mean difference of values.
# Among 4,586 real cells at 160 pixels 142 pairs of one patient are so close, and none of two.
MOST_BITS = 4
MOST_GREY_VALUES = 3.0


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    counts : DataFrame
        Cells and patients per part, fold and class.
    identical : DataFrame
        Pairs of byte-identical files.
    folds : DataFrame
        For every two official folds: identical pairs, and patients involved.
    sides : DataFrame
        For every two sides of the split: patients and images in common.
    areas : DataFrame or None
        Area of each cell with its label, where the images are there.
    shortcuts : DataFrame or None
        AUROC of each nuisance alone, from `find_shortcuts`, where the images are there.
    near : DataFrame or None
        Pairs of nearly identical images, where the images are there.
    sentences : list of str
        One consequence each.

    Examples
    --------
    >>> audit(cells).sides[["side_1", "side_2", "pictures"]].values.tolist()
    [['train', 'valid', 0], ['train', 'test', 0], ['valid', 'test', 0]]
    """

    counts: pd.DataFrame
    identical: pd.DataFrame
    folds: pd.DataFrame
    sides: pd.DataFrame
    areas: pd.DataFrame | None = None
    near: pd.DataFrame | None = None
    shortcuts: pd.DataFrame | None = None
    sentences: list[str] = field(default_factory=list)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table that was made.

        Returns
        -------
        dict of str to DataFrame
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, pd.DataFrame)}


def audit(cells: Cells) -> Audit:
    """Audit the cells of a run, and the whole manifest that they come from.

    Parameters
    ----------
    cells : Cells

    Returns
    -------
    Audit

    Examples
    --------
    >>> audit(cells).sentences[0]
    'No two files are byte-identical.'
    """
    areas = cells.table[["file", "subject", "label"]].assign(area=cells.areas)
    found = find_shortcuts(cells)
    return _audit(cells.manifest, cells.table, areas, near_duplicates(cells), found)


def audit_manifest(table: pd.DataFrame) -> Audit:
    """Audit a manifest without its images, and the split in its column ``split``."""
    return _audit(table, table)


def _audit(
    manifest: pd.DataFrame,
    used: pd.DataFrame,
    areas: pd.DataFrame | None = None,
    near: pd.DataFrame | None = None,
    shortcuts: pd.DataFrame | None = None,
) -> Audit:
    identical, sides = identical_files(manifest), common_to_sides(used)
    sentences = [
        _sentence_of_identical(identical, manifest),
        _sentence_of_labels(identical),
        _sentence_of_sides(sides),
        _sentence_of_areas(areas),
        "" if shortcuts is None else sentence_of_shortcuts(shortcuts),
        _sentence_of_near(near),
    ]
    sentences = [sentence for sentence in sentences if sentence]
    counts, folds = count(manifest), across_folds(identical)
    return Audit(counts, identical, folds, sides, areas, near, shortcuts, sentences)


def record_audit(found: Audit, run_folder: str | Path) -> None:
    """Leave the audit's sentences in a run's folder, for the report.

    Parameters
    ----------
    found : Audit
    run_folder : str or Path

    Examples
    --------
    >>> record_audit(audit(cells), "first")
    >>> Path("first/audit.json").is_file()
    True
    """
    write_json(Run(run_folder).audit_path, {"sentences": found.sentences})


def count(table: pd.DataFrame) -> pd.DataFrame:
    """Cells and patients per part, fold and class."""
    groups = ["part", "fold", "label"]
    per_patient = table.groupby([*groups, "subject"]).size().rename("cells").reset_index()
    per_group = per_patient.groupby(groups)["cells"]
    return per_group.agg(cells="sum", patients="size", smallest="min", largest="max").reset_index()


def identical_files(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of byte-identical files, by their SHA-256."""
    twice = table[table["sha256"].duplicated(keep=False)].sort_values("file")
    pairs = [pair for _, rows in twice.groupby("sha256") for pair in combinations(rows.index, 2)]
    return _pairs(table, pairs)


def _pairs(table: pd.DataFrame, pairs: Sequence[tuple]) -> pd.DataFrame:
    """File, patient, fold and label of both rows of each pair."""
    columns = ["file", "subject", "fold", "label"]
    first, second = (
        table.loc[[pair[k] for pair in pairs], columns].reset_index(drop=True) for k in (0, 1)
    )
    return pd.concat([first.add_suffix("_1"), second.add_suffix("_2")], axis=1)


def across_folds(identical: pd.DataFrame) -> pd.DataFrame:
    """Count identical pairs within and across the official folds."""
    folds = np.sort(identical[["fold_1", "fold_2"]].to_numpy(str), axis=1).reshape(-1, 2)
    table = identical.assign(fold_1=folds[:, 0], fold_2=folds[:, 1])
    table = table.assign(two=table["subject_1"] != table["subject_2"])
    rows = [
        {
            "fold_1": fold_1,
            "fold_2": fold_2,
            "pairs": len(rows),
            "under_two_names": int(rows["two"].sum()),
            "patients": ", ".join(sorted({*rows["subject_1"], *rows["subject_2"]})),
        }
        for (fold_1, fold_2), rows in table.groupby(["fold_1", "fold_2"])
    ]
    return pd.DataFrame(rows, columns=["fold_1", "fold_2", "pairs", "under_two_names", "patients"])


def common_to_sides(table: pd.DataFrame) -> pd.DataFrame:
    """Patients and images that stand on two sides of the split, if there is one."""
    rows = []
    for side_1, side_2 in combinations(SPLITS, 2) if "split" in table else ():
        first, second = (table[table["split"] == side] for side in (side_1, side_2))
        patients = set(first["subject"]) & set(second["subject"])
        rows.append(
            {
                "side_1": side_1,
                "side_2": side_2,
                "patients": len(patients),
                "pictures": len(set(first["sha256"]) & set(second["sha256"])),
                "cells_2": int(second["subject"].isin(patients).sum()),
            }
        )
    return pd.DataFrame(rows)


def perceptual_hashes(pixels: np.ndarray) -> np.ndarray:
    """Hash each image so that images that look alike have hashes that differ in few bits."""
    bits = np.empty((len(pixels), HASH_SIDE**2), bool)
    for row, image in enumerate(pixels):
        grey = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        low = cv2.dct(small)[:HASH_SIDE, :HASH_SIDE].ravel()
        bits[row] = low > np.median(low)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def near_duplicates(cells: Cells, *, chunk: int = 512) -> pd.DataFrame:
    """Pairs of images that are not the same file and yet look the same.

    Candidates have perceptual hashes that differ in at most ``MOST_BITS`` bits; of these, pairs
    count whose values differ by at most ``MOST_GREY_VALUES`` on average over the pixels that are
    not black.

    ``chunk`` rows are compared with all others at a time.
    """
    hashes, digests = perceptual_hashes(cells.pixels), cells.table["sha256"].to_numpy()
    pairs = []
    for start in range(0, len(hashes), chunk):
        bits = np.bitwise_count(hashes[start : start + chunk, np.newaxis] ^ hashes[start:])
        for k, j in np.argwhere(bits <= MOST_BITS):
            first, second = start + k, start + j
            if first < second and digests[first] != digests[second]:
                apart = _grey_values_apart(cells.pixels[first], cells.pixels[second])
                if apart <= MOST_GREY_VALUES:
                    pairs.append((first, second, int(bits[k, j]), round(apart, 2)))
    table = _pairs(cells.table, pairs)
    return table.assign(bits=[pair[2] for pair in pairs], grey_values=[pair[3] for pair in pairs])


def _grey_values_apart(first: np.ndarray, second: np.ndarray) -> float:
    cell = (first | second).any(axis=-1)
    return float(np.abs(first[cell].astype(int) - second[cell]).mean()) if cell.any() else 0.0


def area_auroc(areas: pd.DataFrame, positive: str) -> float:
    """How well the area alone ranks the cells of a class above all others."""
    return float(roc_auc_score(areas["label"] == positive, areas["area"]))


def _sentence_of_identical(identical: pd.DataFrame, manifest: pd.DataFrame) -> str:
    if identical.empty:
        return "No two files are byte-identical."
    two_names = (identical["subject_1"] != identical["subject_2"]).sum()
    two_folds = (identical["fold_1"] != identical["fold_2"]).sum()
    return (
        f"{len(identical)} pairs of files are byte-identical, {two_names} of them under two "
        f"patient names and {two_folds} across two official folds: the official folds leak, and a "
        "patient's name does not make a patient. Patients who share a picture are kept together "
        f"in every split by patient: {_patients_with_one_image(manifest)}."
    )


def _patients_with_one_image(manifest: pd.DataFrame) -> str:
    groups = manifest["subject"].groupby(splitting.patient_groups(manifest)).unique()
    joined = [" with ".join(sorted(patients)) for patients in groups if len(patients) > 1]
    return listing(joined, len(joined)) or "none"


def _sentence_of_labels(identical: pd.DataFrame) -> str:
    contradictions = (identical["label_1"] != identical["label_2"]).sum()
    if not contradictions:
        return ""
    return f"{contradictions} identical pairs carry two labels: one of each pair is wrong."


def _sentence_of_sides(sides: pd.DataFrame) -> str:
    if sides.empty:
        return ""
    shared = sides[(sides["side_1"] == "train") & (sides["side_2"] == "test")].iloc[0]
    if shared["patients"]:
        return (
            f"{shared['patients']} patients stand on the training and the test side, with "
            f"{shared['cells_2']} of the test cells: a network can score by recognising them, so "
            "expect lower figures on new patients."
        )
    if shared["pictures"]:
        return f"{shared['pictures']} pictures stand on both the training and the test side."
    return "No patient and no picture stands on both the training and the test side."


def _sentence_of_areas(areas: pd.DataFrame | None) -> str:
    if areas is None:
        return ""
    if areas["area"].nunique() == 1:
        return "All pictures are filled to their borders: the area of the cell tells nothing."
    means = areas.groupby("label")["area"].mean()
    larger = str(means.idxmax())
    titles = {label: manifests.class_title(label, short=True) for label in means.index}
    listed = ", ".join(f"{titles[label]} {mean:,.0f}" for label, mean in means.items())
    return (
        f"The area of the cell alone ranks {titles[larger]} above other cells with AUROC "
        f"{area_auroc(areas, larger):.3f} (mean {listed} pixels): a network has to beat that, "
        "also on cells of equal size."
    )


def _sentence_of_near(near: pd.DataFrame | None) -> str:
    if near is None:
        return ""
    two_names = (near["subject_1"] != near["subject_2"]).sum()
    return (
        f"{len(near)} further pairs look the same without being the same file, {two_names} of them "
        "under two patient names."
    )
