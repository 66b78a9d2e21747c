"""Other versions of Python on this machine, and environments of their own for them."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def find(version):
    """An interpreter of that version, from the path or from pyenv; ``None`` where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(pyenv.glob(f"{version}.*/bin/python{version}")),
    ]
    return next(filter(_works, filter(None, candidates)), None)


def _works(python):
    """Whether it starts: pyenv's stand-ins for versions that are not chosen do not."""
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def environment(listed, python, *arguments):
    """The interpreter of ``.venv-<name of the list>``, made again when the list changes."""
    folder = ROOT / f".venv-{listed.stem}"
    done = folder / ".installed"
    if not done.is_file() or done.stat().st_mtime < listed.stat().st_mtime:
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "-q", *arguments],
            cwd=ROOT,
            check=True,
        )
        done.touch()
    return folder / "bin" / "python"
