"""What is different in Google Colab: results on Google Drive, downloads, the project's place.

There a path that begins with ``drive/`` lies in the user's Google Drive, and so stays through
disconnects and from one day to the next; elsewhere it is a path like any other.
"""

from __future__ import annotations

import logging
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import RESEARCH_ONLY, __version__
from .._core.errors import InputError
from .._core.files import atomic

DRIVE = "drive/"
MOUNT = Path("/content/drive")
# Settings that may lie there.
ON_DRIVE = ("images", "manifest", "weights", "model", "run_folder", "new_images")
OFFERED = ("*.csv", "*.html", "*.yaml", "*.json", "*/*.csv", "*/*.json", "*/*.md", "*/*.keras")

logger = logging.getLogger(__name__)


def inside() -> bool:
    """Whether this is Colab."""
    return "google.colab" in sys.modules


def check_version(notebook: str) -> None:
    """Stop where a notebook belongs to another version of the project than the one that is there.

    Parameters
    ----------
    notebook : str
        The notebook's version.

    Raises
    ------
    InputError
        If it is not the project's.

    Examples
    --------
    >>> check_version(__version__)
    """
    if notebook != __version__:
        where = Path(__file__).parents[2]
        raise InputError(
            f"This notebook is of version {notebook}, but the project in {where} is "
            f"{__version__}: open the project's own copy of the notebook, or fetch the project "
            "again (in Colab: Runtime > Disconnect and delete runtime)."
        )


def place(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace paths that begin with ``drive/`` by those in Google Drive, mounted if need be."""
    there = {
        name: str(MOUNT / "MyDrive" / value.removeprefix(DRIVE))
        for name, value in values.items()
        if inside() and name in ON_DRIVE and str(value).startswith(DRIVE)
    }
    if there:
        from google.colab import drive

        drive.mount(str(MOUNT))
    return {**values, **there}


def pack(run_folder: str | Path) -> Path:
    """Put the models, the report and the tables of a run into one zip file."""
    folder = Path(run_folder)
    files = sorted({path for pattern in OFFERED for path in folder.glob(pattern)})
    path = folder / "results.zip"
    with (
        atomic(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for file in files:
            archive.write(file, file.relative_to(folder))
    return path


def offer(run_folder: str | Path) -> None:
    """Show a button that downloads the results, in Colab; elsewhere say where they are.

    Parameters
    ----------
    run_folder : str or Path

    Examples
    --------
    >>> from allhelpers.running import messages
    >>> messages.show()
    >>> offer("first")  # doctest: +ELLIPSIS
    results: ...first. Research only, not for diagnosis.
    """
    logger.info("results: %s. %s", Path(run_folder).absolute(), RESEARCH_ONLY)
    if inside():
        import ipywidgets
        from google.colab import files
        from IPython.display import display

        button = ipywidgets.Button(description="Download the results", icon="download")
        button.on_click(lambda _: files.download(str(pack(run_folder))))
        display(button)
