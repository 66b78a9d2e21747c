"""A figure is drawn once: what the notebook shows is what the report gets."""

import base64
import io

import numpy as np
import pytest
from IPython import display
from PIL import Image

from allhelpers import plotting
from allhelpers.plotting import base


@pytest.fixture
def shown(monkeypatch):
    """What is sent to the notebook."""
    sent = []
    monkeypatch.setattr(display, "display", lambda data, raw: sent.append(data))
    return sent


def line():
    figure, ax = base.new_figure(2)
    ax.plot([0, 1], [1, 0])
    return figure


def test_the_notebook_shows_the_kept_picture_without_drawing_again(tmp_path, monkeypatch, shown):
    figure = plotting.keep(line, tmp_path, "x")
    monkeypatch.setattr(base.DrawnOnce, "_draw", lambda self: pytest.fail("drawn again"))
    figure._ipython_display_()
    picture = Image.open(io.BytesIO(base64.b64decode(shown[0]["image/png"])))
    kept = Image.open(tmp_path / "figures" / "x.webp")
    assert picture.size == kept.size == (900, 200)
    assert np.abs(np.asarray(picture, int) - np.asarray(kept.convert("RGB"), int)).mean() < 2


def test_a_figure_that_was_changed_is_drawn_again(tmp_path):
    figure = plotting.keep(line, tmp_path, "x")
    before = np.asarray(figure.picture())
    figure.axes[0].set_title("changed")
    assert not np.array_equal(before, np.asarray(figure.picture()))


def test_main_figures_leave_out_the_others_and_those_of_an_earlier_training(tmp_path, caplog):
    plotting.keep(line, tmp_path, "mistakes")
    with caplog.at_level("INFO"):
        drawn = plotting.keep(lambda: pytest.fail("drawn"), tmp_path, "mistakes", wanted=False)
    assert drawn is None
    assert "mistakes is left out" in caplog.text
    assert not (tmp_path / "figures" / "mistakes.webp").exists()
