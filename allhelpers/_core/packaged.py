"""Where the project's own files lie: at the top of a checkout, or inside an installed package.

``setup.py`` copies manifest, notebooks, settings, sweeps and kept results into a wheel.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSIDE = _PACKAGE / "packaged"


def packaged(name: str | Path) -> Path:
    """A file or folder of the project, such as ``notebooks``, in a checkout and installed alike."""
    return (_INSIDE if _INSIDE.is_dir() else _PACKAGE.parent) / name


def home() -> Path:
    """Where runs go that name no folder: a checkout, or where the user of a package stands."""
    return Path.cwd() if _INSIDE.is_dir() else _PACKAGE.parent


def named(path: str | Path) -> Path:
    """A file as the user names it; where there is none, the project's own file of that name."""
    own = packaged(path)
    return own if own.is_file() and not Path(path).exists() else Path(path)
