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
    return pd.DataFrame(rows, columns=["split", "subject", "label"])


def said(cells, notes=(), methods=1):
    return conclusions.impossible(list(notes), cells, methods)


@pytest.mark.parametrize(
    ("limit", "given"),
    [
        ("drawn by a program", {"notes": [SYNTHETIC_NOTE]}),
        ("weights were random", {"notes": [RANDOM_NOTE]}),
        ("not known which pictures", {"notes": [PATIENTS_UNKNOWN]}),
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
        {"method": ["mobilenet", "svm", "area"], "beats_area": [True, False, None]}
    )
    pairs = pd.DataFrame({"differ": [False]})
    assert conclusions.possible(table, pairs) == [
        "MobileNet ranks these test cells better than the area of the cell alone does.",
        "support vector machine is not shown to rank these test cells better than the area of the "
        "cell alone does.",
        "No two methods can be told apart by these test cells.",
    ]
