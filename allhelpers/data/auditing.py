"""The audit: what in the data could make a network look better than it is.

Leaks (identical or nearly identical pictures, patients on both sides of a split) and shortcuts (the size of the cell)
are found before any network is trained. Identical pictures are found from the manifest alone; near-duplicates and
areas need the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from .._core.errors import listing
from .._core.files import write_json
from ..runs import folder
from . import images, splitting
from . import manifest as manifests

if TYPE_CHECKING:
    from .loading import Cells

HASH_SIDE = 8  # a perceptual hash has 8 x 8 = 64 bits

# Two pictures are called nearly identical up to this many different bits and this mean difference of colour values.
# Among 4,586 real cells at 160 pixels 142 pairs of one patient are so close, and none of two patients.
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
        For every two sides of the split: patients and pictures in common.
    areas : DataFrame or None
        Area of each cell with its label, where the pictures are there.
    near : DataFrame or None
        Pairs of nearly identical pictures, where the pictures are there.
    sentences : list of str
        One consequence each.
    """

    counts: pd.DataFrame
    identical: pd.DataFrame
    folds: pd.DataFrame
    sides: pd.DataFrame
    areas: pd.DataFrame = None
    near: pd.DataFrame = None
    sentences: list = field(default_factory=list)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table that was made.

        Returns
        -------
        dict of str to DataFrame
        """
        found = {
            name: getattr(self, name)
            for name in ("counts", "identical", "folds", "sides", "areas", "near")
        }
        return {name: table for name, table in found.items() if table is not None}


def audit(table: pd.DataFrame, cells: Cells | None = None) -> Audit:
    """Audit a manifest, and the pictures where they are there.

    Parameters
    ----------
    table : DataFrame
        A manifest, whole; with a column ``split`` if a split is to be audited.
    cells : loading.Cells, optional
        The cells in use.

    Returns
    -------
    Audit

    Examples
    --------
    >>> audit(table, cells).sentences[0]
    'No two files are byte-identical.'
    """
    identical = identical_files(table)
    split = cells.table if cells else table
    sides = common_to_sides(split) if "split" in split else pd.DataFrame()
    areas = near = None
    if cells:
        areas = cells.table[["file", "subject", "label"]].assign(area=images.areas(cells.pixels))
        near = near_duplicates(cells)
    found = Audit(count(table), identical, across_folds(identical), sides, areas, near)
    found.sentences.extend(_sentences(found, table))
    return found


def record_audit(found: Audit, run_folder: str | Path) -> None:
    """Leave the audit's sentences in a run's folder, for the report.

    Parameters
    ----------
    found : Audit
    run_folder : str or Path

    Examples
    --------
    >>> record_audit(audit(table), "first")
    >>> read_json("first/audit.json")["sentences"][0]
    'No two files are byte-identical.'
    """
    write_json(folder(run_folder) / "audit.json", {"sentences": found.sentences})


def count(table: pd.DataFrame) -> pd.DataFrame:
    """Cells and patients per part, fold and class."""
    per_patient = (
        table.groupby(["part", "fold", "label", "subject"]).size().rename("cells").reset_index()
    )
    grouped = per_patient.groupby(["part", "fold", "label"])["cells"]
    return grouped.agg(cells="sum", patients="size", smallest="min", largest="max").reset_index()


def identical_files(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of byte-identical files, by their SHA-256."""
    twice = table[table["sha256"].duplicated(keep=False)].sort_values("file")
    pairs = [pair for _, rows in twice.groupby("sha256") for pair in combinations(rows.index, 2)]
    return _pairs(table, pairs)


def _pairs(table: pd.DataFrame, pairs: pd.DataFrame) -> Any:
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
            "fold_1": one,
            "fold_2": two,
            "pairs": len(rows),
            "under_two_names": int(rows["two"].sum()),
            "patients": ", ".join(sorted({*rows["subject_1"], *rows["subject_2"]})),
        }
        for (one, two), rows in table.groupby(["fold_1", "fold_2"])
    ]
    return pd.DataFrame(rows, columns=["fold_1", "fold_2", "pairs", "under_two_names", "patients"])


def common_to_sides(table: pd.DataFrame) -> pd.DataFrame:
    """Patients and pictures that stand on two sides of the split."""
    rows = []
    for one, two in (("train", "valid"), ("train", "test"), ("valid", "test")):
        first, second = (table[table["split"] == side] for side in (one, two))
        shared = {
            column: set(first[column]) & set(second[column]) for column in ("subject", "sha256")
        }
        rows.append(
            {
                "side_1": one,
                "side_2": two,
                "patients": len(shared["subject"]),
                "pictures": len(shared["sha256"]),
                "cells_2": int(second["subject"].isin(shared["subject"]).sum()),
            }
        )
    return pd.DataFrame(rows)


def perceptual_hashes(pixels: np.ndarray) -> np.ndarray:
    """Hash each picture so that pictures that look alike have hashes that differ in few bits."""
    bits = np.empty((len(pixels), HASH_SIDE**2), bool)
    for row, picture in enumerate(pixels):
        grey = cv2.resize(
            cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2GRAY),
            (32, 32),
            interpolation=cv2.INTER_AREA,
        )
        low = cv2.dct(grey.astype(np.float32))[:HASH_SIDE, :HASH_SIDE].ravel()
        bits[row] = low > np.median(low)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def near_duplicates(cells: Cells, chunk: int = 512) -> pd.DataFrame:
    """Pairs of pictures that are not the same file and yet look the same.

    Candidates have perceptual hashes that differ in at most ``MOST_BITS`` bits; of these, pairs count whose grey
    values differ by at most ``MOST_GREY_VALUES`` on average over the pixels that are not black.

    Parameters
    ----------
    cells : loading.Cells
    chunk : int
        Rows that are compared with all others at a time.

    Returns
    -------
    DataFrame
        As `identical_files`, with bits and grey_values.

    Examples
    --------
    >>> from dataclasses import replace
    >>> pixels = np.array(cells.pixels)
    >>> pixels[1] = pixels[0]  # as if it were saved twice, in files that differ
    >>> near_duplicates(replace(cells, pixels=pixels))[["bits", "grey_values"]].values.tolist()
    [[0.0, 0.0]]
    """
    hashes, digests = perceptual_hashes(cells.pixels), cells.table["sha256"].to_numpy()
    pairs = []
    for start in range(0, len(hashes), chunk):
        bits = np.bitwise_count(
            hashes[start : start + chunk, np.newaxis] ^ hashes[np.newaxis, start:]
        )
        for k, j in np.argwhere(bits <= MOST_BITS):
            one, two = start + k, start + j
            if one < two and digests[one] != digests[two]:
                pairs.append(
                    (
                        one,
                        two,
                        int(bits[k, j]),
                        _grey_values_apart(cells.pixels[one], cells.pixels[two]),
                    )
                )
    pairs = [pair for pair in pairs if pair[3] <= MOST_GREY_VALUES]
    table = _pairs(cells.table, pairs)
    return table.assign(
        bits=[pair[2] for pair in pairs], grey_values=[round(pair[3], 2) for pair in pairs]
    )


def _grey_values_apart(one: pd.DataFrame, two: pd.DataFrame) -> Any:
    cell = (one | two).any(axis=-1)
    return float(np.abs(one[cell].astype(int) - two[cell]).mean()) if cell.any() else 0.0


def area_auroc(areas: pd.DataFrame, positive: str) -> float:
    """How well the area alone ranks the cells of a class above all others."""
    return float(roc_auc_score(areas["label"] == positive, areas["area"]))


def _sentences(found: Any, table: pd.DataFrame) -> Any:
    identical, sentences = found.identical, []
    two_names = int((identical["subject_1"] != identical["subject_2"]).sum())
    across = int((identical["fold_1"] != identical["fold_2"]).sum())
    if len(identical):
        sentences.append(
            f"{len(identical)} pairs of files are byte-identical, {two_names} of them under two patient names and "
            f"{across} across two official folds: the official folds leak, and a patient's name does not make a "
            f"patient. Patients who share a picture are kept together in every split by patient: {_groups(table)}."
        )
    else:
        sentences.append("No two files are byte-identical.")
    other_label = identical[identical["label_1"] != identical["label_2"]]
    if len(other_label):
        sentences.append(
            f"{len(other_label)} identical pairs carry two labels: one of each pair is wrong."
        )
    if len(found.sides):
        row = found.sides.set_index(["side_1", "side_2"]).loc[("train", "test")]
        sentences.append(
            f"{row['patients']} patients stand on the training and the test side, with {row['cells_2']} of the test "
            "cells: a network can score by recognising them, so expect lower figures on new patients."
            if row["patients"]
            else "No patient and no picture stands on both the training and the test side."
            if not row["pictures"]
            else f"{row['pictures']} pictures stand on both the training and the test side."
        )
    if found.areas is not None:
        means = found.areas.groupby("label")["area"].mean()
        larger = means.idxmax()
        sentences.append(
            f"The area of the cell alone ranks {manifests.class_title(larger, short=True)} above other cells with AUROC "
            f"{area_auroc(found.areas, larger):.3f} (mean "
            + ", ".join(
                f"{manifests.class_title(label, short=True)} {means[label]:,.0f}"
                for label in manifests.classes(found.areas)
            )
            + " pixels): a network has to beat that, and changing the size of cells in training would destroy a cue."
            if found.areas["area"].nunique() > 1
            else "All pictures are filled to their borders: the area of the cell tells nothing."
        )
        crossing = found.near[found.near["subject_1"] != found.near["subject_2"]]
        sentences.append(
            f"{len(found.near)} further pairs look the same without being the same file, {len(crossing)} of them under "
            "two patient names."
        )
    return sentences


def _groups(table: pd.DataFrame) -> Any:
    groups = splitting.patient_groups(table)
    members = table["subject"].groupby(groups).unique()
    joined = [" with ".join(sorted(names)) for names in members if len(names) > 1]
    return listing(joined, len(joined)) or "none"
