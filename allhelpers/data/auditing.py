"""The audit: what in the data could make a network look better than it is.

Identical images are found from the manifest alone; near-duplicates and shortcuts need the images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from .._core.errors import counted, listing
from .._core.files import write_json
from ..runs import Run
from . import splitting, tables
from .manifest import SPLITS, class_title
from .orientations import ORIENTATIONS, orient
from .shortcuts import find_shortcuts, sentence_of_files, sentence_of_shortcuts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .loading import Cells

HASH_SIDE = 8  # a perceptual hash has 8 x 8 = 64 bits

# Two images are nearly identical up to this many different bits and this mean difference of values.
# Among 4,586 real cells at 160 pixels 142 pairs of one patient are so close, and none of two.
MOST_BITS = 4
MOST_GREY_VALUES = 3.0
THUMBNAIL = 32  # tiles of a side, by which most candidates are told apart without their pixels
AT_ONCE = 1024  # pairs
HALF_PRECISION = 0.13  # what rounding to half precision can add to a difference of values
COUNTER = re.compile(r"[^\W\d]*[\W_]*\d{1,3}")  # 1, 07, PT3, patient 12: numbers, not names
NOBODY = {"nan", "none", "null", "na", "n/a", "<na>", "unknown", "unbekannt", "?", "-", "0.0"}
FEW_TESTED = 3  # patients of a class in the test: with fewer one patient decides
MOST_FOLDS = 5


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
    splits : DataFrame
        For every two splits: patients and images in common.
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
    >>> audit(cells).splits[["split_1", "split_2", "images"]].values.tolist()
    [['train', 'val', 0], ['train', 'test', 0], ['val', 'test', 0]]
    """

    counts: pd.DataFrame
    identical: pd.DataFrame
    folds: pd.DataFrame
    splits: pd.DataFrame
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
        return {name: value for name in TABLES if (value := getattr(self, name)) is not None}


TABLES = tuple(each.name for each in fields(Audit) if each.name != "sentences")


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
    found = audit_manifest(cells.manifest, cells.table)
    areas = cells.table[["file", "patient", "label"]].assign(area=cells.areas)
    near, shortcuts = near_duplicates(cells), find_shortcuts(cells)
    more = [
        _sentence_of_areas(areas),
        sentence_of_shortcuts(shortcuts),
        _sentence_of_near(near, cells.table, tables.patients_known(cells.manifest)),
        sentence_of_files(cells),
    ]
    sentences = found.sentences + [sentence for sentence in more if sentence]
    return replace(found, areas=areas, near=near, shortcuts=shortcuts, sentences=sentences)


def audit_manifest(manifest: pd.DataFrame, used: pd.DataFrame | None = None) -> Audit:
    """Audit a manifest without its images, and the split in its (or another's) column ``split``."""
    used = manifest if used is None else used
    identical, splits = identical_files(manifest), common_to_splits(used)
    known = tables.patients_known(manifest)
    sentences = [
        _sentence_of_identical(identical, manifest, known),
        _sentence_of_labels(identical),
        _sentence_of_splits(splits, known),
        _sentence_of_nobody(manifest) if known else "",
        _sentence_of_numbers(manifest) if known else "",
        _sentence_of_spellings(manifest) if known else "",
        _sentence_of_few(manifest, used) if known else "",
    ]
    sentences = [sentence for sentence in sentences if sentence]
    folds = across_folds(identical)
    return Audit(count(manifest), identical, folds, splits, sentences=sentences)


def record_audit(found: Audit, run_folder: str | Path) -> None:
    """Leave the audit's sentences, and like images with two labels, in a run's folder.

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
    pairs = pd.concat([found.identical, found.near]) if found.near is not None else found.identical
    pairs = pairs.loc[pairs["label_1"] != pairs["label_2"], ["file_1", "file_2"]]
    facts = {"sentences": found.sentences, "two_labels": pairs.to_numpy().tolist()}
    write_json(Run(run_folder).audit_path, facts)


def count(table: pd.DataFrame) -> pd.DataFrame:
    """Cells, and patients where they are known, per part, fold and class."""
    groups = ["part", "fold", "label"]
    per_group = table.groupby([*groups, "patient"]).size().groupby(groups)
    counts = per_group.agg(cells="sum", patients="size", smallest="min", largest="max")
    return (counts if tables.patients_known(table) else counts[["cells"]]).reset_index()


def identical_files(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of byte-identical files, by their SHA-256."""
    twice = table[table["sha256"].duplicated(keep=False)].sort_values("file")
    pairs = [pair for _, rows in twice.groupby("sha256") for pair in combinations(rows.index, 2)]
    return _pairs(table, pairs)


def _pairs(table: pd.DataFrame, pairs: Sequence[tuple]) -> pd.DataFrame:
    """File, patient, fold and label of both rows of each pair."""
    columns = ["file", "patient", "fold", "label"]
    first, second = (
        table.loc[[pair[k] for pair in pairs], columns].reset_index(drop=True) for k in (0, 1)
    )
    return pd.concat([first.add_suffix("_1"), second.add_suffix("_2")], axis=1)


def across_folds(identical: pd.DataFrame) -> pd.DataFrame:
    """Count identical pairs within and across the official folds."""
    folds = np.sort(identical[["fold_1", "fold_2"]].to_numpy(str), axis=1).reshape(-1, 2)
    table = identical.assign(fold_1=folds[:, 0], fold_2=folds[:, 1])
    rows = [
        [
            *both,
            len(rows),
            int((rows["patient_1"] != rows["patient_2"]).sum()),
            ", ".join(sorted({*rows["patient_1"], *rows["patient_2"]})),
        ]
        for both, rows in table.groupby(["fold_1", "fold_2"])
        if any(both)  # own cells have none
    ]
    return pd.DataFrame(rows, columns=["fold_1", "fold_2", "pairs", "under_two_names", "patients"])


def common_to_splits(table: pd.DataFrame) -> pd.DataFrame:
    """Patients and images that are in two splits, if there is one."""
    rows, known = [], tables.patients_known(table)
    for split_1, split_2 in combinations(SPLITS, 2) if "split" in table else ():
        first, second = (table[table["split"] == split] for split in (split_1, split_2))
        patients = set(first["patient"]) & set(second["patient"])
        shared = {"patients": len(patients)} if known else {}
        rows.append(
            {
                "split_1": split_1,
                "split_2": split_2,
                **shared,
                "images": len(set(first["sha256"]) & set(second["sha256"])),
                "cells_2": int(second["patient"].isin(patients).sum()),
            }
        )
    return pd.DataFrame(rows)


def perceptual_hashes(pixels: np.ndarray) -> np.ndarray:
    """Hash images, of shape (orientations, images): of those that look alike few bits differ."""
    signs = (-1.0) ** np.arange(HASH_SIDE)
    across, down = signs[np.newaxis, :], signs[:, np.newaxis]
    bits = np.empty((ORIENTATIONS, len(pixels), HASH_SIDE**2), bool)
    for row, image in enumerate(pixels):
        grey = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        low = cv2.dct(small)[:HASH_SIDE, :HASH_SIDE]
        # As `orient`: quarter turns against the clock, then a reflection left to right. They
        # transpose coefficients and change the signs of some: each image is transformed once.
        turned = [low, low.T * down, low * across * down, low.T * across]
        each = np.stack([*turned, *(one * across for one in turned)]).reshape(ORIENTATIONS, -1)
        bits[:, row] = each > np.median(each, axis=1, keepdims=True)
    return np.packbits(bits, axis=-1).view(np.uint64)[..., 0]


def near_duplicates(cells: Cells, *, chunk: int = 512) -> pd.DataFrame:
    """Pairs of images that are not the same file and yet look the same, also turned or mirrored."""
    pixels, digests = cells.pixels, cells.table["sha256"].to_numpy()
    hashes, small = perceptual_hashes(pixels), _thumbnails(pixels)
    pairs: dict[tuple[int, int], tuple[int, float, int]] = {}
    for start in range(0, hashes.shape[1], chunk):
        for turn in range(ORIENTATIONS):
            some = hashes[turn, start : start + chunk, np.newaxis]
            bits = np.bitwise_count(some ^ hashes[0, start:])
            first, second = np.argwhere(bits <= MOST_BITS).T
            unlike = (first < second) & (digests[start + first] != digests[start + second])
            for k, j in _perhaps_near(small, start + first[unlike], start + second[unlike], turn):
                apart = _grey_values_apart(orient(pixels[k : k + 1], turn)[0], pixels[j])
                if apart <= min(MOST_GREY_VALUES, pairs.get((k, j), (0, np.inf, 0))[1]):
                    pairs[k, j] = (int(bits[k - start, j - start]), round(apart, 2), turn)
    found = sorted(pairs)
    columns = {"bits": int, "grey_values": float, "orientation": int}
    measured = pd.DataFrame([pairs[pair] for pair in found], columns=[*columns]).astype(columns)
    return pd.concat([_pairs(cells.table, found), measured], axis=1)


def _thumbnails(pixels: np.ndarray) -> np.ndarray:
    """Mean colour and share of the cell in each tile, shape (images, tiles, tiles, 4)."""
    side = min(THUMBNAIL, pixels.shape[1])
    small = np.empty((len(pixels), side, side, 4), np.float16)
    for row, image in enumerate(pixels):
        seen = np.dstack([image, 255 * _of_cell(image)]).astype(np.float32)
        small[row] = cv2.resize(seen, (side, side), interpolation=cv2.INTER_AREA)
    return small


def _perhaps_near(
    small: np.ndarray, first: np.ndarray, second: np.ndarray, turn: int
) -> Iterator[tuple[int, int]]:
    """Pairs whose thumbnails allow that they are near: tiles' means differ less than pixels do."""
    for start in range(0, len(first), AT_ONCE):
        some, others = first[start : start + AT_ONCE], second[start : start + AT_ONCE]
        turned, seen = (np.asarray(one, np.float32) for one in (small[some], small[others]))
        turned = orient(turned, turn)
        apart = np.abs(turned[..., :3] - seen[..., :3]).mean(axis=(1, 2, 3))
        most_cell = np.minimum(255, turned[..., 3] + seen[..., 3]).mean(axis=(1, 2)) / 255
        allowed = apart - HALF_PRECISION <= MOST_GREY_VALUES * most_cell
        yield from zip(some[allowed].tolist(), others[allowed].tolist(), strict=True)


def _of_cell(image: np.ndarray) -> np.ndarray:
    """Pixels that are not black."""
    return (image[..., 0] | image[..., 1] | image[..., 2]) > 0


def _grey_values_apart(first: np.ndarray, second: np.ndarray) -> float:
    cell = int(np.count_nonzero(_of_cell(first | second)))
    return cv2.norm(first, second, cv2.NORM_L1) / (3 * cell) if cell else 0.0


def area_auroc(areas: pd.DataFrame, positive: str) -> float:
    """How well the area alone ranks the cells of a class above all others."""
    return float(roc_auc_score(areas["label"] == positive, areas["area"]))


def _sentence_of_identical(identical: pd.DataFrame, manifest: pd.DataFrame, known: bool) -> str:
    if identical.empty:
        return "No two files are byte-identical."
    pairs = counted(len(identical), "pair") + " of files " + _are(len(identical))
    two_folds = int((identical["fold_1"] != identical["fold_2"]).sum())
    two_names = int((identical["patient_1"] != identical["patient_2"]).sum())
    if not known:
        twins = identical["file_1"] + " and " + identical["file_2"]
        return f"{pairs} byte-identical: {listing(twins)}. By patient they are kept in one split."
    across = f" and {two_folds} across two official folds" if manifest["fold"].any() else ""
    leak = "the official folds leak, and " if two_folds else ""
    sentence = f"{pairs} byte-identical, {two_names} of them under two patient names{across}"
    if not two_names:
        return f"{sentence}."
    groups = manifest["patient"].groupby(splitting.patient_groups(manifest)).unique()
    joined = [" with ".join(sorted(patients)) for patients in groups if len(patients) > 1]
    return (
        f"{sentence}: {leak}a patient's name does not make a patient. Patients who share an image "
        f"are kept together in every split by patient: {', '.join(joined)}."
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _sentence_of_labels(identical: pd.DataFrame) -> str:
    contradictions = (identical["label_1"] != identical["label_2"]).sum()
    if not contradictions:
        return ""
    return f"{contradictions} identical pairs carry two labels: one of each pair is wrong."


def _sentence_of_splits(splits: pd.DataFrame, known: bool) -> str:
    if splits.empty:
        return ""
    shared = splits[(splits["split_1"] == "train") & (splits["split_2"] == "test")].iloc[0]
    if known and shared["patients"]:
        return (
            f"{counted(shared['patients'], 'patient')} {_are(shared['patients'])} in the "
            f"training and the test split, with {shared['cells_2']} of the test cells: a network "
            "can score by recognising them, so expect lower figures on new patients."
        )
    if shared["images"]:
        return (
            f"{counted(shared['images'], 'image')} {_are(shared['images'])} in both the "
            "training and the test split: what is tested there has been learnt by heart."
        )
    if not known:
        return (
            "No image (identical file) is in both the training and the test split; whether "
            "cells of one patient do is not known, as no patients are given."
        )
    return "No patient and no image is in both the training and the test split."


def _sentence_of_numbers(manifest: pd.DataFrame) -> str:
    """Ask about patients who may be counted anew in each class: 1 to 6 here, 1 to 6 there."""
    names = manifest.groupby("label")["patient"].agg(set)
    shared = {a for one, two in combinations(names, 2) for a in one & two if COUNTER.fullmatch(a)}
    if len(shared) < 2 or len(shared) < min(map(len, names)) / 2:
        return ""
    order = sorted(shared, key=lambda name: (len(name), name))
    return (
        f"{counted(len(shared), 'patient')} ({order[0]} to {order[-1]}) have cells of several "
        "classes under numbers that each class may count anew: if they are other people, name them "
        "so (blast-1, healthy-1)."
    )


def _sentence_of_nobody(manifest: pd.DataFrame) -> str:
    """Ask about patients whose name means that there is none: all their cells count as one's."""
    cells = manifest["patient"].value_counts()
    nobody = [name for name in cells.index if name.casefold() in NOBODY and cells[name] > 1]
    if not nobody:
        return ""
    return (
        f"{counted(int(cells[nobody].sum()), 'cell')} are of a patient called "
        f"{listing(map(repr, nobody))}, who counts as one: if that means unknown, give each such "
        "cell a name of its own, or all cells none."
    )


def _sentence_of_spellings(manifest: pd.DataFrame) -> str:
    """Ask about patients whose numbers a spreadsheet may have written in two ways: 007 and 7."""
    numbers = {n: int(n) for n in manifest["patient"].unique() if re.fullmatch(r"[0-9]{1,18}", n)}
    same = pd.Series(numbers.keys(), dtype=str).groupby(list(numbers.values())).unique()
    twins = [" and ".join(sorted(names)) for names in same if len(names) > 1]
    if not twins:
        return ""
    return f"Patients of one number count as two each ({listing(twins, 3)}): are they?"


def _sentence_of_few(manifest: pd.DataFrame, used: pd.DataFrame) -> str:
    """Where a test has few patients: how to test on all of them."""
    if "split" not in used:
        return ""
    tested = used[used["split"] == "test"].groupby("label")["patient"].nunique()
    groups = splitting.patient_groups(manifest)
    there = groups[manifest["part"] == "training"].groupby(manifest["label"]).nunique()
    folds = min(int(there.min()), MOST_FOLDS) if len(there) else 0
    if tested.empty or tested.min() >= FEW_TESTED or folds < splitting.LEAST_PATIENTS:
        return ""
    each = ",".join(f"patient:{number}/{folds}" for number in range(1, folds + 1))
    return (
        f"The test has {counted(int(tested.min()), 'patient')} of {tested.idxmin()}: "
        f"cross-validation tests every patient once (allhelpers run --split {each}, then "
        "allhelpers summary)."
    )


def _sentence_of_areas(areas: pd.DataFrame) -> str:
    if areas["area"].nunique() == 1:
        return "All images are filled to their borders: the area of the cell tells nothing."
    means = areas.groupby("label")["area"].mean()
    larger = str(means.idxmax())
    titles = {label: class_title(label, short=True) for label in means.index}
    listed = ", ".join(f"{titles[label]} {mean:,.0f}" for label, mean in means.items())
    return (
        f"The area of the cell alone ranks {titles[larger]} above other cells with AUROC "
        f"{area_auroc(areas, larger):.3f} (mean {listed} pixels): a network has to beat that, "
        "also on cells of equal size."
    )


def _sentence_of_near(near: pd.DataFrame, used: pd.DataFrame, known: bool) -> str:
    # What is tested in one split was shown before in another.
    side = dict(zip(used["file"], used["split"], strict=True)) if "split" in used else {}
    two_sides = sum(side.get(a) != side.get(b) for a, b in near[["file_1", "file_2"]].to_numpy())
    across = f", and {two_sides:,} in two splits" if two_sides else ""
    two_names = int((near["patient_1"] != near["patient_2"]).sum())
    turned = int((near["orientation"] > 0).sum())
    look = "pair looks" if len(near) == 1 else "pairs look"
    sentence = f"{len(near):,} further {look} the same without being the same file"
    sentence += f", {turned} of them turned or mirrored" if turned else ""
    if known:
        return f"{sentence}, {two_names} of them under two patient names{across}."
    named = listing((near["file_1"] + " and " + near["file_2"]).tolist(), 3)
    remedy = f" ({named}){across}: give copies one patient" if len(near) else ""
    return f"{sentence}{remedy}."
