"""Damaged and hostile inputs, generated: each ends in success or in one sentence.

Nothing is written elsewhere.
"""

import contextlib
import hashlib
import random
import signal
import tarfile
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from allhelpers._core.errors import InputError
from allhelpers.data import manifest as manifests
from allhelpers.data import spelling, splitting, synthetic
from allhelpers.data.manifest import OFFICIAL_CLASSES
from allhelpers.running import parameters, planning
from allhelpers.settings import RunSettings, validate
from tests import commands

QUICK, ALL = 12, 125  # inputs of each kind; four kinds
NUMBERS = [-1, 0, 1e308, float("nan"), 2**70, True, None]
ODD_VALUES = [*NUMBERS, "", "x" * 10**5, "../..", "1/0", [], {}, [[]], {"a": {"b": 1}}]
PATIENCE = 30  # seconds for one input
REQUIRED = {"architectures": "mobilenet", "weights": "random"}


@pytest.fixture(params=[QUICK, pytest.param(ALL, marks=pytest.mark.slow)])
def inputs(request):
    """Seeds of the inputs."""
    return range(request.param)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder of 16 cells of 16 patients, and its manifest."""
    folder = synthetic.draw_sample(tmp_path_factory.mktemp("hostile") / "cells", 16)
    return folder, manifests.from_folder(folder)


@contextlib.contextmanager
def time_limit():
    def late(*_):
        raise TimeoutError(f"no answer after {PATIENCE} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(*arguments):
    """The status of a command; any exception that the command line lets through fails the test."""
    with time_limit():
        done = commands.command(*arguments)
    sentences = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert (done.status, len(sentences)) in ((0, 0), (1, 1)), done.err
    return done.status


def audit(folder, images, table):
    """Everything up to decoded cells, by the command line."""
    places = ("--cache-folder", folder / "cache", "--output", folder / "run")
    return command("audit", "--images", images, "--manifest", table, "--split", "patient", *places)


def damage(content, draw):
    """One of the things that happen to files."""
    content = bytearray(content)
    kind = draw.choice(
        ["flip", "flips", "header", "cut", "zeros", "insert", "random", "empty", "swap"]
    )
    if kind == "empty":
        return b""
    if kind == "random":
        return draw.randbytes(draw.randrange(1, 5000))
    if kind == "cut":
        return bytes(content[: draw.randrange(len(content))])
    if kind == "insert":
        place = draw.randrange(len(content))
        return bytes(content[:place] + draw.randbytes(draw.randrange(1, 100)) + content[place:])
    if kind == "swap":
        half = len(content) // 2
        return bytes(content[half:] + content[:half])
    places = {"flip": 1, "flips": 50, "header": 4, "zeros": 200}[kind]
    for _ in range(places):
        place = draw.randrange(min(60, len(content)) if kind == "header" else len(content))
        content[place] = 0 if kind == "zeros" else content[place] ^ (1 << draw.randrange(8))
    return bytes(content)


def refusal(attempt):
    """What an attempt is refused with; empty if it succeeds."""
    try:
        with time_limit():
            attempt()
    except InputError as error:
        return str(error)
    return ""


def nothing_else_was_written(folder, *expected):
    return {path.name for path in folder.iterdir()} <= {"run", "cache", *expected}


def test_damaged_images(small, tmp_path, inputs, monkeypatch):
    """Half of them are what the manifest lists, so that the decoder has to deal with them."""
    monkeypatch.chdir(tmp_path)
    folder, table = small
    statuses = []
    for seed in inputs:
        draw, here = random.Random(seed), tmp_path / str(seed)
        images = here / "images"
        images.mkdir(parents=True)
        damaged = draw.randrange(len(table))
        listed = table.copy()
        for number, file in enumerate(table["file"]):
            content = (folder / file).read_bytes()
            if number == damaged:
                image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
                content = damage(
                    cv2.imencode(draw.choice([".bmp", ".png", ".jpg"]), image)[1].tobytes(), draw
                )
            (images / manifests.base_name(file)).write_bytes(content)
        if seed % 2:
            content = (images / manifests.base_name(table["file"][damaged])).read_bytes()
            listed.loc[damaged, "sha256"] = hashlib.sha256(content).hexdigest()
        listed.to_csv(here / "manifest.csv", index=False)
        statuses.append(audit(here, images, here / "manifest.csv"))
        assert nothing_else_was_written(here, "images", "manifest.csv")
    assert set(statuses) <= {0, 1}
    assert 1 in statuses
    assert {path.name for path in tmp_path.iterdir()} <= set(map(str, inputs))


def malformed(table, kind, draw):
    """A manifest that is none any more, or hardly one."""
    text = table.to_csv(index=False).encode()
    if kind == 0:
        return damage(text, draw)
    if kind == 1:
        return table.drop(columns=draw.choice(list(table.columns))).to_csv(index=False).encode()
    if kind == 2:
        return text + draw.choice(text.splitlines(keepends=True))
    if kind == 3:
        return text.replace(
            b",", draw.choice([b";", b"\t", b",,", b'"', b"\x00"]), draw.randrange(1, 50)
        )
    if kind == 4:
        return text.replace(
            b"all", draw.choice([b"aml", b"", b"../../x", b"<script>", b"A" * 10**5]), 3
        )
    return text.decode().encode(draw.choice(["utf-16", "utf-32", "cp037"]))


def test_malformed_manifests(small, tmp_path, inputs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, table = small
    statuses = []
    for seed in inputs:
        draw, here = random.Random(seed), tmp_path / str(seed)
        here.mkdir()
        (here / "manifest.csv").write_bytes(malformed(table, seed % 6, draw))
        statuses.append(audit(here, folder, here / "manifest.csv"))
        assert nothing_else_was_written(here, "manifest.csv")
    assert 1 in statuses


def test_malformed_settings(tmp_path, inputs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {
        **REQUIRED,
        "split": "patient",
        "epochs": 3,
        "learning_rate": 0.1,
        "unfreeze": {"mobilenet": "all"},
    }
    refused = 0
    for seed in inputs:
        draw = random.Random(seed)
        chosen = dict(good)
        for _ in range(draw.randrange(1, 4)):
            name = draw.choice([*RunSettings.model_fields, "__class__", "lambda", ""])
            chosen[name] = draw.choice(ODD_VALUES)
        text = yaml.safe_dump(chosen).encode()
        if seed % 2:
            text = damage(text, draw)
        (tmp_path / "settings.yaml").write_bytes(text)
        sentence = refusal(
            lambda: planning.plan_run(parameters.read_file(tmp_path / "settings.yaml"))
        )
        refused += bool(sentence)
        assert len(sentence) < 1100
        assert [path.name for path in tmp_path.iterdir()] == ["settings.yaml"]
    assert refused


def test_damaged_archives(small, tmp_path, inputs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, table = small
    table.to_csv(tmp_path / "manifest.csv", index=False)
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", zipfile.ZIP_DEFLATED) as stream:
        for file in table["file"]:
            stream.write(folder / file, file)
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as stream:
        stream.add(folder, "cells")
    statuses = []
    for seed in inputs:
        draw, here = random.Random(seed), tmp_path / str(seed)
        here.mkdir()
        name = draw.choice(["whole.zip", "whole.tar.gz"])
        (here / name).write_bytes(damage((tmp_path / name).read_bytes(), draw))
        statuses.append(audit(here, here / name, tmp_path / "manifest.csv"))
        assert nothing_else_was_written(here, name)
    assert 1 in statuses


cells_of_patients = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from(["all", "hem"]), st.integers(0, 30)),
    min_size=1,
    max_size=80,
)


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    cells_of_patients, st.integers(0, 5), st.sampled_from(["patient", "patient:1/3", "patient:3/3"])
)
def test_split_by_patient_never_divides_patients_or_identical_images(cells, seed, split):
    """Whatever the patients and whichever share an image: it is drawn so, or refused."""
    table = pd.DataFrame(cells, columns=["patient", "label", "content"]).astype({"patient": str})
    table["sha256"] = table.pop("content").astype(str)
    table["file"] = [f"{number}.bmp" for number in range(len(table))]
    table = table.assign(part="training", fold="fold_0")
    try:
        drawn = splitting.draw(table, split, seed)
    except InputError:
        return
    used = table.assign(split=drawn)[drawn != ""]
    assert used.groupby("patient")["split"].nunique().max() == 1
    assert used.groupby("sha256")["split"].nunique().max() == 1
    shuffled = table.sample(frac=1, random_state=seed)
    assert splitting.draw(shuffled, split, seed).sort_index().equals(drawn)


texts = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00\r\n/\\"),
    min_size=1,
    max_size=30,
)


@hypothesis_settings(max_examples=100)
@given(
    st.lists(st.tuples(texts, st.sampled_from(OFFICIAL_CLASSES), texts), min_size=1, max_size=10)
)
def test_manifest_with_any_names_is_read_as_it_was_written_or_refused(tmp_path_factory, rows):
    table = pd.DataFrame(rows, columns=["file", "label", "patient"]).assign(
        part="training", fold="", sha256="x"
    )
    path = tmp_path_factory.mktemp("manifest") / "m.csv"
    table.to_csv(path, index=False)
    try:
        read = manifests.read(path)
    except InputError:
        return
    # Blanks around, invisible characters and the form of letters may be mended, nothing else.
    tidied = [[spelling.tidy_path(file), label, spelling.tidy(who)] for file, label, who in rows]
    there = [
        [spelling.tidy_path(file), label, spelling.tidy(who)]
        for file, label, who in zip(
            *(read[name] for name in ("file", "label", "patient")), strict=True
        )
    ]
    assert there == tidied


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
any_value = st.recursive(plain, lambda inner: st.lists(inner, max_size=3))


@hypothesis_settings(max_examples=200)
@given(any_value, st.sampled_from(list(RunSettings.model_fields)))
def test_any_value_of_any_setting_is_taken_or_refused_in_one_sentence(value, name):
    sentence = refusal(lambda: validate(RunSettings, {name: value}))
    assert not sentence or name in sentence or str(value).strip() in sentence
