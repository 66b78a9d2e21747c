"""Conclusions: each limit of a run is named when it holds, and only then."""

import itertools

import pandas as pd
import pytest

from allhelpers.data.own_cells import PATIENTS_UNKNOWN
from allhelpers.data.synthetic import SYNTHETIC_NOTE
from allhelpers.networks.pretrained import RANDOM_NOTE
from allhelpers.reporting import conclusions
from allhelpers.reporting.conclusions import OTHER_LABORATORIES


def manifest(patients=12, shared=False):
    """Two classes of as many test patients; other patients train, or the same."""
    keys = itertools.product(("train", "test"), "ab", range(patients))
    rows = [(split, f"{label}{k}{'' if shared else split}", label) for split, label, k in keys]
    table = pd.DataFrame(rows, columns=["split", "patient", "label"])
    return table.assign(file=[f"{place}.png" for place in table.index])


def said(cells, notes=(), methods=1):
    return conclusions.impossible(list(notes), cells, methods)


@pytest.mark.parametrize(
    ("limit", "given"),
    [
        ("drawn by a program", {"notes": [SYNTHETIC_NOTE]}),
        ("weights were random", {"notes": [RANDOM_NOTE]}),
        (
            "not known which images",
            {"notes": [f"{PATIENTS_UNKNOWN}: each picture counts"]},  # old name
        ),
        ("patients who also train", {"cells": manifest(shared=True)}),
        ("has 9 patients of a class", {"cells": manifest(patients=9)}),
        ("intervals over patients say nothing", {"cells": manifest(patients=1)}),
        ("best in general", {"methods": 2}),
    ],
)
def test_limit_is_named_when_it_holds_and_only_then(limit, given):
    assert limit in " ".join(said(**{"cells": manifest(), **given}))
    assert limit not in " ".join(said(manifest()))


def test_other_laboratories_are_never_covered():
    assert said(manifest()) == [OTHER_LABORATORIES]


def test_methods_that_the_cells_do_not_tell_apart_are_not_ranked():
    table = pd.DataFrame(
        {"method": ["mobilenet", "svm", "knn", "area"], "beats_area": [True, False, False, None]}
    )
    pairs = pd.DataFrame({"differ": [False]})
    assert conclusions.possible(table, pairs) == [
        "MobileNet ranks these test cells better than the area of the cell alone does.",
        "support vector machine and k-nearest neighbours are not shown to rank these test cells "
        "better than the area of the cell alone does.",
        "No two methods can be told apart by these test cells.",
    ]


@pytest.mark.parametrize(
    ("auroc", "beats", "words"),
    [
        (0.9, True, "MobileNet tells a from b better than the cell’s area alone does"),
        (0.9, False, "MobileNet is not shown to tell a from b better than the cell’s area"),
        (0.7, False, "MobileNet tells a from b no better than the cell’s area alone does"),
        (0.7, None, "MobileNet tells a from b no better than the cell’s area alone does"),
    ],
)
def test_answer_measures_by_the_ruler(auroc, beats, words):
    figures = {"auroc": [auroc, 0.8], "auroc_equal_size": [0.61, 0.5]}
    ends = {"auroc_equal_size_low": [0.52, None], "auroc_equal_size_high": [0.7, None]}
    methods = {"method": ["mobilenet", "area"], **figures, **ends, "beats_area": [beats, None]}
    said = conclusions.answer(pd.DataFrame(methods), manifest())
    assert words in said
    assert "On 24 cells of 24 new patients" in said
    assert "AUROC is 0.61 (95 % interval 0.52 to 0.70; 0.50 is guessing)" in said


def test_answer_names_the_method_that_is_best_at_equal_size_and_patients_who_train():
    methods = pd.DataFrame(
        {
            "method": ["mobilenet", "svm", "area"],
            "auroc": [0.9, 0.8, 0.85],
            "auroc_equal_size": [0.5, 0.6, 0.5],
            "beats_area": [False, False, None],
        }
    )
    said = conclusions.answer(methods, manifest(shared=True), [SYNTHETIC_NOTE])
    assert "support vector machine, the best of 2 methods, tells a from b no better" in said
    assert "some of whom also train" in said
    assert "drawn by a program" in said


def test_old_table_without_figures_at_equal_size_is_answered_too():
    methods = {"method": ["mobilenet", "area"], "auroc": [0.9, 0.8], "beats_area": [True, None]}
    assert "equal size is not known" in conclusions.answer(pd.DataFrame(methods), manifest())
