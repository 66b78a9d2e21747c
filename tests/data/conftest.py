"""What tests of cells of the user's own share."""

import pytest


@pytest.fixture
def own(make_settings, tmp_path):
    """Settings of cells in folders; keywords overrule."""

    def make(place=tmp_path / "mine", **changes):
        values = {"images": str(place), "manifest": "folders", "image_size": 0, "input_size": 64}
        values |= {"split": "patient", "cache_folder": str(tmp_path / "cache")}
        return make_settings(**{**values, "run_folder": str(tmp_path / "run"), **changes})

    return make
