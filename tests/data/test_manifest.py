import pandas as pd
import pytest

from allhelpers._core.errors import InputError
from allhelpers.data import manifest as manifests
from allhelpers.data import splitting
from allhelpers.data.manifest import COLUMNS, PRELIMINARY_TABLE
from allhelpers.data.splitting import DEFAULT_SEED
from tests.helpers import SHARED, needs_shared


@pytest.fixture
def table():
    rows = [
        (f"UID_{k}_1_1_all.bmp", "training", "fold_0", "all", str(k), f"{k:064x}") for k in range(3)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_project_manifest_has_the_official_counts(official):
    counts = official.groupby(["part", "label"]).size()
    assert counts["training"].to_dict() == {"all": 7272, "hem": 3389}
    assert counts["preliminary_test"].to_dict() == {"all": 1219, "hem": 648}
    assert official[official["part"] == "training"]["patient"].nunique() == 73
    assert official[official["part"] == "preliminary_test"]["patient"].nunique() == 28


def test_patient_h3_is_not_lost(official):
    assert (official["patient"] == "h3").sum() == 36


def test_preliminary_labels_are_not_flipped(official):
    preliminary = official[official["part"] == "preliminary_test"]
    healthy = preliminary["patient"].str.upper().str.startswith("H")
    assert ((preliminary["label"] == "hem") == healthy).all()


def test_project_manifest_is_what_its_seed_gives(official):
    facts = official[list(COLUMNS)]
    pd.testing.assert_frame_equal(splitting.add_splits(facts, DEFAULT_SEED), official)


@needs_shared
def test_project_manifest_agrees_with_the_list_of_official_files(official):
    listed = manifests.from_listing(SHARED / "cnmc" / "lists" / "official_files.csv")
    pd.testing.assert_frame_equal(listed, official[list(COLUMNS)])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("sha256", None, "lacks the column sha256"),
        ("label", ["all", "aml", "all"], "'aml'.*UID_1_1_1_all.bmp"),
        ("file", ["a/UID_0_1_1_all.bmp", "x", "b/UID_0_1_1_all.bmp"], "UID_0_1_1_all.bmp more th"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(table, column, values, message):
    wrong = table.assign(**{column: values}) if values else table.drop(columns=column)
    with pytest.raises(InputError, match=message):
        manifests.check(wrong)


def test_missing_and_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        manifests.read(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is empty: its first line must name"):
        manifests.read(tmp_path / "empty.csv")
    (tmp_path / "rows.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(InputError, match="lists no cells"):
        manifests.read(tmp_path / "rows.csv")


@pytest.fixture
def official_folder(tmp_path):
    """The official layout in small: a training fold with h3, and the preliminary test."""
    training = tmp_path / "C-NMC_training_data" / "fold_2"
    preliminary = tmp_path / "C-NMC_test_prelim_phase_data"
    files = {
        training / "all" / "UID_1_1_1_all.bmp": b"a",
        training / "hem" / "UID_h3_4_1_hem.bmp": b"b",
        preliminary / "1.bmp": b"c",
        preliminary / "2.bmp": b"d",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    lines = [
        "Patient_ID,new_names,labels",
        "UID_57_1_1_all.bmp,1.bmp,1",
        "UID_H31_1_1_hem.bmp,2.bmp,0",
    ]
    (tmp_path / PRELIMINARY_TABLE).write_text("\n".join(lines))
    return tmp_path


def test_manifest_of_an_official_folder(official_folder):
    table = manifests.from_folder(official_folder)
    assert sorted(zip(table["patient"], table["label"], strict=True)) == [
        ("1", "all"),
        ("57", "all"),
        ("H31", "hem"),
        ("h3", "hem"),
    ]
    assert table["fold"].tolist() == ["fold_2", "fold_2", "", ""]


def test_flipped_preliminary_labels_are_noticed(official_folder):
    path = official_folder / PRELIMINARY_TABLE
    path.write_text(path.read_text().replace("1.bmp,1", "1.bmp,0"))
    with pytest.raises(InputError, match="expected 1 for all"):
        manifests.from_folder(official_folder)


def test_label_that_contradicts_its_folder_is_refused(official_folder):
    source = official_folder / "C-NMC_training_data/fold_2/all/UID_1_1_1_all.bmp"
    source.rename(source.with_name("UID_1_1_1_hem.bmp"))
    with pytest.raises(InputError, match="folder of all but is named hem"):
        manifests.from_folder(official_folder)


def test_folder_without_official_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="no official files"):
        manifests.from_folder(tmp_path)


@pytest.mark.parametrize("other", ["final_test", "test", "A_test", "copy/C-NMC_test_final_phase"])
def test_labels_of_the_preliminary_test_are_for_its_own_images(official_folder, other):
    for number in "12":
        path = official_folder / other / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"final" + number.encode())
    table = manifests.from_folder(official_folder)
    files = table["file"][table["part"] == "preliminary_test"]
    assert files.tolist() == [f"C-NMC_test_prelim_phase_data/{k}.bmp" for k in "12"]
    left_out = manifests.left_out(official_folder, table)
    assert left_out["file"].tolist() == [f"{other}/{k}.bmp" for k in "12"]


def test_preliminary_images_beside_the_table_are_found_and_twice_is_refused(official_folder):
    own = official_folder / "C-NMC_test_prelim_phase_data"
    for number in "12":
        (official_folder / f"{number}.bmp").write_bytes((own / f"{number}.bmp").read_bytes())
    with pytest.raises(InputError, match=r"names 1.bmp, which is twice"):
        manifests.from_folder(official_folder)
    for number in "12":
        (own / f"{number}.bmp").unlink()
    (official_folder / "2.bmp").rename(official_folder / "C-NMC_training_data" / "2.bmp")
    with pytest.raises(InputError, match="2.bmp, which is not beside it"):
        manifests.from_folder(official_folder)


def test_official_files_are_known_by_any_suffix_and_case(tmp_path):
    for name in ("ALL/UID_1_1_1_all.BMP", "HEM/uid_h3_1_1_HEM.png", "x/UID_2_1_1_all.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    table = manifests.from_folder(tmp_path)
    assert dict(zip(table["patient"], table["label"], strict=True)) == {
        "1": "all",
        "h3": "hem",
        "2": "all",
    }


@pytest.mark.parametrize("content", [b"\x00\xff\xfe" * 50, "a,b\n1,2\n".encode("utf-16"), b""])
def test_a_list_that_is_no_table_is_refused_in_one_sentence(tmp_path, content):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"list\.csv"):
        manifests.from_listing(tmp_path / "list.csv")
