"""What the notebooks do in Colab, with stand-ins for Colab's own modules."""

import sys
import types
import zipfile

import pytest

from allhelpers import __version__
from allhelpers._core.errors import InputError
from allhelpers.running import colab, messages, parameters
from allhelpers.settings import DataSettings


@pytest.fixture
def in_colab(monkeypatch):
    """Colab's modules as far as they are used; returns what they were asked to do."""
    asked = []
    google, inner = types.ModuleType("google"), types.ModuleType("google.colab")
    inner.drive = types.SimpleNamespace(mount=lambda place: asked.append(("mount", place)))
    inner.files = types.SimpleNamespace(download=lambda file: asked.append(("download", file)))
    google.colab = inner
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", inner)

    class Button:
        def __init__(self, **_):
            asked.append(self)

        def on_click(self, action):
            self.click = lambda: action(self)

    monkeypatch.setitem(sys.modules, "ipywidgets", types.SimpleNamespace(Button=Button))
    monkeypatch.setattr("IPython.display.display", lambda *_: None)
    return asked


def test_results_on_drive_by_one_setting(in_colab):
    settings = parameters.from_notebook(
        DataSettings, {"run_folder": "drive/cells/first", "images": "sample"}
    )
    assert settings.run_folder == "/content/drive/MyDrive/cells/first"
    assert in_colab == [("mount", "/content/drive")]


def test_drive_is_left_alone_where_nothing_lies_there(in_colab):
    assert parameters.from_notebook(DataSettings, {"images": "drive.zip"}).images == "drive.zip"
    assert in_colab == []


def test_outside_of_colab_drive_is_a_folder_like_any_other():
    assert (
        parameters.from_notebook(DataSettings, {"run_folder": "drive/cells"}).run_folder
        == "drive/cells"
    )


def test_notebook_of_another_version_is_refused():
    colab.check_version(__version__)
    with pytest.raises(
        InputError, match=r"notebook is of version 0\.0\.1.*open the project's own copy"
    ):
        colab.check_version("0.0.1")


def test_button_downloads_models_report_and_tables(in_colab, tmp_path):
    wanted = {"report.html", "comparison.csv", "mobilenet/model.keras", "mobilenet/metrics.json"}
    for name in (*wanted, "notebooks/1.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    colab.offer(tmp_path)
    in_colab[0].click()
    assert in_colab[1] == ("download", str(tmp_path / "results.zip"))
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert set(archive.namelist()) == wanted


def test_elsewhere_the_place_of_the_results_is_said(tmp_path, capsys):
    messages.show()
    colab.offer(tmp_path)
    assert str(tmp_path) in capsys.readouterr().out
    assert not (tmp_path / "results.zip").exists()
