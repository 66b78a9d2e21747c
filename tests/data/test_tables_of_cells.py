"""Tables of cells as people write them: the same cells, or one sentence; never another reading."""

import csv
import io
import unicodedata
from contextlib import suppress

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allhelpers._core.errors import InputError
from allhelpers.data import manifest as manifests
from allhelpers.data import short_tables
from allhelpers.data.manifest import PROJECT_MANIFEST

ROWS = [("b0.png", "blast", "p1"), ("ü b1.png", "blast", "p2"), ("x/h0.png", "gesund, frei", "007")]


def written(header, rows=ROWS, separator=","):
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue()


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "cells.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return short_tables.read(path)


def values(table):
    return [tuple(row) for row in table[["file", "label", "patient"]].to_numpy().tolist()]


PLAIN = written(["file", "label", "patient"])


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\n\n" + PLAIN + ",,\n\n",
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace("patient\n", "patient,\n"),
        "sep=,\n" + PLAIN,
        "sep=;\n" + written(["file", "label", "patient"], separator=";"),
        written(["file", "label", "patient"], separator=";"),
        written(["file", "label", "patient"], separator="\t"),
        *(
            written(names)
            for names in (
                ["File", "LABEL", "Patient"],
                ["filename", "class", "patient_id"],
                [" file", "label ", "\u200bsubject\xa0"],
                ["Image", "Diagnosis", "Case ID"],
                ["image_path", "Category", "Patient_ID"],
            )
        ),
        written(
            ["file", "label", "patient"], [(f"./{f}", f" {c}\xa0", f"{p} ") for f, c, p in ROWS]
        ),
        unicodedata.normalize("NFD", PLAIN),
        written(["", "file", "age", "label", "patient"], [("1", f, "9", *r) for f, *r in ROWS]),
    ],
)
def test_tables_that_mean_the_same_are_read_alike(tmp_path, text):
    assert values(read(tmp_path, text)) == ROWS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        (written(["file", "label", "patiant"]), "'patiant', which looks like patient"),
        (written(["file", "lable", "patient"]), "'lable', which looks like label"),
        (written(["file", "label", "class"]), "2 columns that can be the label"),
        (written(["subject", "label", "patient"]), r"2 columns that can be the patient \(subj"),
        (written(["file", "label", "label"]), "2 columns that can be the label"),
        (written(["picture", "number", "x"]), "no column label among"),
        ("b0.png,blast\nb1.png,blast\n", "first line must name the columns file, label"),
        (PLAIN.encode("cp1252"), "not in UTF-8"),
        (PLAIN.replace("x/", "\0"), "holds NUL"),
        (PLAIN + '"a,b,c\n', "quotation mark"),
        (PLAIN + "a.png,one,two,three\n", "Line 5 .*has 4 values but there are 3 columns"),
        (PLAIN.encode("utf-16-le"), "NUL|UTF-8"),
        (written(["file", "label", "patient", "sha256"], []), "a column sha256 but no part, fold"),
    ],
)
def test_tables_with_two_readings_are_refused_in_words_of_short_tables(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        read(tmp_path, text)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("a.png", "ALL", "1"), ("b.png", "all", "2")], "classes .* spelling"),
        (
            [("a.png", "blast", "1"), ("b.png", "bl\u0430st", "2")],
            "classes .* spelling",
        ),  # Cyrillic
        ([("a.png", "x", "P1"), ("b.png", "y", "p1")], "patients .* spelling"),
        ([("a.png", "x", "6"), ("b.png", "y", "6.0")], "patients .* spelling"),
        ([("a.png", "x", "1"), ("./a.png", "y", "2")], "more than once"),
        ([("a.png", "x", "1"), ("b.png", "", "2")], "names no label for b.png"),
        ([("a.png", "x", "1"), ("b.png", "y", "")], "names no patient for b.png"),
    ],
)
def test_one_thing_in_two_spellings_is_asked_about(tmp_path, rows, sentence):
    table = read(tmp_path, written(["file", "label", "patient"], rows))
    whole = table.assign(part="training", fold="", sha256=[str(k) for k in range(len(table))])
    with pytest.raises(InputError, match=sentence):
        manifests.check(whole, "cells.csv")


@pytest.mark.parametrize("names", [["0", "NA", "True", "1e3"], ["007", "7", "1e2", "100", "NaN"]])
def test_names_that_programs_like_to_change_stay(tmp_path, names):
    rows = [(f"{k}.png", name, name) for k, name in enumerate(names)]
    table = read(tmp_path, written(["file", "label", "patient"], rows))
    assert table["label"].tolist() == table["patient"].tolist() == names
    whole = table.assign(part="training", fold="", sha256=table["file"])
    assert manifests.check(whole)["label"].tolist() == names


def test_a_short_table_says_which_label_it_corrects(tmp_path):
    table = pd.DataFrame({"file": ["UID_1_1_1_all.bmp"], "label": ["hem"], "corrected_from": "all"})
    table.to_csv(tmp_path / "cells.csv", index=False)
    read = short_tables.read(tmp_path / "cells.csv")
    assert read["corrected_from"].tolist() == ["all"]
    assert not read.attrs["notes"]


def test_capital_sha256_is_the_same(tmp_path):
    whole = manifests.read(PROJECT_MANIFEST).head(20)
    path = tmp_path / "capital.csv"
    whole.assign(sha256=whole["sha256"].str.upper()).to_csv(path, index=False)
    pd.testing.assert_frame_equal(manifests.read(path), whole, check_dtype=False)


BLANKS = st.sampled_from(["", " ", "\xa0", "\u200b", "\t "])
NAMES = st.text(st.sampled_from("abÄé1 ,;'\"-"), min_size=1, max_size=8).filter(
    lambda name: name.strip() == name and "  " not in name
)
HEADERS = st.tuples(
    st.sampled_from(["file", "File", "filename", "image path", "Picture"]),
    st.sampled_from(["label", "CLASS", "Diagnosis", "cell_type"]),
    st.sampled_from(["patient", "Patient_ID", "subject", "Case"]),
)


@given(
    HEADERS,
    st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["NFC", "NFD"]),
    st.permutations([0, 1, 2]),
    BLANKS,
)
def test_same_cells_whatever_the_table_looks_like(
    tmp_path_factory, header, rows, separator, encoding, form, order, blank
):
    def shuffled(row):
        return [unicodedata.normalize(form, row[place]) for place in order]

    around = [[f"{blank}{cell}{blank}" for cell in shuffled(row)] for row in rows]
    text = written(shuffled(header), around, separator)
    folder = tmp_path_factory.getbasetemp()
    table = read(folder, text, encoding)
    assert values(table) == [tuple(unicodedata.normalize("NFC", c) for c in row) for row in rows]


@settings(max_examples=50)
@given(st.text(max_size=40), st.sampled_from(["", "file,label\n", "file;label;patient\n"]))
def test_any_text_is_a_table_or_one_sentence(tmp_path_factory, text, start):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes((start + text).encode("utf-8", "surrogatepass"))
    try:
        table = short_tables.read(path)
    except InputError:
        return
    assert {"file", "label"} <= set(table)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(content)
    with suppress(InputError):
        short_tables.read(path)
