import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import given_splits, splitting
from allhelpers.data.manifest import COLUMNS, OFFICIAL_CLASSES, SPLITS
from allhelpers.data.splitting import RULES


def cells(per_patient, hashes=None):
    """A manifest with so many cells of each patient; names that begin with H are healthy."""
    rows = []
    for patient, count in per_patient.items():
        label = "hem" if patient.startswith("H") else "all"
        for k in range(count):
            name = f"UID_{patient}_{k}_1_{label}.bmp"
            rows.append((name, "training", "", label, patient, (hashes or {}).get(name, name)))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_patients_are_grouped_whatever_the_number_of_images():
    """127 and 32,767 are the largest integers of one byte and of two."""
    for count in (120, 126, 128):
        groups = splitting.patient_groups(cells({"1": count - 60, "2": 30, "H1": 30}))
        assert groups.nunique() == 3


def test_papers_split_has_the_papers_numbers(official):
    split = splitting.paper_split(official)
    counts = split.groupby([split, official["label"]]).size().unstack()
    assert counts.loc["train"].tolist() == [3018, 3018]
    assert counts.loc["val"].tolist() == counts.loc["test"].tolist() == [35, 35]


def test_papers_split_of_a_part_keeps_70_and_70_and_balance():
    table = cells({"1": 200, "H1": 150})
    split = splitting.paper_split(table)
    assert split.value_counts().to_dict() == {"train": 160, "val": 70, "test": 70, "": 50}
    assert (split[table["label"] == "hem"] != "").all()


def test_split_does_not_depend_on_the_order_of_rows(official):
    shuffled = official.sample(frac=1, random_state=1)
    for rule in RULES.values():
        pd.testing.assert_series_equal(
            rule(shuffled).sort_index(), rule(official), check_names=False
        )


def test_another_seed_gives_another_split(official):
    assert (splitting.paper_split(official, 1) != splitting.paper_split(official, 2)).any()


def test_too_few_cells_for_the_papers_split():
    with pytest.raises(InputError, match="more than 70 training cells"):
        splitting.paper_split(cells({"1": 100, "H1": 70}))


def test_no_patient_and_no_image_is_in_two_splits(official):
    split = splitting.patient_split(official)
    for column in ("patient", "sha256"):
        assert split.groupby(official[column]).nunique().max() == 1
    assert set(split) == set(SPLITS)


def test_official_preliminary_cells_are_the_test(official):
    split = splitting.patient_split(official)
    assert ((split == "test") == (official["part"] == "preliminary_test")).all()


def test_without_preliminary_cells_the_test_is_drawn_by_patient(official):
    training = official[official["part"] == "training"]
    split = splitting.patient_split(training)
    for label in OFFICIAL_CLASSES:
        share = split[training["label"] == label].value_counts(normalize=True)
        assert 0.15 < share["test"] < 0.25
        assert 0.10 < share["val"] < 0.20


@pytest.mark.parametrize("rule", ["patient", "patient:1/5", "patient:4/5"])
def test_every_side_has_healthy_patients_enough_to_choose_by(official, rule):
    training = official[official["part"] == "training"]
    split = splitting.draw(training, rule)
    patients = training["patient"].groupby([split, training["label"]]).nunique()
    assert patients.min() >= 4


def test_patients_who_share_a_image_are_one_group(official):
    groups = splitting.patient_groups(official).groupby(official["patient"]).first()
    for together in (("20", "21"), ("51", "75", "78"), ("H2", "H4", "H5", "H6"), ("H10", "h3")):
        assert groups[list(together)].nunique() == 1
    assert groups["20"] != groups["51"]


def test_chain_of_shared_images_stays_together():
    shared = {
        "UID_1_0_1_all.bmp": "x",
        "UID_2_0_1_all.bmp": "x",
        "UID_2_1_1_all.bmp": "y",
        "UID_3_0_1_all.bmp": "y",
    }
    table = cells({"1": 5, "2": 5, "3": 5, "4": 5, "5": 5, "H1": 5, "H2": 5, "H3": 5}, shared)
    split = splitting.patient_split(table)
    assert split[table["patient"].isin(["1", "2", "3"])].nunique() == 1


def test_too_few_patients():
    with pytest.raises(InputError, match="at least 3 patients.*class hem"):
        splitting.patient_split(cells({"1": 9, "2": 9, "3": 9, "H1": 9, "H2": 9}))


def test_leak_is_found_and_named():
    table = cells({"1": 2})
    with pytest.raises(InputError, match=r"1 patient in two splits \(1\)"):
        given_splits.check_leaks(table, pd.Series(["train", "test"]), "It", "mend it")


def test_shared_patients_are_listed():
    table = cells({"1": 2, "H1": 2}).assign(split=["train", "test", "train", ""])
    assert splitting.shared_patients(table) == ["1"]


def test_cross_validation_tests_every_cell_once(official):
    training = official["part"] == "training"
    tested = pd.Series(0, index=official.index)
    for number in range(1, 6):
        split = splitting.draw(official, f"patient:{number}/5")
        tested += split == "test"
        for column in ("patient", "sha256"):
            assert split[split != ""].groupby(official[column]).nunique().max() == 1
        for label in OFFICIAL_CLASSES:
            mine = training & (official["label"] == label)
            tested_here = mine & (split == "test")
            patients = official["patient"]
            assert 0.12 < tested_here[mine].mean() < 0.28
            assert 0.12 < patients[tested_here].nunique() / patients[mine].nunique() < 0.28
    assert tested[training].eq(1).all()
    assert tested[~training].eq(0).all()


def test_settings_can_be_chosen_inside_one_official_fold(official):
    split = splitting.draw(official, "fold_0:1/2")
    assert official["fold"][split != ""].eq("fold_0").all()
    assert set(split) == {"", *SPLITS}
    for column in ("patient", "sha256"):
        assert split[split != ""].groupby(official[column]).nunique().max() == 1
    with pytest.raises(InputError, match="knows no fold_9"):
        splitting.draw(official, "fold_9:1/2")


def test_official_folds_train_on_one_and_test_on_the_other(official):
    split = splitting.draw(official, "fold_0:fold_1")
    assert official["fold"][split == "test"].eq("fold_1").all()
    assert official["fold"][split.isin(["train", "val"])].eq("fold_0").all()
    assert (split == "test").sum() == (official["fold"] == "fold_1").sum()
    assert split[official["fold"] == "fold_0"].ne("").all()  # these two folds share no image


def test_official_folds_leak_and_leaking_patients_are_left_out(official):
    """Patients 20 and 21 share 71 images, across fold_0 and fold_2."""
    folds = official.groupby("patient")["fold"].agg(set)
    first, second = folds["20"].pop(), folds["21"].pop()
    assert first != second
    split = splitting.draw(official, f"{first}:{second}")
    assert (split[official["patient"] == "20"] == "").all()
    assert (split[official["patient"] == "21"] == "test").all()


@pytest.mark.parametrize(
    "name", ["image", "patient:0/5", "patient:6/5", "fold_0:fold_0", "fold_0:", ""]
)
def test_unknown_split_is_refused(name):
    with pytest.raises(InputError, match="is not a rule: choose paper"):
        splitting.parse(name)


def test_unknown_fold_and_too_many_folds(official):
    with pytest.raises(InputError, match="knows no fold_7: choose from fold_0, fold_1, fold_2"):
        splitting.draw(official, "fold_0:fold_7")
    with pytest.raises(InputError, match="choose fewer folds"):
        splitting.draw(official, "patient:1/40")
