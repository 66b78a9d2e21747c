"""What a user or a foreign run has written is text in a model card, never markup."""

import pytest

from allhelpers._core.files import read_json, write_json
from allhelpers.reporting import write_model_card
from tests.helpers import ten_cells, write_run

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)",
    "a | b\n# heading\n| c |",
    "`</code><img src=x onerror=alert(1)>`",
]


def card_of(run_folder, text):
    """The card of a network in whose record a text stands wherever one may."""
    path = run_folder / "mobilenet" / "parameters.json"
    record = read_json(path)
    record |= {"architecture": "mobilenet", "classes": [text, "hem"], "notes": [text], "cut": text}
    record["weights"] = {"label": text}
    record["settings"] |= {"input_size": 224, "tta": 1, "refit": False}
    record["model"] |= {"file": text, "sha256": text}
    write_json(path, record)
    return write_model_card(run_folder, "mobilenet").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_names_and_notes_is_text(run_folder, text):
    card = card_of(run_folder, text)
    assert text not in card
    markup = "<script", "<img", "<javascript", "](", "[x]:", "\n# heading", "onerror=alert(1)>"
    assert [each for each in markup if each in card] == []
    assert card.count("\n## ") == 5


@pytest.mark.parametrize("known", [True, False])
def test_the_table_of_splits_has_a_column_for_patients_where_they_are_known(tmp_path, known):
    cells = ten_cells()
    if not known:
        cells["patient"] = cells["file"]  # as where nobody has said whose they are
    write_run(tmp_path, cells)
    card = card_of(tmp_path, "plain")
    head, line, *rows = card[card.index("| split |") :].split("\n\n")[0].splitlines()
    assert ("patients" in head) == known
    assert {row.count("|") for row in (head, line, *rows)} == {5 if known else 4}
