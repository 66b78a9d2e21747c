"""What can and what cannot be concluded from a run: one sentence for each fact that decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..data import splitting
from ..data.own_cells import PATIENTS_UNKNOWN
from ..data.synthetic import SYNTHETIC_NOTE
from ..evaluation import words
from ..evaluation.words import FEW_PATIENTS
from ..networks.pretrained import RANDOM_NOTE

if TYPE_CHECKING:
    import pandas as pd

OTHER_LABORATORIES = "Anything about cells of another laboratory, stain, microscope or way of cutting cells out: none was tested."


def possible(table: pd.DataFrame, pairs: pd.DataFrame, notes: list[str] = ()) -> list[str]:
    """What the run shows.

    Parameters
    ----------
    table : DataFrame
        From `comparison.methods`.
    pairs : DataFrame
        From `comparison.pairs`.
    notes : list of str
        From `comparison.notes_of`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"method": ["svm", "area"], "beats_area": [True, None]})
    >>> possible(table, pairs=pd.DataFrame())
    ['support vector machine ranks these test cells better than the area of the cell alone does.']
    """
    if SYNTHETIC_NOTE in notes:
        return ["That the software runs from pictures to this report."]
    found = []
    for beats, verb in ((True, "ranks"), (False, "is not shown to rank")):
        names = [
            words.method_title(name) for name in table.loc[table["beats_area"].eq(beats), "method"]
        ]
        found += [
            f"{name} {verb} these test cells better than the area of the cell alone does."
            for name in names
        ]
    differ = pairs[pairs["differ"]] if len(pairs) else pairs
    if len(pairs) and differ.empty:
        found.append("No two methods can be told apart by these test cells.")
    return found + [f"{words.sentence_of_pair(row)}." for _, row in differ.iterrows()]


def impossible(notes: list[str], cells: pd.DataFrame, methods_compared: int) -> list[str]:
    """What the run does not show, whatever its figures.

    Parameters
    ----------
    notes : list of str
        From `comparison.notes_of`.
    cells : DataFrame
        The run's manifest.csv.
    methods_compared : int

    Returns
    -------
    list of str

    Examples
    --------
    >>> len(impossible([], table, methods_compared=2))
    4
    >>> impossible([], table, methods_compared=2)[0]
    'How good a network is on new patients: test cells come from patients who also train.'
    """
    test = cells[cells["split"] == "test"]
    patients = test.groupby("label")["subject"].nunique().min()
    few = (
        f"{patients} patients of a class, and with fewer than {FEW_PATIENTS} even the intervals over "
        "patients are too narrow."
        if patients > 1
        else "one patient of a class, and the intervals over patients say nothing: that one is drawn each time."
    )
    said = [
        (
            SYNTHETIC_NOTE in notes,
            "Anything about blood cells: these were drawn by a program. The run shows that the software works.",
        ),
        (
            any(note.startswith(RANDOM_NOTE) for note in notes),
            "How good a network trained on ImageNet is: the weights were random at the start.",
        ),
        (
            PATIENTS_UNKNOWN in notes,
            "How good a network is on new patients: it is not known which pictures belong to one patient.",
        ),
        (
            len(splitting.shared_patients(cells)) > 0,
            "How good a network is on new patients: test cells come from patients who also train.",
        ),
        (
            patients < FEW_PATIENTS,
            f"How far off the figures may be on other patients: the test has {few}",
        ),
        (
            methods_compared > 1,
            "Which network is best in general: the order of two with overlapping intervals may turn on other patients.",
        ),
        (True, OTHER_LABORATORIES),
    ]
    return [sentence for holds, sentence in said if holds]
