"""How many tasks a second are run by one process or several."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.engines.peer import Peer
from benchmarks.engines.process import Process

PROCESSES = (1, 4)
# Seconds between two looks, and without any progress after which something is wrong.
_LOOK, _PATIENCE = 0.05, 30.0


def worked(peer: Peer, place: str, *, processes: int, tasks: int, slots: int | None = None) -> float:
    """So many tasks a second, from the first one to the last one of `tasks`, whichever process ran them."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Process(peer, place, "work", slots=slots)) for _ in range(processes)]
        return _rate(ran(workers, tasks), tasks)


def ran(workers: Sequence[Process], tasks: int) -> list[float]:
    """When tasks ran, if workers that are ready work until so many have."""
    for worker in workers:
        worker.tell("work")
    seen, changed = 0, time.perf_counter()
    while seen < tasks and time.perf_counter() - changed < _PATIENCE:
        time.sleep(_LOOK)
        count = sum(worker.ask("count") for worker in workers)
        if count != seen:
            seen, changed = count, time.perf_counter()
    for worker in workers:
        worker.tell("stop")
    return [time for worker in workers for time in worker.answer()]


def _rate(times: Sequence[float], tasks: int) -> float:
    assert len(times) >= tasks, f"{len(times)} of {tasks} tasks were run"
    first, *_, last = sorted(times)[:tasks]
    return (tasks - 1) / (last - first)
