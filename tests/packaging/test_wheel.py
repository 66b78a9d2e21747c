"""What `pip install` gives: a command that works in an empty folder, far from the repository."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.slow

RUN = "run --settings settings/sample.yaml --output here --architectures mobilenet"
RUN += " --weights random --unfreeze none --input-size 96"


def call(*command, cwd=None):
    """Run to the end, with nothing of the repository in the environment; returns what was said."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the sdist, so that the sdist is whole too."""
    pytest.importorskip("build", reason="build is not installed: pip install '.[test]'")
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    assert len(list(folder.glob("*.tar.gz"))) == 1
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def command(wheel, tmp_path_factory):
    """An environment that holds the wheel alone, and sees this one's packages behind it."""
    folder = tmp_path_factory.mktemp("installed")
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    here = [line for line in sys.path if line.endswith("-packages")]
    (packages / "behind.pth").write_text("\n".join(here))
    scripts = Path(sysconfig.get_path("scripts", "venv", paths))
    python = scripts / f"python{Path(sys.executable).suffix}"
    install = ("pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)
    call(python, "-m", *install, "--prefix", folder)
    where = call(python, "-c", "import allhelpers; print(allhelpers.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(folder)
    return scripts / f"allhelpers{Path(sys.executable).suffix}"


def test_wheel_holds_what_a_run_reads_and_nothing_of_the_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix("allhelpers/packaged/") for name in names}
    for pattern in ("notebooks/*.ipynb", "settings/*.yaml", "sweeps/*.yaml", "results/*.csv"):
        own = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)}
        assert own
        assert own <= inside
    assert {"data_manifest.csv", "allhelpers/py.typed"} <= inside
    assert {name.split("/")[0].split("-")[0] for name in names} == {"allhelpers"}
    assert not [name for name in names if Path(name).name.startswith(("test_", "conftest"))]


def test_installed_command_runs_the_sample_in_an_empty_folder(command, tmp_path):
    assert call(command, "--version", cwd=tmp_path).strip()
    assert "patients" in call(command, "audit", cwd=tmp_path)
    options = ("--sample-cells", "160", "--epochs", "1")
    call(command, *RUN.split(), *options, cwd=tmp_path)
    assert (tmp_path / "here" / "report.html").is_file()
    assert {path.name for path in tmp_path.iterdir()} <= {"here", "cache", "audit.json"}


def test_runs_of_an_installed_copy_lie_where_its_user_stands(command, tmp_path):
    code = "from allhelpers.running import planning; print(planning.ROOT)"
    python = command.with_name(f"python{Path(sys.executable).suffix}")
    assert Path(call(python, "-c", code, cwd=tmp_path).strip()) == tmp_path
