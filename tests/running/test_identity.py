"""Cells that a run was trained on are its identity, in the real first notebook's steps."""

import dataclasses

import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import loading
from allhelpers.inference import similar
from allhelpers.runs import Run
from allhelpers.training.checkpoints import settings_in


def corrected(cells):
    table = cells.table.assign(label=cells.table["label"].replace({"all": "hem", "hem": "all"}))
    return dataclasses.replace(cells, table=table)


def trained(run):
    predictions = pd.DataFrame({"file": ["a"], "patient": "1", "split": "test", "label": "all"})
    run.result("toy").finish(predictions, {}, {"settings": {}})


def test_other_cells_replace_a_manifest_until_something_was_trained_on_it(cells, make_settings):
    settings = make_settings()
    run = Run(settings.run_folder)
    run.claim({"seed": 1})
    first = loading.record_cells(cells, settings)
    run.seal("1_data_split", [run.manifest_path, run.data_path])
    assert loading.record_cells(corrected(cells), settings) != first
    trained(run)
    with pytest.raises(InputError, match="holds other cells, labels or another split"):
        loading.record_cells(cells, settings)


def test_a_damaged_manifest_is_written_again(cells, make_settings):
    settings = make_settings()
    run = Run(settings.run_folder)
    run.claim({"seed": 1})
    first = loading.record_cells(cells, settings)
    run.seal("1_data_split", [run.manifest_path])
    trained(run)
    run.manifest_path.write_text("file,lab")
    assert loading.record_cells(cells, settings) == first


def test_a_record_does_not_say_where_files_are_written(cells, make_settings, tmp_path, monkeypatch):
    settings = make_settings(cache_folder=str(tmp_path / "named by the record"))
    run = Run(settings.run_folder)
    loading.record_cells(cells, settings)
    trained(run)
    record = {"settings": settings.model_dump(), "architecture": "toy", "classes": ["all", "hem"]}
    run.result("toy").finish(
        pd.DataFrame(), {}, record, save=lambda path: path.write_bytes(b"weights")
    )
    seen = []
    monkeypatch.setattr(loading, "prepare", lambda given: seen.append(given) or cells)
    similar.cells_of(run.result("toy").folder)
    assert "named by the record" not in seen[0].cache_folder
    assert not (tmp_path / "named by the record").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"\xff" * 40, b"x" * 99])
def test_a_damaged_checkpoint_tells_no_settings(tmp_path, content):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(content)
    assert settings_in(path) is None
