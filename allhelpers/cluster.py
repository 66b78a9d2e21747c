"""A sweep by Ray: on this machine, or on a cluster that is running.

Each shard of what runs have in common is a task, and so is each run; Ray starts a task once those that it needs have
ended, hands it to a machine that has room, and starts it again where its process or its machine is lost. Nothing but
names and settings passes through Ray: shards go through the store, results into the runs' folders.
"""

import importlib.util
import os
import socket
import subprocess
import sys

from tqdm.auto import tqdm

from . import pipeline, sharing
from .errors import InputError

LOCAL = ("127.0.0.1:", "localhost:")
PATIENCE, RAYS_PATIENCE = 5, 20  # seconds that a machine, and Ray on it, may take to answer
OBJECTS = 200 * 2**20  # bytes of memory for what passes through Ray
POLL = 1.0  # seconds


def check(how):
    """Make sure that Ray, and the cluster if one is named, is there.

    Parameters
    ----------
    how : sweep.How

    Raises
    ------
    InputError
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("--parallel and --address need Ray: pip install -r requirements-cluster.txt, or give neither.")
    if not how.address:
        return
    host, _, port = how.address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--address {how.address} cannot be used: give HOST:PORT, as `ray start --head` prints it.")
    _prepare(how)
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
        asked = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", how.address]
        subprocess.run(asked, capture_output=True, timeout=RAYS_PATIENCE, check=True)
    except (OSError, OverflowError, subprocess.SubprocessError) as error:
        what = error if isinstance(error, OSError) else "what listens there is no Ray, or of another version"
        raise InputError(
            f"No Ray cluster answers at {how.address} ({what}): start one with `ray start --head`, or leave --address "
            "out."
        ) from error


def _prepare(how):
    """Settings that Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not how.address or how.address.startswith(LOCAL):
        # Where this is 0, Ray listens on 127.0.0.1 and nowhere else, on Linux too; otherwise on all networks.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def run(planned, store, how, log):
    """Run what is not finished yet.

    Parameters
    ----------
    planned : list of sweep.Run
    store : store.Store
    how : sweep.How
    log : callable
        Takes a line.

    Returns
    -------
    list of InputError or None
        For each run.
    """
    ray = _connect(how)
    try:
        return _Graph(ray, planned, store, how, log).run()
    finally:
        ray.shutdown()


def _connect(how):
    _prepare(how)
    import ray

    there = {"address": how.address} if how.address else {
        "num_cpus": max(1, round(how.parallel * how.cpus)), "object_store_memory": OBJECTS
    }  # fmt: skip
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, [str(pipeline.ROOT), *_python_path()]))}}
    try:
        context = ray.init(**there, runtime_env=environment, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray has many
        raise InputError(f"Ray cannot be used ({error}): see docs/cluster.md.") from error
    if context.dashboard_url:
        print(f"Ray's dashboard: http://{context.dashboard_url}", flush=True)
    return ray


def _python_path():
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path != str(pipeline.ROOT)]


class _Graph:
    """Tasks of a sweep."""

    def __init__(self, ray, planned, store, how, log):
        self.ray, self.planned, self.store, self.log, self.retries = ray, planned, store, log, how.retries
        self.per_shard = how.per_shard
        # Ray's retries are for processes and machines that are lost.
        self.options = {"num_cpus": how.cpus, "num_gpus": how.gpus, "max_retries": how.retries}

    def _task(self, function, *arguments):
        return self.ray.remote(**self.options)(function).remote(*arguments)

    def run(self):
        """Hand all tasks to Ray and wait for them."""
        errors = [None] * len(self.planned)
        unfinished = [k for k, one in enumerate(self.planned) if not pipeline.finished(one.values, one.folder)]
        if not unfinished:
            return errors
        # All runs are laid out, so that shards stay the same when some runs are finished.
        each = [one.values for one in self.planned]
        error, needs = self._outcome(self._task(sharing.plan, each, self.per_shard))
        if error:
            sharing.give_up(error, self.log)
            needs = [[] for _ in each]
        shards, tasks = {}, {}
        for shard in sharing.used(need for k in unfinished for need in needs[k]):
            before = [shards[shard.pixels.key]] if isinstance(shard, sharing.FeatureShard) else []
            shards[shard.key] = self._task(_complete, shard, self.store, *before)
        for k in unfinished:
            before = [shards[shard.key] for shard in sharing.used(needs[k])]
            tasks[self._task(_run, self.planned[k], needs[k], self.store, self.retries, *before)] = k
        self._wait([*shards.values(), *tasks], tasks, errors)
        return errors

    def _wait(self, pending, tasks, errors):
        with tqdm(total=len(pending), desc=f"{len(tasks)} runs and what they share", unit="task") as bar:
            while pending:
                done, pending = self.ray.wait(pending, num_returns=len(pending), timeout=POLL)
                for task in done:
                    error, answer = self._outcome(task)
                    if task in tasks:
                        name = self.planned[tasks[task]].name
                        errors[tasks[task]] = error = error or answer
                        answer = f"failed: {name}: {error}" if error else f"finished: {name}"
                    self.log(answer or f"failed: {error}")
                    bar.update()

    def _outcome(self, task):
        """A task's error, or nothing, and its answer."""
        try:
            return None, self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            if not isinstance(cause, InputError):
                cause = InputError(f"{type(cause).__name__}: {str(cause).strip().splitlines()[0]}")
            return cause, None


def _complete(shard, store, *_before):
    return sharing.complete(shard, store)


def _run(one, needs, store, retries, *_before):
    """One run, as on the command line; returns its error, or nothing."""
    # Ray sets this for each task; a run must have the threads that it has without Ray, for the same result to the bit.
    os.environ.pop("OMP_NUM_THREADS", None)
    sharing.gather(needs, store)
    return pipeline.attempt(one.values, one.folder, retries)
