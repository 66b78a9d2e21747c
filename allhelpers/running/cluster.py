"""A sweep by Ray: on this machine, or on a cluster that is running.

Each run is a task, started again where its process or its machine is lost: it goes on where it
stopped. Nothing but names and settings passes through Ray: results go into the runs' folders.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from .._core.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

    from .sweep import SweepRun
    from .warmups import WarmUp

log = logging.getLogger(__name__)

LOCAL = ("127.0.0.1:", "localhost:")
PATIENCE, RAYS_PATIENCE = 5, 20  # seconds that a machine, and Ray on it, may take to answer
OBJECTS = 200 * 2**20  # bytes of memory for what passes through Ray


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run; nothing of it changes a result.

    Parameters
    ----------
    parallel : int
        Tasks at once, by Ray on this machine; 0: one after the other, without Ray.
    address : str
        ``HOST:PORT`` of a Ray cluster to which this machine belongs.
    cpus, gpus : float
        What Ray sets aside for each task.
    retries : int
        How often a run that fails, and a task whose process or machine is lost, is tried again.
    distribute : bool
        Divide each frozen part among the machines, see `running.distribute_features`.

    Raises
    ------
    InputError
        If a number is negative, or both ``parallel`` and ``address`` are given.

    Examples
    --------
    >>> SweepOptions(parallel=4).by_ray
    True
    """

    parallel: int = 0
    address: str = ""
    cpus: float = 1
    gpus: float = 0
    retries: int = 2
    distribute: bool = False

    def __post_init__(self) -> None:
        for name in ("parallel", "cpus", "gpus", "retries"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} = {getattr(self, name)} cannot be used: give 0 or more.")
        if self.parallel and self.address:
            raise InputError(
                "--parallel is for this machine and --address for a cluster: give one of them."
            )
        if self.distribute and not self.by_ray:
            raise InputError("--distribute needs Ray: give --address, or --parallel, too.")

    @property
    def by_ray(self) -> bool:
        """Whether Ray runs it."""
        return bool(self.parallel or self.address)


def check(options: SweepOptions) -> None:
    """Make sure that Ray, and the cluster if one is named, is there."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "--parallel and --address need Ray: pip install -r requirements-cluster.txt, or give "
            "neither."
        )
    if not options.address:
        return
    host, _, port = options.address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(
            f"--address {options.address} cannot be used: give HOST:PORT, as `ray start --head` "
            "prints it."
        )
    _prepare(options.address)
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
        _agree_on_tokens(options.address)
    except (OSError, OverflowError, subprocess.SubprocessError) as error:
        other = "no Ray, one of another version, or one with another token"
        reason = error if isinstance(error, OSError) else other
        raise InputError(
            f"No Ray cluster answers at {options.address} ({reason}): start one with "
            "`ray start --head`, or leave --address out."
        ) from error


def _agree_on_tokens(address: str) -> None:
    """Ask a cluster how it is, without a token and then, unless the user said which, with one."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    # An address alone never makes Ray send a token, although `ray start` asks for one where there
    # is one (2.60).
    for mode in ({},) if "RAY_AUTH_MODE" in os.environ else ({}, {"RAY_AUTH_MODE": "token"}):
        answer = subprocess.run(
            command, capture_output=True, timeout=RAYS_PATIENCE, env={**os.environ, **mode}
        )
        if not answer.returncode:
            os.environ.update(mode)
            return
    answer.check_returncode()


def _prepare(address: str) -> None:
    """Settings that Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address or address.startswith(LOCAL):
        # Where this is 0, Ray listens on 127.0.0.1 and nowhere else, on Linux too; otherwise on
        # all networks.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


@contextmanager
def connect(options: SweepOptions) -> Iterator[ModuleType]:
    """Ray, joined or started, and left or stopped in the end."""
    _prepare(options.address)
    import ray

    project = str(Path(__file__).resolve().parents[2])
    path = dict.fromkeys([project, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    where: dict[str, Any] = {"address": options.address}
    if not options.address:
        # "local": Ray of its own, also where a cluster runs on this machine, which Ray would join
        # by itself.
        where = {"address": "local", "num_cpus": max(1, round(options.parallel * options.cpus))}
        where |= {} if options.distribute else {"object_store_memory": OBJECTS}
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, path))}}
    try:
        context = ray.init(
            **where, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR
        )
    except Exception as error:  # Ray has many
        raise InputError(f"Ray cannot be used ({error}): see docs/cluster.md.") from error
    if context.dashboard_url:
        log.info("Ray's dashboard: http://%s", context.dashboard_url)
    try:
        yield ray
    finally:
        ray.shutdown()


def run(
    runs: list[SweepRun],
    common: tuple[list[WarmUp], list[WarmUp]],
    options: SweepOptions,
    *,
    record: Callable[[str], None],
) -> dict[SweepRun, InputError]:
    """Compute what runs have in common, then run them; the errors of those that have failed."""
    cells, frozen = common
    errors: dict[SweepRun, InputError] = {}
    with connect(options) as ray:
        for jobs, wait in ((cells, False), (frozen, options.distribute)):
            for job, answer in _tasks(ray, _warm_up, jobs, options, waits=wait):
                failed = isinstance(answer, InputError)  # the runs go on without, and will say why
                record(f"failed: {job.title}: {answer}" if failed else answer)
        for job, answer in _tasks(ray, _run, runs, options):
            record(f"failed: {job.name}: {answer}" if answer else f"finished: {job.name}")
            errors |= {job: answer} if answer else {}
    return errors


def _tasks(
    ray: ModuleType, function: Callable, jobs: list, options: SweepOptions, waits: bool = False
) -> Iterator[tuple[Any, Any]]:
    """One task for each job; gives the jobs as they end, with the task's answer or its error."""
    share = {"num_cpus": 0} if waits else {"num_cpus": options.cpus, "num_gpus": options.gpus}
    # Ray's retries are for processes and machines that are lost. One call: the process, and its
    # memory, go with the task.
    task = ray.remote(**share, max_retries=options.retries, max_calls=1)(function)
    pending = {task.remote(job, options): job for job in jobs}
    with tqdm(total=len(jobs), desc=function.__doc__, unit="task", disable=not jobs) as bar:
        while pending:
            (done,), _ = ray.wait(list(pending))
            try:
                answer = ray.get(done)
            except ray.exceptions.RayError as error:
                answer = _sentence(getattr(error, "cause", None) or error)
            yield pending.pop(done), answer
            bar.update()


def _sentence(error: Exception) -> InputError:
    """What Ray, or a task, says at length."""
    if isinstance(error, InputError):
        return error
    return InputError(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")


def _warm_up(job: WarmUp, options: SweepOptions) -> str:
    """what runs have in common"""
    use_all_threads()
    return job.compute(options)


def _run(job: SweepRun, options: SweepOptions) -> InputError | None:
    """runs"""
    use_all_threads()
    try:
        job.plan.run(job.folder, retries=options.retries)
    except InputError as error:
        return error
    return None


def use_all_threads() -> None:
    """As without Ray, which sets this for each task, for the same result to the bit."""
    os.environ.pop("OMP_NUM_THREADS", None)
