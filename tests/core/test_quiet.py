"""What a library says past Python while it is loaded is held back; real errors are not."""

import contextlib
import os
import subprocess
import sys

import pytest

from allhelpers._core import quiet
from tests.helpers import ROOT

CHATTER = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1795671800.650226   31703 cudart_stub.cc:31] Could not find cuda drivers\n"
    "2026-01-01 10:00:00.000000: W tensorflow/core/x.cc:1] something small\n"
    "E0000 00:00:1 1 cuda_fft.cc:477] Unable to register cuFFT factory: Attempting to\n"
)


def test_chatter_is_held_back_and_the_rest_is_said(capfd):
    with quiet.held_back():
        os.write(2, CHATTER.encode())
        os.write(2, b"a real error\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "a real error\nafter\n"


def test_error_while_loading_is_raised_and_what_was_said_is_kept(capfd):
    with contextlib.suppress(ImportError), quiet.held_back():
        os.write(2, b"libcudnn.so: cannot open\n")
        raise ImportError
    assert capfd.readouterr().err == "libcudnn.so: cannot open\n"


@pytest.mark.parametrize("broken", [False, True])
def test_module_of_that_name_is_loaded_in_silence(tmp_path, broken):
    end = "raise ImportError('broken')" if broken else "value = 1"
    module = f"import os; os.write(2, {CHATTER.encode()!r})\n{end}\n"
    (tmp_path / "tensorflow.py").write_text(module)
    code = (
        "from allhelpers._core.quiet import load_quietly; load_quietly(); load_quietly()\n"
        "import tensorflow; print(tensorflow.value)"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.stdout == ("" if broken else "1\n")
    assert "cudart" not in done.stderr
    assert ("ImportError: broken" in done.stderr) == broken
