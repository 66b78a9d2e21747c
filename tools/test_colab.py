"""Run the notebooks' tests under the package versions of Colab's runtimes.

    python tools/test_colab.py [PYTEST ARGUMENTS]

Each file of constraints/ names its Python in the first line; where that Python is not installed,
the runtime is skipped and said to be so. Environments are kept in .venv-<name>/.
"""

import subprocess
import sys

import pythons


def main(arguments):
    """Test every runtime; returns the highest exit status."""
    worst = 0
    for constraints in sorted((pythons.ROOT / "constraints").glob("*.txt")):
        version = constraints.read_text(encoding="utf-8").splitlines()[0].removeprefix("# python ")
        python = pythons.find(version)
        if python is None:
            print(f"{constraints.stem}: skipped, Python {version} is not installed", flush=True)
            continue
        print(f"{constraints.stem}: Python {version}", flush=True)
        python = pythons.environment(
            constraints, python, "-c", constraints, "--editable", ".[test]"
        )
        tests = arguments or list(pythons.ROOT.glob("tests/**/test_notebooks.py"))
        command = [python, "-m", "pytest", "-m", "slow or not slow", *tests]
        worst = max(worst, subprocess.run(command, cwd=pythons.ROOT, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
