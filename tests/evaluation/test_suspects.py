"""Labels that may be wrong: planted ones come first, and marks become a new table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from allhelpers import data, evaluation, networks, plotting, training
from allhelpers._core.errors import InputError
from allhelpers._core.files import read_json, write_csv, write_json
from allhelpers._core.machine import Clock
from allhelpers.data import loading, manifest
from allhelpers.evaluation import suspects
from allhelpers.inference import page
from allhelpers.networks import registry
from allhelpers.networks.pretrained import Weights
from allhelpers.runs import Run
from tests.commands import command
from tests.helpers import with_p_all, write_run
from tools import planted_labels

PLANTED = 8


def with_wrong_labels(cells):
    """Cells for training and test, by patient; some labels are turned round."""
    split = np.where(cells.table["split"] == "test", "test", "train")
    table = planted_labels.with_wrong_labels(cells.table.assign(split=split), 3, PLANTED)
    planted = set(table.loc[table["corrected_from"] != "", "file"])
    return replace(cells, table=table), planted


@pytest.fixture
def planted_run(make_settings, tmp_path):
    """A head-only toy that was trained on wrong labels, and which they are."""
    told_apart = {"sample_differs": "brightness"}  # random weights see that
    cells, planted = with_wrong_labels(loading.prepare(make_settings(input_size=64, **told_apart)))
    settings = make_settings(
        **told_apart,
        input_size=64,
        unfreeze="none",
        depths="block1,block2,block3",
        suspects=True,
        refit=True,
        standardise=True,
        epochs=2,
        run_folder=str(tmp_path),
    )
    network = networks.build(registry.get("toy"), settings, Weights("random"), cells=cells)
    features = training.compute_features(network, cells)
    training.train(network, features, cells, quiet=True)
    judged = training.judge_labels(network, features, cells)
    record = training.describe(network, cells, [], manifest_sha256="", clock=Clock())
    predictions = training.predict_cells(network, features, cells)
    result = Run(tmp_path).result("toy")
    result.folder.mkdir()
    outcome = {"predictions": predictions, "metrics": {}, "record": record}
    training.finish(network, result, judged=judged, **outcome)
    write_csv(Run(tmp_path).manifest_path, cells.table)
    write_json(Run(tmp_path).data_path, {"classes": cells.classes})
    return tmp_path, planted


def test_planted_errors_are_among_the_first_suspects(planted_run):
    folder, planted = planted_run
    found = suspects.find_suspects(folder, ["toy"])
    assert len(planted & set(found["file"][: 2 * PLANTED])) >= 0.75 * PLANTED
    assert found["score"].is_monotonic_decreasing
    assert (found["suggested"] != found["label"]).all()
    assert (found["mark"] == "").all()


def test_marked_suspects_become_a_new_table_and_nothing_else_changes(planted_run):
    folder, planted = planted_run
    evaluation.write_suspects(folder, ["toy"])
    path = Run(folder).suspects_path
    marked = pd.read_csv(path, dtype=str, keep_default_na=False)
    marked.loc[0, "mark"], marked.loc[1, "mark"] = " X", "out"
    marked.loc[2, "mark"] = marked.loc[2, "suggested"]
    write_csv(path, marked)
    before = Run(folder).manifest_path.read_bytes()
    output = folder / "new" / "corrected.csv"
    output.parent.mkdir()
    done = command("relabel", folder, "--output", output)
    assert done.status == 0, done.err
    assert "2 labels changed, 1 cell left out" in done.out
    corrected = manifest.read(output).set_index("file")
    for row in (0, 2):
        file, label, suggested = marked.loc[row, ["file", "label", "suggested"]]
        assert corrected.loc[file, "label"] == suggested
        assert corrected.loc[file, manifest.CORRECTED_FROM] == ("" if file in planted else label)
    assert marked.loc[1, "file"] not in corrected.index
    earlier = Run(folder).manifest().set_index("file")["label"][corrected.index]
    assert (corrected["label"] != earlier).sum() == 2
    assert Run(folder).manifest_path.read_bytes() == before
    evaluation.write_suspects(folder, ["toy"])  # the comparison once more
    assert pd.read_csv(path, dtype=str, keep_default_na=False)["mark"].ne("").sum() == 3


def test_marks_that_mean_nothing_are_refused(run_folder, tmp_path):
    found = suspects.find_suspects(run_folder, ["mobilenet"]).assign(mark="x")
    wrong = {
        "The mark 'perhaps' means nothing: write x, out, or one of all, hem": found.assign(
            mark="perhaps"
        ),
        "has another label in": found.assign(label="other"),
        "is marked twice": pd.concat([found, found]),
    }
    for sentence, marked in wrong.items():
        with pytest.raises(InputError, match=sentence):
            suspects.write_corrected(run_folder, marked, tmp_path / "corrected.csv")
    assert not (tmp_path / "corrected.csv").exists()


MARKED = "file,label,suggested,mark\na.png,blast,healthy,x\nb.png,blast,healthy,\n"


@pytest.mark.parametrize(
    "content",
    [
        MARKED.encode("utf-8-sig"),
        MARKED.encode("utf-16"),
        MARKED.replace(",", ";").encode(),
        b"sep=;\r\n" + MARKED.replace(",", ";").replace("\n", "\r\n").encode(),
        MARKED.replace(",x", ", x ,,").encode(),
    ],
)
def test_marks_are_read_as_a_spreadsheet_saves_them(tmp_path, content):
    (tmp_path / "marked.csv").write_bytes(content)
    marked = suspects.read_marked(tmp_path / "marked.csv")
    assert marked[["file", "mark"]].to_numpy().tolist() == [["a.png", "x"], ["b.png", ""]]


def test_an_empty_table_of_marks_is_one_sentence(tmp_path):
    (tmp_path / "marked.csv").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        suspects.read_marked(tmp_path / "marked.csv")


def test_methods_are_counted_and_a_trained_cell_says_nothing(tmp_path, predictions):
    write_run(tmp_path, predictions)
    write_run(tmp_path, with_p_all(predictions, 0.45), name="vgg16")
    record = Run(tmp_path).result("vgg16").record()
    write_json(Run(tmp_path).result("vgg16").record_path, {**record, "settings": {"refit": True}})
    found = suspects.find_suspects(tmp_path, ["mobilenet", "vgg16"]).set_index("file")
    assert found.loc["5.bmp", ["against", "methods"]].tolist() == [2, 2]
    assert found.loc["5.bmp", "why"] == "predicted hem by MobileNet, VGG16 (2 of 2)"
    assert "v" not in found.index  # of validation, on which VGG16 was trained


def test_a_slip_stands_out_before_a_patient_whom_the_network_has_wrong_throughout(tmp_path):
    rows = [(f"{k}.bmp", "known", "test", "all", 0.95) for k in range(12)]
    rows += [(f"h{k}.bmp", "healthy", "test", "hem", 0.05) for k in range(12)]
    rows += [(f"{k}.png", "strange", "test", "all", 0.1) for k in range(12)]
    rows.append(("slip.bmp", "known", "test", "all", 0.2))
    columns = ["file", "patient", "split", "label", "p_all"]
    write_run(tmp_path, with_p_all(pd.DataFrame(rows, columns=columns)))
    found = suspects.find_suspects(tmp_path, ["mobilenet"])
    assert found["file"][0] == "slip.bmp"
    assert set(found["file"][1:]) == {f"{k}.png" for k in range(12)}  # doubted, too


def test_of_like_images_with_two_labels_the_doubted_one_comes_first(run_folder):
    write_json(Run(run_folder).audit_path, {"sentences": [], "two_labels": [["0.bmp", "9.bmp"]]})
    found = suspects.find_suspects(run_folder, ["mobilenet"]).set_index("file")
    assert found.index[0] == "9.bmp"  # said to be all with .9, as 0.bmp is
    assert found.loc["9.bmp", "why"].startswith("looks like 0.bmp, which has another label")
    assert found.loc["0.bmp", "score"] < 0.2


def test_an_official_name_may_be_corrected_if_the_table_says_so():
    row = {"file": "UID_1_1_1_all.bmp", "part": "training", "fold": "", "label": "hem"}
    table = pd.DataFrame([{**row, "patient": "1", "sha256": "x"}])
    with pytest.raises(InputError, match="corrected_from"):
        manifest.check(table)
    assert len(manifest.check(table.assign(corrected_from="all"))) == 1


def test_the_audit_leaves_like_images_with_two_labels(small_cells, tmp_path):
    cells, _ = with_wrong_labels(small_cells)
    pixels = cells.pixels.copy()
    labels = cells.table["label"].to_numpy()
    first, second = (int(np.flatnonzero(labels == label)[0]) for label in ("all", "hem"))
    pixels[second] = pixels[first][:, ::-1]
    found = data.audit(replace(cells, pixels=pixels))
    data.record_audit(found, tmp_path)
    files = sorted(cells.table["file"].iloc[[first, second]])
    assert files in [sorted(pair) for pair in read_json(Run(tmp_path).audit_path)["two_labels"]]


def test_suspects_are_shown_as_image_files(planted_run, small_cells):
    folder, _ = planted_run
    found = suspects.find_suspects(folder, ["toy"])
    figure = plotting.galleries.suspects(small_cells, found, most=6)
    assert sum(bool(ax.images) for ax in figure.axes) == min(6, len(found))
    opened = evaluation.cells_of_run(folder, "toy")
    assert set(found["file"]) <= set(opened.table["file"])


def test_the_page_writes_a_corrected_table(planted_run, small_cells, tmp_path):
    folder, _ = planted_run
    suspected = page.suspected_of(folder / "toy", small_cells)
    marked = suspected.table[["file", "label", "suggested", "mark"]].copy()
    marked.loc[0, "mark"] = "x"
    path, sentence = suspected.corrected(marked, tmp_path)
    assert sentence.startswith("1 label changed, 0 cells left out")
    file, suggested = marked.loc[0, ["file", "suggested"]]
    assert manifest.read(path).set_index("file").loc[file, "label"] == suggested
