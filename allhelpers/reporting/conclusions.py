"""What can and what cannot be concluded from a run: one sentence for each fact that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._core.errors import counted
from ..data import splitting, tables
from ..data.manifest import class_title
from ..data.own_cells import PATIENTS_UNKNOWN
from ..data.synthetic import SYNTHETIC_NOTE
from ..evaluation.baselines import METHODS
from ..evaluation.words import joined, method_title
from ..networks.pretrained import RANDOM_NOTE
from .sentences import FEW_PATIENTS, verdict_of_pair

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER_LABORATORIES = (
    "Anything about cells of another laboratory, stain, microscope or way of cutting cells out: "
    "none was tested."
)


def answer(methods: pd.DataFrame, cells: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """What a run came to in one sentence: of several methods, the one best at equal size."""
    networks = methods[~methods["method"].isin(METHODS)]
    ranked = networks.get("auroc_equal_size", networks["auroc"]).fillna(networks["auroc"])
    if ranked.isna().all():
        return "The test cells are of one class, so that nothing can be said of telling them apart."
    best = networks.iloc[int(np.nanargmax(ranked.to_numpy(float)))].to_dict()
    name = method_title(best["method"])
    who = name if len(networks) == 1 else f"{name}, the best of {len(networks)} methods,"
    kinds = [class_title(label, short=True) for label in sorted(set(cells["label"]))]
    labels = " from ".join(kinds) if len(kinds) == 2 else f"{len(kinds)} classes apart"
    drawn = " Cells drawn by a program show that the software works, and no more."
    return (
        f"On {_tested(cells)}, {who} {_beside_area(best, methods, labels)}; "
        f"{_at_equal_size(best)}.{drawn if SYNTHETIC_NOTE in notes else ''}"
    )


def _tested(cells: pd.DataFrame) -> str:
    """How many test cells of how many patients, and whether these are new."""
    test = cells[cells["split"] == "test"]
    size = counted(len(test), "cell")
    if not tables.patients_known(cells):
        return f"{size} whose patients are unknown"
    patients = test["patient"].nunique()
    if splitting.shared_patients(cells):
        return f"{size} of {counted(patients, 'patient')}, some of whom also train"
    return f"{size} of {counted(patients, 'new patient')}"


def _at_equal_size(row: Mapping[Any, Any]) -> str:
    """The figure that size alone cannot give."""
    value, low, high = (row.get(f"auroc_equal_size{end}") for end in ("", "_low", "_high"))
    if pd.isna(value):
        return "what is left on cells of equal size is not known"
    interval = f"95 % interval {low:.2f} to {high:.2f}" if pd.notna(low) else "no interval"
    return f"on cells of equal size its AUROC is {value:.2f} ({interval}; 0.50 is guessing)"


def _beside_area(row: Mapping[Any, Any], methods: pd.DataFrame, labels: str) -> str:
    """The ruler: what the cell's area alone gives."""
    area = methods.loc[methods["method"] == "area", "auroc"].max()
    if pd.isna(area):
        return f"tells {labels} with an AUROC of {row['auroc']:.2f}"
    ruler = f"than the cell’s area alone does (AUROC {row['auroc']:.2f} against {area:.2f})"
    if row["beats_area"] in (True, "True"):
        return f"tells {labels} better {ruler}"
    if row["auroc"] > area:
        return f"is not shown to tell {labels} better {ruler}"
    return f"tells {labels} no better {ruler}"


def possible(methods: pd.DataFrame, pairs: pd.DataFrame, notes: Sequence[str] = ()) -> list[str]:
    """What the run shows, from methods.csv, pairs.csv and the run's notes."""
    if SYNTHETIC_NOTE in notes:
        return ["That the software runs from images to this report."]
    sentences = []
    verbs = {True: ("ranks", "rank"), False: ("is not shown to rank", "are not shown to rank")}
    for beats, (one, several) in verbs.items():
        beaten = methods.loc[methods["beats_area"].eq(beats), "method"]
        names = [method_title(name) for name in beaten]
        if names:
            verb = one if len(names) == 1 else several
            ruler = "better than the area of the cell alone does"
            sentences.append(f"{joined(names)} {verb} these test cells {ruler}.")
    if pairs.empty:
        return sentences
    differ = pairs[pairs["differ"]].to_dict("records")
    if not differ:
        return [*sentences, "No two methods can be told apart by these test cells."]
    return sentences + [f"{verdict_of_pair(row)} on these test cells." for row in differ]


def impossible(notes: Sequence[str], cells: pd.DataFrame, methods_compared: int) -> list[str]:
    """What the run does not show, whatever its figures, from its notes and its manifest.csv."""
    test = cells[cells["split"] == "test"]
    patients = test.groupby("label")["patient"].nunique().min()
    few = (
        f"{patients} patients of a class, and with fewer than {FEW_PATIENTS} even the intervals "
        "over patients are too narrow."
        if patients > 1
        else "one patient of a class, and the intervals over patients say nothing: that one is "
        "drawn each time."
    )
    unknown, random = (
        any(note.startswith(known) for note in notes) for known in (PATIENTS_UNKNOWN, RANDOM_NOTE)
    )
    new = "How good a network is on new patients:"
    limits = {
        "Anything about blood cells: these were drawn by a program. The run shows that the "
        "software works.": SYNTHETIC_NOTE in notes,
        "How good a network trained on ImageNet is: the weights were random at the start.": random,
        f"{new} it is not known which images belong to one patient.": unknown,
        f"{new} test cells come from patients who also train.": splitting.shared_patients(cells),
        f"How far off the figures may be on other patients: the test has {few}": (
            patients < FEW_PATIENTS and not unknown
        ),
        "Which network is best in general: the order of two with overlapping intervals may turn "
        "on other patients.": methods_compared > 1,
        OTHER_LABORATORIES: True,
    }
    return [sentence for sentence, holds in limits.items() if holds]
