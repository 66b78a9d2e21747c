"""What tests of cells share."""

import pytest

from allhelpers.data import manifest as manifests
from allhelpers.data.manifest import PROJECT_MANIFEST


@pytest.fixture(scope="session")
def official():
    """The project's manifest of C-NMC 2019."""
    return manifests.read(PROJECT_MANIFEST)


@pytest.fixture
def own(make_settings, tmp_path):
    """Settings of the user's own cells in folders; keywords overrule."""

    def make(place=tmp_path / "mine", **changes):
        values = {"images": str(place), "manifest": "folders", "image_size": 0, "input_size": 64}
        values |= {"split": "patient", "cache_folder": str(tmp_path / "cache")}
        return make_settings(**{**values, "run_folder": str(tmp_path / "run"), **changes})

    return make
