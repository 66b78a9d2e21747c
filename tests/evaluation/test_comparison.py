import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from allhelpers._core.errors import InputError
from allhelpers.data import images
from allhelpers.evaluation import (
    baselines,
    gathering,
    metrics,
    published,
    resampling,
)
from allhelpers.evaluation.comparison import Evaluated, holm, table_of_methods, table_of_pairs
from allhelpers.reporting import sentences
from tests.helpers import clustered, with_p_all


def test_comparison_is_read_from_the_files_of_the_run(run_folder):
    row = gathering.compare(run_folder, ["mobilenet"]).iloc[0]
    assert (row["test_correct"], row["test_cells"], row["epochs"], row["seconds"]) == (
        7,
        10,
        2,
        3.0,
    )
    assert row["val_accuracy"] == 0.7
    assert (
        "7 of 10 test cells correct, 70.0% (95 % interval 39.7% to 89.2%)"
        in sentences.sentence_of_result(row)
    )


def test_missing_result_names_the_notebook(run_folder):
    with pytest.raises(InputError, match="run notebook 2_vgg16 first"):
        gathering.compare(run_folder, ["mobilenet", "vgg16"])


def test_result_on_other_cells_is_refused(run_folder):
    (run_folder / "manifest.csv").write_text("other")
    with pytest.raises(InputError, match="computed on other cells"):
        gathering.compare(run_folder, ["mobilenet"])


def test_paper_stands_beside_the_run(run_folder):
    table = published.beside_paper(gathering.compare(run_folder, ["mobilenet"]))
    assert table.index.tolist() == [("mobilenet", "paper"), ("mobilenet", "this run")]
    assert table.loc[("mobilenet", "paper"), "test_accuracy"] == pytest.approx(64 / 70)


def test_missing_baseline_names_the_notebook(run_folder):
    (run_folder / "baselines" / "area.csv").unlink()
    with pytest.raises(InputError, match="run notebook 1_data_split first"):
        gathering.compare_methods(run_folder, ["mobilenet"])


def better(table, share, seed=0):
    """The same cells, with a share of the wrong ones put right."""
    random = np.random.default_rng(seed)
    truth = (table["label"] == "all").astype(float)
    wrong = (table["p_all"] >= 0.5) != truth.astype(bool)
    return with_p_all(
        table, table["p_all"].mask(wrong & (random.random(len(table)) < share), truth)
    )


@pytest.fixture(scope="module")
def three():
    """A weak method, the same again, and a much better one, on 40 patients."""
    table = clustered(patients=40, cells=20)
    tables = {"mobilenet": table, "vgg16": table.copy(), "resnet50": better(table, 0.9)}
    return {name: Evaluated(table) for name, table in tables.items()}


def test_equal_methods_cannot_be_told_apart(three):
    row = table_of_pairs(three).iloc[0]
    assert (row["only_first"], row["only_second"], row["mcnemar_p"], row["weighted_f1_p"]) == (
        0,
        0,
        1,
        1,
    )
    assert not row["differ"]
    text = sentences.sentence_of_pair(row)
    assert text.startswith(
        "MobileNet and VGG16 cannot be told apart on these 800 cells of 40 patients"
    )


def test_a_clear_difference_is_found_and_named(three):
    row = table_of_pairs(three).iloc[1]
    assert row["differ"]
    assert row["weighted_f1_high"] < 0
    text = sentences.sentence_of_pair(row)
    assert text.startswith("ResNet50 is better than MobileNet")
    # The evidence speaks of the same first method: it is ahead, with an interval above 0.
    assert f"{row['only_second']} cells only the first predicts correctly" in text
    assert f"weighted F1 over resampled patients +{-row['weighted_f1']:.3f} (+" in text


def test_a_pair_reads_the_same_from_both_ends(three):
    names = ("mobilenet", "resnet50")
    there, back = (
        table_of_pairs({name: three[name] for name in order}).iloc[0]
        for order in (names, names[::-1])
    )
    assert sentences.sentence_of_pair(there) == sentences.sentence_of_pair(back)


def test_where_there_is_no_p_none_is_given(three):
    one_patient = Evaluated(three["mobilenet"].predictions.assign(patient="P1"))
    pairs = table_of_pairs({"mobilenet": one_patient, "vgg16": one_patient})
    text = sentences.sentence_of_pair(pairs.iloc[0])
    assert "no interval: a class has but one to resample), no p)" in text
    assert "nan" not in text


def test_each_method_is_resampled_once(run_folder, monkeypatch):
    calls, bootstrap = [], resampling.bootstrap
    monkeypatch.setattr(
        resampling, "bootstrap", lambda *given: calls.append(given) or bootstrap(*given)
    )
    gathering.compare_methods(run_folder, ["mobilenet"])
    assert len(calls) == 3


def test_mcnemar_is_exact():
    """Five discordant cells, all in one direction: p = 2 / 2**5."""
    table = with_p_all(
        clustered(patients=4, cells=10), lambda t: (t["label"] == "all").astype(float)
    )
    worse = table.copy()
    worse.loc[:4, ["p_all", "p_hem"]] = worse.loc[:4, ["p_hem", "p_all"]].to_numpy(copy=True)
    row = table_of_pairs({"mobilenet": Evaluated(table), "vgg16": Evaluated(worse)}).iloc[0]
    assert (row["only_first"], row["only_second"]) == (5, 0)
    assert row["mcnemar_p"] == pytest.approx(2 / 2**5)


def test_correction_is_holms():
    p = np.array([0.3, 0.001, 0.02, 0.02, 0.9])
    np.testing.assert_array_equal(holm(p), multipletests(p, method="holm")[1])


def test_more_pairs_need_stronger_evidence(three):
    alone = table_of_pairs({name: three[name] for name in ("mobilenet", "resnet50")}).iloc[0]
    among = table_of_pairs(three).iloc[1]
    assert among["mcnemar_p"] == pytest.approx(3 * alone["mcnemar_p"])


def test_methods_on_other_cells_are_refused(three):
    fewer = Evaluated(three["vgg16"].predictions.iloc[1:])
    with pytest.raises(InputError, match="tested on different cells"):
        table_of_pairs({"mobilenet": three["mobilenet"], "vgg16": fewer})


def test_network_that_does_not_beat_the_area_is_marked(three):
    weak, strong = three["mobilenet"], three["resnet50"]
    table = table_of_methods({"mobilenet": weak, "resnet50": strong, "area": weak}).set_index(
        "method"
    )
    assert table["beats_area"].to_dict() == {"mobilenet": False, "resnet50": True, "area": None}


def test_baselines_of_the_sample(cells, tmp_path):
    """The sample's ALL cells are larger: the area ranks them, the majority class does not."""
    baselines.write_baselines(cells, tmp_path)
    for name, expected in (("majority", 0.5), ("area", 0.8)):
        table = pd.read_csv(tmp_path / "baselines" / f"{name}.csv", dtype={"patient": str})
        assert table["split"].value_counts().to_dict() == {"val": 70, "test": 70}
        auroc = metrics.measure(table, 0)["auroc"]["value"]
        assert auroc == pytest.approx(expected, abs=0.1)


def test_area_counts_what_is_not_black():
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    pixels[1, 2:4, 2:6, 1] = 1
    pixels[2] = 255
    assert images.areas(pixels, chunk=2).tolist() == [0, 8, 64]
