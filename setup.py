"""The wheel also takes in files from the top of the repository, as ``allhelpers/packaged``.

Everything else is in pyproject.toml; `allhelpers/_core/packaged.py` finds these files again.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGED = (
    "data_manifest.csv",
    "notebooks/*.ipynb",
    "settings/*.yaml",
    "sweeps/*.yaml",
    "results/*.csv",
)


class BuildWithFiles(build_py):
    """Files for a wheel and an sdist; an editable install reads them in place."""

    def get_source_files(self):
        """What an sdist holds."""
        return [*super().get_source_files(), *self._packaged()]

    def run(self):
        """Copy the package, then the files."""
        super().run()
        if self.editable_mode:
            return
        for name in self._packaged():
            target = Path(self.build_lib, "allhelpers", "packaged", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)

    @staticmethod
    def _packaged():
        return [str(path) for pattern in PACKAGED for path in sorted(Path().glob(pattern))]


setup(cmdclass={"build_py": BuildWithFiles})
