"""A sweep by Ray: on this machine, or on a cluster that is running.

Each shard of what runs have in common is a task, and so is each run; Ray starts a task once those that it needs have
ended, hands it to a machine that has room, and starts it again where its process or its machine is lost. Nothing but
names and settings passes through Ray: shards go through the store, results into the runs' folders.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from .._core.errors import InputError
from . import notebooks, sharing
from .planning import ROOT
from .sharing import FeatureShard

if TYPE_CHECKING:
    import pandas as pd

    from .sharing import PixelShard
    from .store import Store
    from .sweep import How, Run

LOCAL = ("127.0.0.1:", "localhost:")

PATIENCE, RAYS_PATIENCE = 5, 20  # seconds that a machine, and Ray on it, may take to answer

OBJECTS = 200 * 2**20  # bytes of memory for what passes through Ray

POLL = 1.0  # seconds


def check(how: How) -> None:
    """Make sure that Ray, and the cluster if one is named, is there.

    Parameters
    ----------
    how : sweep.How

    Raises
    ------
    InputError

    Examples
    --------
    It needs Ray, and here a cluster that runs at that address::

        check(sweep.How(address="127.0.0.1:6379"))
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "--parallel and --address need Ray: pip install -r requirements-cluster.txt, or give neither."
        )
    if not how.address:
        return
    host, _, port = how.address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(
            f"--address {how.address} cannot be used: give HOST:PORT, as `ray start --head` prints it."
        )
    _prepare(how)
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
        _agree_on_tokens(how.address)
    except (OSError, OverflowError, subprocess.SubprocessError) as error:
        what = (
            error
            if isinstance(error, OSError)
            else "no Ray, one of another version, or one with another token"
        )
        raise InputError(
            f"No Ray cluster answers at {how.address} ({what}): start one with `ray start --head`, or leave --address "
            "out."
        ) from error


def _agree_on_tokens(address: Any) -> None:
    """Ask a cluster how it is, without a token and then, unless the user has said which, with this user's."""
    asked = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    # An address alone never makes Ray send a token, although `ray start` asks for one where there is one (2.60).
    for mode in ({},) if "RAY_AUTH_MODE" in os.environ else ({}, {"RAY_AUTH_MODE": "token"}):
        answer = subprocess.run(
            asked, capture_output=True, timeout=RAYS_PATIENCE, env={**os.environ, **mode}
        )
        if not answer.returncode:
            os.environ.update(mode)
            return
    answer.check_returncode()


def _prepare(how: How) -> None:
    """Settings that Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not how.address or how.address.startswith(LOCAL):
        # Where this is 0, Ray listens on 127.0.0.1 and nowhere else, on Linux too; otherwise on all networks.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def run(planned: list[Run], store: Store, how: How, log: Callable) -> list[InputError | None]:
    """Run what is not finished yet."""
    ray = _connect(how)
    try:
        return _Graph(ray, planned, store, how, log).run()
    finally:
        ray.shutdown()


def _connect(how: How) -> Any:
    _prepare(how)
    import ray

    # "local": Ray of its own, also where a cluster runs on this machine, which Ray would join by itself.
    there = (
        {"address": how.address}
        if how.address
        else {
            "address": "local",
            "num_cpus": max(1, round(how.parallel * how.cpus)),
            "object_store_memory": OBJECTS,
        }
    )
    environment = {
        "env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *_python_path()]))}
    }
    try:
        context = ray.init(
            **there, runtime_env=environment, log_to_driver=False, logging_level="ERROR"
        )
    except Exception as error:  # Ray has many
        raise InputError(f"Ray cannot be used ({error}): see docs/cluster.md.") from error
    if context.dashboard_url:
        print(f"Ray's dashboard: http://{context.dashboard_url}", flush=True)
    return ray


def _python_path() -> Any:
    return [
        path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path != str(ROOT)
    ]


class _Graph:
    """Tasks of a sweep."""

    def __init__(self, ray: Any, planned: list[Run], store: Store, how: How, log: Callable) -> None:
        self.ray, self.planned, self.store, self.how, self.log = ray, planned, store, how, log
        self.needs = [[] for _ in planned]
        self.errors = [None for _ in planned]
        self.shards = {}  # shard's key -> task
        self.numbers = {}  # task -> number of its run
        self.lost = False  # whether a shard's task has failed for good
        self.alone = set()  # runs that were started again without their shards' tasks
        # Ray's retries are for processes and machines that are lost.
        self.options = {"num_cpus": how.cpus, "num_gpus": how.gpus, "max_retries": how.retries}

    def run(self) -> Any:
        """Hand all tasks to Ray and wait for them."""
        unfinished = [k for k, one in enumerate(self.planned) if not one.finished]
        if not unfinished:
            return self.errors
        # All runs are laid out, so that shards stay the same when some runs are finished.
        each = [one.values for one in self.planned]
        error, needs = self._outcome(self._task(sharing.plan, each, self.how.per_shard))
        if isinstance(error, InputError):  # a run that is not possible
            raise error
        if error:
            sharing.give_up(_sentence(error), self.log)
        self.needs = needs or self.needs
        for shard in sharing.used(need for k in unfinished for need in self.needs[k]):
            before = [self.shards[shard.pixels.key]] if isinstance(shard, FeatureShard) else []
            self.shards[shard.key] = self._task(_complete, shard, self.store, *before)
        for k in unfinished:
            self._start(k, [self.shards[shard.key] for shard in sharing.used(self.needs[k])])
        with tqdm(
            total=len(self.shards) + len(unfinished), desc="runs and what they share", unit="task"
        ) as bar:
            pending = [*self.shards.values(), *self.numbers]
            while pending:
                done, pending = self.ray.wait(pending, num_returns=len(pending), timeout=POLL)
                pending += [again for task in done if (again := self._ended(task))]
                bar.update(len(self.shards) + len(unfinished) - len(pending) - bar.n)
        return self.errors

    def _task(self, function: Any, *arguments: Any) -> Any:
        return self.ray.remote(**self.options)(function).remote(*arguments)

    def _start(self, k: int, before: Any) -> Any:
        task = self._task(
            _run, self.planned[k], self.needs[k], self.store, self.how.retries, *before
        )
        self.numbers[task] = k
        return task

    def _ended(self, task: Any) -> Any:
        """Record what a task has come to; gives the task that is to be waited for instead, if there is one."""
        error, answer = self._outcome(task)
        if task not in self.numbers:
            self.lost |= bool(error)
            self.log(answer or f"failed: {_sentence(error)}")
            return None
        k = self.numbers.pop(task)
        if error and self.lost and k not in self.alone:
            self.alone.add(
                k
            )  # Ray does not start a run whose shard has failed: alone, it computes that shard itself
            return self._start(k, [])
        self.errors[k] = _sentence(error) if error else answer
        name = self.planned[k].name
        self.log(f"failed: {name}: {self.errors[k]}" if self.errors[k] else f"finished: {name}")
        return None

    def _outcome(self, task: Any) -> Any:
        """A task's error, or nothing, and its answer."""
        try:
            return None, self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            return getattr(error, "cause", None) or error, None


def _sentence(error: Any) -> Any:
    """What Ray, or a task, says at length."""
    if isinstance(error, InputError):
        return error
    return InputError(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")


def _complete(shard: PixelShard | FeatureShard, store: Store, *_before: Any) -> Any:
    return sharing.complete(shard, store)


def _run(one: pd.DataFrame, needs: Any, store: Store, retries: int, *_before: Any) -> Any:
    """One run, as on the command line; returns its error, or nothing."""
    # Ray sets this for each task; a run must have the threads that it has without Ray, for the same result to the bit.
    os.environ.pop("OMP_NUM_THREADS", None)
    sharing.gather(needs, store)
    return notebooks.attempt(one.values, one.folder, retries)
