"""What tells the classes apart without being the cell: a network learns what is easiest.

Geirhos et al. 2020, "Shortcut learning in deep neural networks", Nat. Mach. Intell. 2:665.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from .._core.errors import listing
from .manifest import class_title
from .nuisances import FORMAT_NAMES, NAMES, NO_LOSS, TITLES
from .tables import scored

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
    folds = table["fold"] if "fold" in table else pd.Series("", index=table.index)
    sides, named = ("train", "test"), sorted(set(folds) - {""})
    groups = {
        (split, fold): ((table["split"] == split) & (folds.eq(fold) | (fold == ""))).to_numpy()
        for split, fold in [*product(sides, [""]), *product(sides, named)]
    }
    rows = []
    for name in [name for name in NAMES if measured[name].nunique() > 1]:
        for label in scored(cells.classes):
            truth, values = (table["label"] == label).to_numpy(), measured[name].to_numpy()
            sign = 1 if _auroc(truth, values, groups["train", ""]) >= 0.5 else -1
            for group, inside in groups.items():
                auroc = _auroc(truth, sign * values, inside)
                rows.append([name, label, *group, int(inside.sum()), auroc])
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
    strong, named = strong.reindex(columns=["train", "test"]), []
    for (nuisance, _), train, test in strong.itertuples():
        figures = f"AUROC {train:.2f} on training cells"
        figures += "" if np.isnan(test) else f", {test:.2f} on the test"
        named.append(f"{TITLES[nuisance]} ({figures})")
    end = (
        "the test does not share it, so that a network that learns it will fail there"
        if (strong["train"] - strong["test"] > APART).any()
        else "the test shares it, so that its figures cannot show who has learnt nothing else"
    )
    return (
        f"One number beside the cell itself tells the classes apart: {listing(named, 4)}; {end}. "
        "Read the figures at equal size, and see the settings balance and crop."
    )


def sentence_of_files(cells: Cells) -> str:
    """Name the classes whose files are of a kind that nearly none of the others' are."""
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
