"""Run the notebooks' tests under the package versions of Colab's runtimes.

    python tools/test_colab.py [PYTEST ARGUMENTS]

Each file of constraints/ names its Python in the first line; where that Python is not installed, the runtime is
skipped and said to be so. Environments are kept in .venv-<name>/.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def find_python(version):
    """An interpreter of that version, from the path or from pyenv; ``None`` where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]
    return next(filter(_works, filter(None, found)), None)


def _works(python):
    """Whether it starts: pyenv's stand-ins for versions that are not chosen do not."""
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def prepare(constraints, python):
    """Make the runtime's environment, once."""
    folder = ROOT / f".venv-{constraints.stem}"
    done = folder / ".installed"
    if not done.is_file() or done.stat().st_mtime < constraints.stat().st_mtime:
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        install = [folder / "bin" / "python", "-m", "pip", "install", "-q", "-c", constraints, "-r", "requirements.txt"]
        subprocess.run(install, cwd=ROOT, check=True)
        done.touch()
    return folder / "bin" / "python"


def main(arguments):
    """Test every runtime; returns the highest exit status."""
    worst = 0
    for constraints in sorted((ROOT / "constraints").glob("*.txt")):
        version = constraints.read_text(encoding="utf-8").splitlines()[0].removeprefix("# python ")
        python = find_python(version)
        if python is None:
            print(f"{constraints.stem}: skipped, Python {version} is not installed", flush=True)
            continue
        print(f"{constraints.stem}: Python {version}", flush=True)
        command = [prepare(constraints, python), "-m", "pytest", *(arguments or ["tests/test_notebooks.py"])]
        worst = max(worst, subprocess.run(command, cwd=ROOT, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
