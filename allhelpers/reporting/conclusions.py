"""What can and what cannot be concluded from a run: one sentence for each fact that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..data import splitting
from ..data.own_cells import PATIENTS_UNKNOWN
from ..data.synthetic import SYNTHETIC_NOTE
from ..evaluation import words
from ..evaluation.words import FEW_PATIENTS
from ..networks.pretrained import RANDOM_NOTE

if TYPE_CHECKING:
    import pandas as pd

OTHER_LABORATORIES = (
    "Anything about cells of another laboratory, stain, microscope or way of cutting cells out: "
    "none was tested."
)


def possible(methods: pd.DataFrame, pairs: pd.DataFrame, notes: Sequence[str] = ()) -> list[str]:
    """What the run shows, from methods.csv, pairs.csv and the run's notes."""
    if SYNTHETIC_NOTE in notes:
        return ["That the software runs from pictures to this report."]
    sentences = [
        f"{words.method_title(name)} {verb} these test cells better than the area of the cell "
        "alone does."
        for beats, verb in ((True, "ranks"), (False, "is not shown to rank"))
        for name in methods.loc[methods["beats_area"].eq(beats), "method"]
    ]
    if pairs.empty:
        return sentences
    differ = pairs[pairs["differ"]].to_dict("records")
    if not differ:
        return [*sentences, "No two methods can be told apart by these test cells."]
    return sentences + [f"{words.sentence_of_pair(row)}." for row in differ]


def impossible(notes: Sequence[str], cells: pd.DataFrame, methods_compared: int) -> list[str]:
    """What the run does not show, whatever its figures, from its notes and its manifest.csv."""
    test = cells[cells["split"] == "test"]
    patients = test.groupby("label")["subject"].nunique().min()
    few = (
        f"{patients} patients of a class, and with fewer than {FEW_PATIENTS} even the intervals "
        "over patients are too narrow."
        if patients > 1
        else "one patient of a class, and the intervals over patients say nothing: that one is "
        "drawn each time."
    )
    synthetic, unknown = SYNTHETIC_NOTE in notes, PATIENTS_UNKNOWN in notes
    random = any(note.startswith(RANDOM_NOTE) for note in notes)
    shared = len(splitting.shared_patients(cells)) > 0
    new = "How good a network is on new patients:"
    limits = [
        (
            synthetic,
            "Anything about blood cells: these were drawn by a program. "
            "The run shows that the software works.",
        ),
        (
            random,
            "How good a network trained on ImageNet is: the weights were random at the start.",
        ),
        (unknown, f"{new} it is not known which pictures belong to one patient."),
        (shared, f"{new} test cells come from patients who also train."),
        (
            patients < FEW_PATIENTS and not unknown,
            f"How far off the figures may be on other patients: the test has {few}",
        ),
        (
            methods_compared > 1,
            "Which network is best in general: the order of two with "
            "overlapping intervals may turn on other patients.",
        ),
        (True, OTHER_LABORATORIES),
    ]
    return [sentence for holds, sentence in limits if holds]
