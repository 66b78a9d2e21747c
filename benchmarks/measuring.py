"""A measured process: how long it took, how much memory it held, and what it says about itself."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
EVERY = 0.05  # seconds between two looks at the memory


def run(script, *arguments, python=sys.executable):
    """What a module of this package says as JSON in its last line, with its seconds and memory."""
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


def command(*arguments, cwd=None, **environment):
    """Wall and processor seconds of ``allhelpers`` with its arguments, its kernels included."""
    line = [sys.executable, "-m", "allhelpers", *map(str, arguments)]
    environment = {**os.environ, **environment}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=cwd)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _held(pid):
    """Bytes of memory without the pages of files, which are given back when others need room."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:  # it has just ended
        return 0
    return memory.rss - memory.shared
