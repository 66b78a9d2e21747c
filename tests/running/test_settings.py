import os

import pytest

from allhelpers import settings
from allhelpers._core import renaming
from allhelpers._core.errors import InputError
from allhelpers._core.renaming import RENAMED
from allhelpers.running import parameters
from allhelpers.settings import (
    CollapseSettings,
    OwnCellsSettings,
    RunSettings,
    TrainingSettings,
    validate,
)


def test_defaults_are_the_papers():
    run = RunSettings()
    assert (run.epochs, run.batch_size, run.learning_rate, run.momentum, run.split) == (
        100,
        32,
        1e-4,
        0.9,
        "paper",
    )
    assert run.names == ["mobilenet", "vgg16", "resnet50"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "'epoch' is not a setting: choose from .*epochs"),
        ({"epochs": -1}, "epochs = -1 cannot be used"),
        ({"epochs": "ten"}, "epochs = 'ten' cannot be used"),
        ({"epochs": 1.5}, "epochs = 1.5 cannot be used"),
        ({"learning_rate": 0}, "learning_rate = 0 cannot be used"),
        ({"split": "random"}, "^split = 'random' is not a rule: choose paper"),
        ({"positive": True}, "put it in quotes"),
        ({"allow_subset": "maybe"}, "allow_subset = 'maybe' cannot be used"),
        ({"epochs": "1:30"}, "epochs = '1:30' cannot be used"),
        ({"Epochs": 3}, "'Epochs' is not a setting: choose from epochs"),
        ({"classes": ["a", "b"]}, "separate several by commas"),
        ({"images": "a\0b"}, "holds what no file or name can"),
        ({"images": "cells/" + "x" * 300}, "images = .* has a name of more than 255 bytes"),
        ({"cache_folder": "\ud800"}, "holds what no file or name can"),
        ({"architectures": "mobilenet,lenet"}, "'lenet' is not an architecture"),
    ],
)
def test_wrong_settings_are_one_sentence(values, message):
    with pytest.raises(InputError, match=message) as caught:
        validate(RunSettings, values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("positive", 0, "0"),
        ("positive", "yes", "yes"),
        ("positive", "007", "007"),
        ("split", "0:1", "0:1"),
        ("seed", "010", 10),
        ("allow_subset", "yes", True),
        ("overwrite", "Off", False),
        ("learning_rate", "1e-4", 1e-4),
        ("images", "~/cells", os.path.expanduser("~/cells")),
    ],
)
def test_what_is_asked_for_tells_a_text_from_a_number_or_yes(name, given, meant):
    assert getattr(validate(RunSettings, {name: given}), name) == meant


def test_notebook_hands_over_its_plain_lower_case_values():
    namespace = {"split": "patient", "ARCHITECTURE": "x", "_dh": [1], "os": settings, "epochs": 3}
    assert parameters.from_notebook(TrainingSettings, namespace).epochs == 3


def test_cells_that_are_run_again_may_have_defined_more_names():
    namespace = {"epochs": 3}
    parameters.from_notebook(TrainingSettings, namespace)
    namespace |= {"title": "MobileNet", "epochs": 4}
    assert parameters.from_notebook(TrainingSettings, namespace).epochs == 4


def test_misspelt_parameter_of_a_second_run_is_an_error():
    namespace = {"epochs": 3}
    parameters.from_notebook(TrainingSettings, namespace)
    namespace |= {"epoch": 4, "__annotations__": {"epoch": int}}
    with pytest.raises(InputError, match="'epoch' is not a setting"):
        parameters.from_notebook(TrainingSettings, namespace)


def test_misspelt_notebook_parameter_is_an_error():
    with pytest.raises(InputError, match="'epoch' is not a setting"):
        parameters.from_notebook(TrainingSettings, {"epoch": 3})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "5", 5),
        ("learning_rate", "1e-4", 1e-4),
        ("weights", "random", "random"),
        ("weights", "mobilenet=a.h5,vgg16=random", {"mobilenet": "a.h5", "vgg16": "random"}),
        ("epochs", "mobilenet=5,vgg16=1", {"mobilenet": 5, "vgg16": 1}),
        ("weights", "odd=name.h5", "odd=name.h5"),
        ("images", "2019", "2019"),
        ("architectures", "mobilenet,vgg16", "mobilenet,vgg16"),
        ("epochs", "ten", "ten"),
        ("epochs", "[", "["),
        ("average", "mobilenet=4", {"mobilenet": 4}),
    ],
)
def test_text_of_the_command_line_becomes_values(name, text, value):
    assert parameters.parse_value(RunSettings, name, text) == value


def test_values_per_architecture():
    values = {"epochs": {"mobilenet": 5}, "split": "paper"}
    assert parameters.per_architecture(values, "mobilenet") == {"epochs": 5, "split": "paper"}
    assert parameters.per_architecture(values, "vgg16") == {"split": "paper"}
    with pytest.raises(InputError, match="'lenet' is not an architecture"):
        parameters.per_architecture({"epochs": {"lenet": 5}}, "vgg16")
    with pytest.raises(InputError, match="split takes one value"):
        parameters.per_architecture({"split": {"vgg16": "paper"}}, "vgg16")


@pytest.mark.parametrize(
    "content", ["- a\n- b", "a: [", "just text", "", "a: !!python/object:os.system {}"]
)
def test_settings_files_that_are_none(tmp_path, content):
    (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(InputError, match="write one 'name: value' per line"):
        parameters.read_file(tmp_path / "s.yaml")


@pytest.fixture
def warnings(caplog):
    """What is warned of, from the beginning."""
    renaming.warn.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records]


def test_former_names_are_read_from_files_with_one_warning(tmp_path, warnings):
    (tmp_path / "old.yaml").write_text("average: {vgg16: 4}\nhidden: 8\noptimiser: adam\n")
    for _ in range(2):
        values = parameters.read_file(tmp_path / "old.yaml")
    assert values == {"tta": {"vgg16": 4}, "hidden_units": 8, "optimizer": "adam"}
    expected = [
        f"The setting {old} is called {RENAMED[old]} now: write {RENAMED[old]}."
        for old in ("average", "hidden", "optimiser")
    ]
    assert warnings() == expected


def test_former_name_that_is_given_to_a_notebook_counts(warnings):
    """Papermill puts its values behind the parameters cell, which has today's names."""
    namespace = {"tta": 1, "epochs": 3, "average": 4, "__annotations__": {"tta": int}}
    settings = parameters.from_notebook(TrainingSettings, namespace)
    assert (settings.tta, settings.epochs) == (4, 3)
    assert warnings() == ["The setting average is called tta now: write tta."]


def test_every_former_name_is_a_setting_no_more():
    names = {*RunSettings.model_fields, *OwnCellsSettings.model_fields}
    assert names >= set(RENAMED.values())
    assert not names & set(RENAMED)
    given = validate(RunSettings, {"norm_momentum": 0.5, "features": "float32"})
    assert (given.batch_norm_momentum, given.feature_dtype) == (0.5, "float32")


def test_settings_files_of_the_project_are_valid():
    from tests.helpers import ROOT

    for path in (ROOT / "settings").glob("*.yaml"):
        values = parameters.read_file(path)
        for architecture in validate(RunSettings, parameters.per_architecture(values, None)).names:
            validate(RunSettings, parameters.per_architecture(values, architecture))


def test_every_setting_explains_itself():
    assert all(field.description for field in RunSettings.model_fields.values())


def test_seeds_of_the_study_are_numbers():
    assert CollapseSettings(seeds="7,8").seed_list == [7, 8]
    with pytest.raises(InputError, match="seeds = 'a,b' cannot be used"):
        validate(CollapseSettings, {"seeds": "a,b"})
