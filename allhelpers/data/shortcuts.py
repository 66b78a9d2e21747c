"""The audit of shortcuts: what tells the classes apart without being the cell.

A network learns what is easiest. Where the classes differ in size, light or file, it can be right
for that reason alone, in every test that shares it, and fail on patients who do not (Geirhos et al.
2020, "Shortcut learning in deep neural networks", Nat. Mach. Intell. 2:665).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from .._core.errors import listing
from .manifest import class_title
from .nuisances import FORMAT_NAMES, NAMES, NO_LOSS, TITLES

if TYPE_CHECKING:
    from .loading import Cells

COLUMNS = ["nuisance", "label", "split", "fold", "cells", "auroc"]
STRONG = 0.7  # AUROC from which one number alone is called a shortcut
USUAL = 0.9  # share of a class's images from which they are said to be so
APART = 0.1  # between training and test: the test does not share the shortcut


def find_shortcuts(cells: Cells) -> pd.DataFrame:
    """How well each nuisance alone ranks a class above all others, by split and by fold."""
    measured, table = cells.nuisances, cells.table
    if measured.empty:
        return pd.DataFrame(columns=COLUMNS)
    labels = cells.classes[:1] if len(cells.classes) == 2 else cells.classes
    folds = table["fold"] if "fold" in table else pd.Series("", index=table.index)
    groups = [(split, "", table["split"] == split) for split in ("train", "test")]
    groups += [
        (split, fold, (table["split"] == split) & (folds == fold))
        for split in ("train", "test")
        for fold in sorted(set(folds) - {""})
    ]
    rows = []
    for name in [name for name in NAMES if measured[name].nunique() > 1]:
        for label in labels:
            truth, values = (table["label"] == label).to_numpy(), measured[name].to_numpy()
            sign = 1 if _auroc(truth, values, groups[0][2].to_numpy()) >= 0.5 else -1
            for split, fold, rows_in in groups:
                auroc = _auroc(truth, sign * values, rows_in.to_numpy())
                rows.append([name, label, split, fold, int(rows_in.sum()), auroc])
    return pd.DataFrame(rows, columns=COLUMNS).dropna(subset="auroc").reset_index(drop=True)


def _auroc(truth: np.ndarray, values: np.ndarray, rows: np.ndarray) -> float:
    some = truth[rows]
    return float(roc_auc_score(some, values[rows])) if 0 < some.sum() < len(some) else np.nan


def sentence_of_shortcuts(table: pd.DataFrame) -> str:
    """What a reader has to know of the strongest nuisances."""
    whole = table[table["fold"] == ""].pivot_table(
        index=["nuisance", "label"], columns="split", values="auroc", sort=False
    )
    if whole.empty or "train" not in whole:
        return ""
    strong = whole[whole["train"] >= STRONG].sort_values("train", ascending=False)
    if strong.empty:
        return (
            "No measured nuisance (size, light, colour, sharpness, place, file) tells the classes."
        )
    named, apart = [], False
    for nuisance, row in strong.reset_index("label", drop=True).iterrows():
        test = row.get("test", np.nan)
        apart |= bool(row["train"] - test > APART)
        figures = f"AUROC {row['train']:.2f} on training cells"
        figures += "" if np.isnan(test) else f", {test:.2f} on the test"
        named.append(f"{TITLES[str(nuisance)]} ({figures})")
    end = (
        "the test does not share it, so that a network that learns it will fail there"
        if apart
        else "the test shares it, so that its figures cannot show who has learnt nothing else"
    )
    return (
        f"One number beside the cell itself tells the classes apart: {listing(named, 4)}; {end}. "
        "Read the figures at equal size, and see the settings balance and crop."
    )


def sentence_of_files(cells: Cells) -> str:
    """Name the classes whose files are of a kind that the others' are not: the plainest shortcut.

    A kind is a size, format, JPEG quality or lack of colour that nearly all images of a class have
    and nearly none of the others.
    """
    if cells.nuisances.empty:
        return ""
    facts, labels = _facts(cells.nuisances), cells.table["label"].to_numpy()
    described = []
    for label in cells.classes:
        own, others = facts[labels == label], facts[labels != label]
        if own.empty or others.empty:
            continue
        usual = own.mode().iloc[0]
        telling = [
            str(usual[name])
            for name in facts
            if usual[name]  # files without loss have no quality
            and (own[name] == usual[name]).mean() >= USUAL
            and (others[name] == usual[name]).mean() <= 1 - USUAL
        ]
        if telling:
            described.append(f"{class_title(label, short=True)}: {', '.join(telling)}")
    if not described:
        return ""
    return (
        f"The files alone tell the classes ({'; '.join(described)}; nearly all images of the class "
        "and nearly none of the others): a network will find that first, so bring all classes from "
        "one source, in one size, format and colour."
    )


def _facts(measured: pd.DataFrame) -> pd.DataFrame:
    """What a file is, in words."""
    size = measured[["width", "height"]].astype(int).astype(str).agg(" x ".join, axis=1)
    wide = (measured["aspect"].round(1) != 1).map({True: "not square", False: "square"})
    colour = measured["colour"].map({0: "without colour"}).fillna("in colour")
    form = measured["format"].map(lambda place: FORMAT_NAMES[int(place)])
    quality = measured["quality"].map(
        lambda value: "" if value == NO_LOSS else f"saved at quality {int(value)}"
    )
    facts = {"size": size, "aspect": wide, "colour": colour, "format": form, "quality": quality}
    return pd.DataFrame(facts).reset_index(drop=True)
