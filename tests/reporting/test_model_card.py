"""What a user or a foreign run has written is text in a model card, never markup."""

import pytest

from allhelpers._core.files import read_json, write_json
from allhelpers.reporting import write_model_card

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)",
    "a | b\n# heading\n| c |",
    "`</code><img src=x onerror=alert(1)>`",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_names_and_notes_is_text(run_folder, text):
    path = run_folder / "mobilenet" / "parameters.json"
    record = read_json(path)
    record |= {"architecture": "mobilenet", "classes": [text, "hem"], "notes": [text], "cut": text}
    record["weights"] = {"label": text}
    record["settings"] |= {"input_size": 224, "tta": 1, "refit": False}
    record["model"] |= {"file": text, "sha256": text}
    write_json(path, record)
    card = write_model_card(run_folder, "mobilenet").read_text(encoding="utf-8")
    assert text not in card
    markup = "<script", "<img", "<javascript", "](", "[x]:", "\n# heading", "onerror=alert(1)>"
    assert [each for each in markup if each in card] == []
    assert card.count("\n## ") == 5
