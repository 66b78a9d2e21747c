"""The report shows what the notebooks have left, and draws and computes nothing itself."""

import inspect
import re

import pytest

from allhelpers import evaluation, plotting
from allhelpers._core.errors import InputError
from allhelpers._core.files import write_csv
from allhelpers.reporting import report
from allhelpers.runs import Run
from tests.helpers import ten_cells, write_run

NAMES = ["mobilenet"]


def compare(folder, cells):
    """A finished run of one architecture, as the third notebook leaves it."""
    write_run(folder, cells)
    run = Run(folder)
    methods, pairs = evaluation.compare_methods(folder, NAMES)
    write_csv(run.table_path("comparison"), evaluation.compare(folder, NAMES))
    write_csv(run.table_path("methods"), methods)
    write_csv(run.table_path("pairs"), pairs)
    plotting.keep(plotting.data.cells_per_split(run.manifest()), folder, "cells_per_split")
    result = run.result("mobilenet")
    curves = plotting.results.learning_curves(result.history())
    plotting.keep(curves, result.folder, "learning_curves")
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return compare(tmp_path_factory.mktemp("run"), ten_cells())


@pytest.fixture(scope="module")
def page(compared):
    return report.write_report(compared, NAMES).read_text(encoding="utf-8")


def test_report_is_one_file_that_escapes_what_it_is_given(page):
    assert "7 of 10" in page
    assert "not for diagnosis" in page
    assert "synthetic cells" in page
    assert "a&lt;b&gt;" in page
    assert "<b>" not in page
    assert not {"NA&gt;", "<td>None<", "<td>NaN<"} & set(re.findall(r"NA&gt;|<td>\w+<", page))
    assert 'src="data:image/webp;base64,' in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_report_of_notebooks_that_were_run_by_hand_says_what_they_were_given(page):
    said = page.split('<h2 id="settings">')[1].split("<details>")[0]
    assert {"unfreeze = none", "epochs = 2", "seed = 1"} <= set(
        re.findall(r"<code>(.*?)</code>", said)
    )
    assert "batch_norm" not in said


def test_report_without_patients_counts_none(tmp_path):
    cells = ten_cells()
    folder = compare(tmp_path, cells.assign(patient=cells["file"]))
    page = report.write_report(folder, NAMES).read_text(encoding="utf-8")
    assert "Patients are unknown" in page
    assert '<th scope="col">cells</th></tr>' in page
    assert "<figcaption>Cells per class in each split.<" in page


def test_kept_figures_are_shown_once_with_their_captions(page):
    assert page.count("<img ") == 2
    captions = report.RUN_FIGURES["cells_per_split"], report.FIGURES["learning_curves"]
    assert all(page.count(f"<figcaption>{caption}<") == 1 for caption in captions)


def test_every_figure_of_the_report_is_named_as_the_function_that_draws_it():
    groups = [getattr(plotting, name) for name in plotting.__all__]
    drawn = {name for group in groups if inspect.ismodule(group) for name in vars(group)}
    assert {*report.RUN_FIGURES, *report.FIGURES} <= drawn


def test_report_draws_and_resamples_nothing(compared, monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr("allhelpers.evaluation.resampling.Patients", fail)
    monkeypatch.setattr("matplotlib.pyplot.subplots", fail)
    report.write_report(compared, NAMES)


def test_report_before_the_comparison_names_the_notebook(run_folder):
    with pytest.raises(InputError, match="run notebook 3_comparison first"):
        report.write_report(run_folder, NAMES)


def test_report_of_other_methods_than_were_compared_is_refused(compared):
    with pytest.raises(InputError, match="compares mobilenet, not mobilenet, svm"):
        report.write_report(compared, ["mobilenet", "svm"])


def test_first_screen_answers_in_one_sentence_with_patients_equal_size_and_the_ruler(page):
    first = page.split("<main>")[0]
    (answer,) = re.findall(r'<p class="answer">(.*?)</p>', first)
    assert "10 cells of 4 new patients" in answer
    assert "on cells of equal size" in answer
    assert re.search(r"than the cell’s area alone does \(AUROC 0\.\d\d against 0\.50\)", answer)


def test_every_part_is_in_the_contents(page):
    anchors = re.findall(r'<h2 id="([^"]+)"', page)
    assert re.findall(r'href="#([^"]+)"', page) == anchors


def test_tables_have_headers_with_scope_and_names_in_words(page):
    assert re.findall(r"<th(?! scope)[ >]", page) == []
    heads = re.findall(r'<th scope="col">(.*?)</th>', page)
    assert "95 % over patients" in heads
    assert [name for name in heads if "_" in name] == []
    assert all(f'data-name="{name}"' in page for name in ("cells correct", "training loss"))


def test_report_reads_on_a_phone_in_the_dark_and_on_paper(page):
    assert all(f"@media {kind}" in page for kind in ("print", "screen and (max-width"))
    assert "prefers-color-scheme: dark" in page
    sizes = re.findall(r'<img [^>]*width="(\d+)" height="(\d+)" alt="Figure: ([^"]+)"', page)
    assert [int(width) > 100 < int(height) for width, height, _ in sizes] == [True, True]
    assert {alt for *_, alt in sizes} == {
        "cells per split, all methods",
        "learning curves, MobileNet",
    }
