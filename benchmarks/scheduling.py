"""A million cells on paper: how long one to a hundred machines take, what that costs, and what
holds them up.

    python -m benchmarks.scheduling
    python -m benchmarks.scheduling --beside-ray     the simulation beside Ray itself, with tasks
    that only wait

Nothing here runs on a GPU. A discrete-event simulation hands shards to machines as Ray does: first
come, first served; a shard that fails is started again, on whichever machine is free next, until
its retries are used up. The rest is arithmetic. Figures marked "measured" were measured with this
project on two cores; the others are assumptions, and stand here to be changed.
"""

import argparse
import heapq
import itertools
import os
import random
import time
from dataclasses import dataclass

CELLS = 1_000_000
PICTURE = 607_554  # bytes of an official BMP file
PIXELS = 224 * 224 * 3  # bytes of a decoded cell
# Cells per second that one T4 puts through a trunk. ResNet50: NVIDIA's own published figure for
# inference in mixed precision (DeepLearningExamples, batch 128). The others are scaled from it by
# the networks' arithmetic, MobileNet with a third of that gain, since it waits for memory:
# assumptions.
T4 = {"MobileNet": 2350, "ResNet50": 996, "VGG16": 265}
FEATURES = {
    "MobileNet": 1024 * 4,
    "ResNet50": 2048 * 4,
    "VGG16": 512 * 4,
}  # bytes of a cell, pooled, head only
DECODING = 900  # cells per second and machine; measured on two cores
TASK = 0.0009  # seconds that Ray spends on a task, one after the other; measured, 2,000 empty tasks
START = (
    12.0  # seconds until a new process has loaded TensorFlow and built its trunk; measured 6 to 12
)
STORAGE = 1e9  # bytes per second of the shared storage, of all machines together: an assumption
DISK = 4e8  # bytes per second that one machine reads from it at most: an assumption
ONCE = (
    "reading pictures",
    "decoding",
    "pixels through the store",
    "trunk",
)  # whatever the number of runs
PRICE = 0.55  # dollars per hour of a machine with one T4 and four virtual cores: an assumption, prices change


@dataclass(frozen=True)
class Outcome:
    """Of a simulation.

    Attributes
    ----------
    seconds : float
        Until the last shard has ended.
    tasks : int
        That were started.
    lost : int
        Shards that have used up their retries; a run that needs one computes it itself.
    busy : float
        Share of the machines' time that went into shards that were kept.
    """

    seconds: float
    tasks: int
    lost: int
    busy: float


def simulate(shards, machines, seconds, failures, retries, seed=0, start=START):
    """Hand shards to machines, first come, first served.

    Parameters
    ----------
    shards, machines : int
    seconds : float
        That a shard takes on average; each draws its own, within a fifth.
    failures : float
        Chance that a task fails, at a random moment of its time; its process is lost and another
        one starts.
    retries : int
        Of each shard.
    seed : int
    start : float
        Seconds until a new process is ready.

    Returns
    -------
    Outcome
    """
    draw = random.Random(seed)
    waiting = [
        (0.0, number, 0) for number in range(shards)
    ]  # when it may start, which, how often it has failed
    free = [(start, machine) for machine in range(machines)]
    handed_out, ended, tasks, lost, kept = 0.0, 0.0, 0, 0, 0.0
    while waiting:
        ready, number, failed = heapq.heappop(waiting)
        since, machine = heapq.heappop(free)
        handed_out = max(handed_out + TASK, since, ready)  # one after the other
        begin, takes = handed_out, seconds * draw.uniform(0.8, 1.2)
        tasks += 1
        if draw.random() < failures:
            end = begin + takes * draw.random()
            heapq.heappush(free, (end + start, machine))
            if failed < retries:
                heapq.heappush(waiting, (end, number, failed + 1))
            else:
                lost += 1
        else:
            end, kept = begin + takes, kept + takes
            heapq.heappush(free, (end, machine))
        ended = max(ended, end)
    return Outcome(ended, tasks, lost, kept / (ended * machines))


def paper(network, machines):
    """Seconds of each part of the work on a million cells, divided among machines, as if they did
    not overlap.

    Parameters
    ----------
    network : str
    machines : int

    Returns
    -------
    dict of str to float
    """
    together = min(STORAGE, machines * DISK)  # bytes per second
    return {
        "reading pictures": CELLS * PICTURE / together,
        "decoding": CELLS / DECODING / machines,
        "pixels through the store": 2
        * CELLS
        * PIXELS
        / together,  # written, and read for the trunk
        "trunk": CELLS / T4[network] / machines,
        "gathering for one run": CELLS * (PIXELS + FEATURES[network]) / min(STORAGE, DISK),
        "gathering, a run on each machine": machines
        * CELLS
        * (PIXELS + FEATURES[network])
        / together,
    }


def by_ray(shards, machines, seconds, failures, retries):
    """What `simulate` imitates: Ray itself, with tasks that wait instead of computing.

    Parameters
    ----------
    shards, machines : int
    seconds : float
    failures : float
    retries : int

    Returns
    -------
    took : float
        Seconds until the last shard has ended.
    lost : int
        Shards that have used up their retries.
    """
    import ray

    @ray.remote(max_retries=retries)
    def wait():
        takes = seconds * random.uniform(0.8, 1.2)
        if random.random() < failures:
            time.sleep(takes * random.random())
            os._exit(1)
        time.sleep(takes)

    ray.init(
        address="local",
        num_cpus=machines,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    began, lost = time.perf_counter(), 0
    for task in [wait.remote() for _ in range(shards)]:
        try:
            ray.get(task)
        except ray.exceptions.WorkerCrashedError:
            lost += 1
    took = time.perf_counter() - began
    ray.shutdown()
    return took, lost


def beside_ray():
    """Print the simulation beside Ray; the start of a process is what Ray takes for as many empty
    tasks as machines.
    """
    _print(
        "tasks of 0.25 s",
        "machines",
        "failures",
        "Ray, s",
        "simulated, s",
        "lost by Ray",
        "lost, simulated",
    )
    print("| --- " * 7 + "|")
    for machines, failures in itertools.product((2, 8), (0, 0.01)):
        start, _ = by_ray(machines, machines, 0, 0, 0)
        took, lost = by_ray(1000, machines, 0.25, failures, 2)
        found = simulate(1000, machines, 0.25, failures, 2, start=start)
        _print(
            1000,
            machines,
            f"{failures:.0%}",
            f"{took:.1f}",
            f"{found.seconds:.1f}",
            lost,
            found.lost,
        )


def main():
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--beside-ray", action="store_true", help="check the simulation against Ray"
    )
    if parser.parse_args().beside_ray:
        beside_ray()
        return
    _print(
        "trunk alone, 10,000 shards, 1 % failures",
        "machines",
        "retries",
        "minutes",
        "tasks",
        "lost",
        "kept busy",
    )
    print("| --- " * 7 + "|")
    for network, rate in T4.items():
        for machines, retries in itertools.product((1, 10, 100), (0, 2)):
            found = simulate(10_000, machines, CELLS / 10_000 / rate, 0.01, retries)
            minutes, busy = f"{found.seconds / 60:.3g}", f"{found.busy:.0%}"
            _print(network, machines, retries, minutes, f"{found.tasks:,}", found.lost, busy)
    print()
    _print(
        "1,000,000 cells, minutes", "machines", *paper("MobileNet", 1), "dollars, without gathering"
    )
    print("| --- " * 9 + "|")
    for network, machines in itertools.product(T4, (1, 10, 100)):
        parts = paper(network, machines)
        hours = sum(parts[name] for name in ONCE) / 3600
        minutes = [f"{seconds / 60:.3g}" for seconds in parts.values()]
        _print(network, machines, *minutes, f"{machines * hours * PRICE:.2f}")


def _print(*cells):
    print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
