"""Figures and what they cost: a sentence where one cannot be drawn, and no result."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from allhelpers import InputError, plotting
from allhelpers.plotting import fonts
from allhelpers.runs import Result
from tests.helpers import ten_cells

NAMES = ("_hidden", r"$\a_{01}$", "%s {x}", "原始细胞")


def renamed(table, name):
    """The ten cells with a class and a patient of that name."""
    labels = table["label"].replace({"all": name})
    table = table.assign(label=labels, patient=table["patient"].replace({"1": name}))
    return table.rename(columns={"p_all": f"p_{name}"})


def draws(table):
    test = table[table["split"] == "test"]
    yield lambda: plotting.results.confusion_matrix(test, "x")
    yield lambda: plotting.results.ranking_curves(test, "x")
    yield lambda: plotting.results.reliability(test, "x")
    yield lambda: plotting.results.patients(test, "x")
    yield lambda: plotting.results.patient_strips(test, "x")
    yield lambda: plotting.data.cells_per_split(table)
    yield lambda: plotting.data.cells_per_patient(table)
    yield lambda: plotting.data.areas(table.assign(area=range(len(table))))
    yield lambda: plotting.results.feature_map(np.random.rand(len(test), 2), test)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are(name, tmp_path):
    for number, draw in enumerate(draws(renamed(ten_cells(), name))):
        figure = plotting.show(draw)
        shown = [text.get_text() for text in figure.findobj(Text)]
        assert any(name in text for text in shown), number
    assert plotting.keep(draw, tmp_path, "last") is not None


def fails(error):
    def draw():
        raise error

    return draw


@pytest.mark.parametrize(
    "draw",
    [
        fails(InputError("A map of 2 cells cannot be drawn")),
        fails(KeyError("x")),
        fails(ZeroDivisionError()),
        lambda: plotting.results.confusion_matrix(pd.DataFrame()),
    ],
)
def test_a_figure_that_cannot_be_drawn_costs_a_sentence(draw, tmp_path, caplog):
    earlier = Result(tmp_path).figure_path("confusion_matrix")
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"of an earlier training")
    assert plotting.keep(draw, tmp_path, "confusion_matrix") is None
    assert not earlier.exists()
    assert plotting.show(draw) is None
    assert [record.getMessage().count("not drawn") for record in caplog.records] == [1, 1]


def test_a_full_disk_is_no_matter_of_a_figure(tmp_path):
    with pytest.raises(OSError, match="full"):
        plotting.keep(fails(OSError(28, "full")), tmp_path, "x")


def test_letters_are_looked_for_in_the_installed_fonts(caplog):
    families, missing = fonts.families_with(frozenset(map(ord, "aж")))
    assert families
    assert not missing
    unassigned = frozenset({0x10FFFD})
    assert fonts.families_with(unassigned) == ((), unassigned)
    fonts._say_missing.cache_clear()
    for _ in range(2):
        fonts._say_missing("原")
    assert [record.getMessage().count("原") for record in caplog.records] == [1]


def test_fonts_are_asked_once_for_all_figures_alike(caplog):
    fonts._say_missing.cache_clear()
    table = renamed(ten_cells(), chr(0x10FFFD))
    for draw in itertools.islice(draws(table), 2):
        plotting.show(draw)
    assert len(caplog.records) == 1
