"""The page that shows a trained model new images, and what it is made of."""

import asyncio
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from allhelpers import plotting
from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json, write_json
from allhelpers.inference import page, saved, similar
from allhelpers.inference.similar import NEIGHBOURS
from allhelpers.running import cli
from allhelpers.runs import Run
from tests.helpers import ROOT


@pytest.fixture(scope="module")
def result(real_run):
    """What MobileNet has left in the real run."""
    return Run(real_run.folder).result("mobilenet")


@pytest.fixture(scope="module")
def trained(result):
    return saved.load(result.folder)


@pytest.fixture(scope="module")
def run_cells(result):
    """The run's cells, found again."""
    return similar.cells_of(result.folder)


@pytest.fixture(scope="module")
def known(trained, run_cells, result):
    return similar.reference_cells(trained, run_cells, saved.find(result.folder).familiar())


@pytest.fixture(scope="module")
def images(real_run):
    return Path(real_run.values["cache_folder"]) / "sample-160"


@pytest.fixture(scope="module")
def files(images, run_cells):
    return [images / file for file in run_cells.table["file"].iloc[:3]]


def test_new_cells_get_probabilities_evidence_and_neighbours(trained, known, files):
    seen = similar.explain(trained, files, known)
    assert seen.table[["p_all", "p_hem"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert seen.evidence.shape == seen.pixels.shape[:3]
    assert ((seen.evidence >= 0) & (seen.evidence <= 1)).all()
    assert (np.diff(seen.distances, axis=1) >= 0).all()


def test_a_training_cell_is_its_own_nearest_neighbour(trained, known, images):
    seen = similar.explain(trained, [images / known.table["file"].iloc[5]], known)
    assert seen.neighbours[0, 0] == 5
    assert seen.distances[0, 0] == pytest.approx(0, abs=1e-5)


def test_only_training_cells_are_neighbours(known, run_cells):
    assert set(known.table["split"]) == {"train"}
    assert len(known.table) == len(run_cells.rows("train"))


def test_answer_names_each_image_and_class(trained, known, files):
    table, figure = page.answer(trained, [str(file) for file in files], known)
    expected = ["image", "predicted", "p(ALL)", "p(HEM)", "atypical", "note"]
    assert list(table.columns) == expected
    assert set(table["atypical"]) == {"no"}
    assert list(table["image"]) == [file.name for file in files]
    assert len(figure.axes) == len(files) * (2 + NEIGHBOURS)


def test_what_cannot_be_shown_is_said_in_one_sentence(trained, tmp_path):
    with pytest.raises(InputError, match="There is no image: choose 1 to 32"):
        page.answer(trained, None)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match="not a BMP, PNG or JPEG"):
        page.answer(trained, [str(tmp_path / "text.png")])


def test_heading_warns_and_gives_intervals(result):
    said = page.page_heading(result.folder)
    assert said.startswith("# MobileNet: ALL (leukaemic) or HEM (normal)?")
    assert "Research only, not for diagnosis." in said
    assert "On its 70 test cells: accuracy" in said
    assert re.search(r"AUROC 0\.\d\d \(0\.\d\d to [01]\.\d\d\) \(95 %, patients resampled\)", said)
    assert "synthetic cells" in said


def test_training_cells_of_a_finished_run_are_found_again(real_run, run_cells):
    assert run_cells.table.astype(str).equals(Run(real_run.folder).manifest().astype(str))


@pytest.fixture
def other(result, tmp_path):
    """A run with MobileNet's result alone."""
    run = Run(tmp_path / "run")
    shutil.copytree(result.folder, run.result("mobilenet").folder)
    return run


def test_other_images_than_the_training_had_are_refused(real_run, other):
    manifest = Run(real_run.folder).manifest_path.read_text()
    other.manifest_path.write_text(manifest.replace("train", "val", 1))
    with pytest.raises(InputError, match="holds other cells than"):
        similar.cells_of(other.result("mobilenet").folder)


def test_page_answers_on_this_machine_only(trained, known):
    pytest.importorskip("gradio", reason="the page needs gradio (requirements-page.txt)")
    built = page.build_page(trained, "Research only, not for diagnosis.", known)
    try:
        address = page.launch_page(built, port=7877)
        assert address.startswith("http://127.0.0.1:7877")
        assert "Cells before a trained network" in urllib.request.urlopen(address).read().decode()
        rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(address, headers=rebound))
        assert refused.value.code == 421
        assert not [name for name in refused.value.headers if name.lower().startswith("access-")]
        with pytest.raises(InputError, match="Port 7877 on 127.0.0.1 cannot be used"):
            page.launch_page(page.build_page(trained, ""), port=7877)
    finally:
        built.close()


def test_serve_refuses_what_is_no_model(tmp_path, capsys):
    assert cli.main(["serve", str(tmp_path)]) == 1
    assert "give a model.keras of a finished run" in capsys.readouterr().err


def test_a_bad_image_is_listed_without_the_servers_paths(trained, known, files, tmp_path):
    (tmp_path / "bad.bmp").write_bytes(files[0].read_bytes()[:900])
    given = [str(files[0]), str(tmp_path / "bad.bmp"), str(files[1])]
    table, figure = page.answer(trained, given, known)
    assert list(table["predicted"] == "") == [False, False, True]
    assert "bad.bmp is damaged" in table["note"].iloc[-1]
    assert str(tmp_path) not in table.to_csv()
    assert len(figure.axes) == 2 * (2 + NEIGHBOURS)
    with pytest.raises(InputError) as caught:
        page.answer(trained, [str(tmp_path / "bad.bmp")], known)
    assert str(tmp_path) not in str(caught.value)


def test_kept_features_are_those_that_would_be_computed(trained, run_cells, known):
    computed = similar.reference_cells(trained, run_cells).features
    np.testing.assert_allclose(known.features, computed, atol=2e-3 * computed.max())


def test_titles_never_overlap(trained, known, files):
    name = "class_of_twenty_letr"
    long = dataclasses.replace(
        known, table=known.table.assign(label=name, patient="patient_of_20_letter")
    )
    seen = similar.explain(trained, files[:2], long)
    table = seen.table.rename(columns={"p_all": f"p_{name}"}).assign(predicted=name, atypical="yes")
    figure = plotting.new_cells(dataclasses.replace(seen, table=table), long)
    figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    boxes += [ax.get_window_extent() for ax in figure.axes]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:7860", True),
        ("localhost", True),
        ("[::1]:7860", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:7860", False),
        ("", False),
        ("[", False),
    ],
)
def test_only_names_of_this_machine_are_answered(host, answered):
    sent = []

    async def app(scope, receive, send):
        sent.append("the page")

    async def send(message):
        sent.append(message.get("status"))

    scope = {"type": "http", "headers": [(b"host", host.encode())]}
    asyncio.run(page.on_own_host(app)(scope, None, send))
    assert sent == (["the page"] if answered else [421, None])


def test_uploads_are_private_and_deleted_at_exit_and_after_a_crash(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from allhelpers.inference import uploads;"
        "folder = uploads.private_folder(); (folder / 'cell.png').write_text('x');"
        "print(oct(folder.stat().st_mode)[-3:]);"
        "os._exit(1) if sys.argv[1] == 'crash' else None"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def run(how):
        return subprocess.run([sys.executable, "-c", code, how], capture_output=True, env=env)

    assert run("end").stdout.strip() == b"700"
    assert list(tmp_path.iterdir()) == []
    run("crash")
    assert len(list(tmp_path.rglob("cell.png"))) == 1
    run("end")
    assert list(tmp_path.iterdir()) == []


def test_unpacked_images_are_deleted_when_a_command_is_told_to_end(tmp_path):
    code = (
        "import time; from allhelpers.inference import command, uploads;"
        "from allhelpers.running import cli\n"
        "def predict(*_, **__):\n"
        "    with uploads.private() as folder:\n"
        "        (folder / 'cell.png').write_text('x')\n"
        "        print('there', flush=True); time.sleep(60)\n"
        "command.predict = predict; cli.main(['predict', 'model', 'cells.tar'])"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout.readline() == b"there\n"
        assert len(list(tmp_path.rglob("cell.png"))) == 1
        process.terminate()
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_a_port_that_cannot_be_is_one_sentence(port, tmp_path, capsys):
    assert cli.main(["serve", str(tmp_path), "--port", str(port)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"test": 5}'])
def test_damaged_metrics_are_one_sentence(result, tmp_path, content):
    shutil.copy(result.record_path, tmp_path)
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(InputError, match="is not a finished run|is damaged"):
        page.page_heading(tmp_path)


def test_a_record_from_elsewhere_names_no_place_to_write_to(real_run, other, tmp_path, monkeypatch):
    shutil.copy(Run(real_run.folder).manifest_path, other.manifest_path)
    record = read_json(other.result("mobilenet").record_path)
    record["settings"] |= {"cache_folder": str(tmp_path / "theirs"), "run_folder": str(tmp_path)}
    write_json(other.result("mobilenet").record_path, record)
    monkeypatch.setenv("ALLHELPERS_CACHE", str(tmp_path / "mine"))
    similar.cells_of(other.result("mobilenet").folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "run"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b""])
def test_a_manifest_that_cannot_be_read_is_one_sentence(other, content):
    if content is not None:
        other.manifest_path.write_bytes(content)
    with pytest.raises(InputError, match=r"manifest.csv cannot be read"):
        similar.cells_of(other.result("mobilenet").folder)
