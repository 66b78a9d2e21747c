"""A measured process: how long it took, how much memory it held, and what it says about itself."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
EVERY = 0.05  # seconds between two looks at the memory


def run(script, *arguments, python=sys.executable):
    """Run a script in a process of its own.

    Parameters
    ----------
    script : str
        Module of this package, which prints a JSON object as its last line.
    *arguments
        For the script.
    python : str or Path
        The interpreter.

    Returns
    -------
    dict
        What the script printed, with ``seconds`` from start to end of the process and
        ``memory_gb``, the most memory it held that is not a file's (a mapped file's pages are given
        back when others need room).

    Raises
    ------
    RuntimeError
        If the script fails, with the end of what it said.
    """
    arguments = [str(argument) for argument in arguments]
    print(script, *arguments, flush=True)
    command = [str(python), str(ROOT / "benchmarks" / f"{script}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began, most = time.perf_counter(), 0
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        while process.poll() is None:
            most = max(most, _held(process.pid))
            time.sleep(EVERY)
        seconds = time.perf_counter() - began
        output.seek(0), errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{errors.read()[-2000:]}")
        said = json.loads(output.read().strip().splitlines()[-1])
    print(f"    {seconds:.1f} s, {most / 1e9:.2f} GB", flush=True)
    return {**said, "seconds": seconds, "memory_gb": most / 1e9}


def _held(pid):
    """Bytes of memory that belong to the process alone: resident without the pages of files."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:  # it has just ended
        return 0
    return memory.rss - memory.shared
