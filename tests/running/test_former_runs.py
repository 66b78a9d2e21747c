"""Folders of runs whose tables say subject, side and valid."""

import re

import pytest

from allhelpers._core import renaming
from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json, sha256, write_json
from allhelpers.data import layout, loading
from allhelpers.evaluation import gathering, suspects
from allhelpers.reporting import report
from allhelpers.runs import Run
from tests.helpers import ten_cells, write_run

WORDS = {"patient": "subject", "given_split": "side", "val": "valid"}  # old name


def age(path):
    """A table as earlier versions wrote it."""
    text = path.read_text()
    for now, former in WORDS.items():
        text = re.sub(rf"(?<=[,\n]){now}(?=[,\n])", former, text)
    path.write_text(text)


@pytest.fixture
def former(tmp_path):
    """A finished run of an earlier version."""
    renaming.warn_of_table.cache_clear()
    run = Run(write_run(tmp_path / "run", ten_cells()))
    result = run.result("mobilenet")
    for path in (run.manifest_path, result.predictions_path, run.baseline("area")):
        age(path)
    assert "subject" in run.manifest_path.read_text()  # old name
    metrics = read_json(result.metrics_path)
    write_json(result.metrics_path, {**metrics, "valid": metrics.pop("val")})  # old name
    record = read_json(result.record_path)
    write_json(result.record_path, {**record, "manifest_sha256": sha256(run.manifest_path)})
    return run


def test_a_former_run_is_compared_as_todays_with_one_warning(former, tmp_path, caplog):
    today = Run(write_run(tmp_path / "today", ten_cells()))
    for _ in range(2):
        assert former.manifest().equals(today.manifest())
        for split in ("val", "test"):
            tables = [run.result("mobilenet").predictions(split) for run in (former, today)]
            assert tables[0].equals(tables[1])
    assert gathering.compare(former.folder, ["mobilenet"])["val_accuracy"].tolist() == [0.7]
    assert set(former.result("mobilenet").metrics()) == set(today.result("mobilenet").metrics())
    assert len(suspects.find_suspects(former.folder, ["mobilenet"]))
    told = [record.getMessage() for record in caplog.records]
    assert [text.rpartition(": ")[2] for text in told] == [
        "its subject is read as patient.",  # old name
        "its valid is read as val.",  # old name
    ]


def test_a_former_figure_is_in_the_report(tmp_path):
    from PIL import Image

    Image.new("RGB", (9, 9)).save(tmp_path / "cells_per_side.webp")  # old name
    assert "cells_per_split" in report._figures(tmp_path, report.RUN_FIGURES, "all methods")


def test_the_cells_of_a_former_run_are_the_same_cells(small_cells, make_settings, tmp_path):
    """Its manifest stays as it is, since results refer to its checksum; other cells are refused."""
    settings = make_settings(run_folder=str(tmp_path / "run"))
    run = Run(tmp_path / "run")
    loading.record_cells(small_cells, settings)
    age(run.manifest_path)
    write_json(run.result("mobilenet").record_path, {"settings": {}})
    before = run.manifest_path.read_bytes()
    assert loading.record_cells(small_cells, settings) == sha256(run.manifest_path)
    assert run.manifest_path.read_bytes() == before
    with pytest.raises(InputError, match="holds other cells"):
        loading.record_cells(small_cells.take(small_cells.table.index[1:]), settings)


def test_a_former_layout_is_understood():
    assert layout.check("side/class/patient") == "side/class/patient"  # old name
    assert layout.split_layout("side/class/*") == ["split", "class", "*"]  # old name
