"""What becomes of tasks when the worker that has them in hand is killed by SIGKILL, and another one is started."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.engines.marks import read
from benchmarks.engines.peer import Peer
from benchmarks.engines.process import Process, until
from benchmarks.engines.scale import Scale

_SECONDS_TO_START = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """Of one engine.

    Attributes:
        tasks: that were enqueued.
        ended: of those, how many have ended.
        in_hand: how many the worker had when it was killed.
        again: of those, how many have been started again and ended.
        seconds: from the kill to the last end of one that had been in hand; None if none has ended.
    """

    peer: str
    tasks: int
    ended: int
    in_hand: int
    again: int
    seconds: float | None


def survived(peer: Peer, place: str, record: Path, scale: Scale) -> Survival:
    """Kill a worker of an engine, and start another one.

    Args:
        record: a file in which the workers write down what has started and ended.
    """
    tasks = scale.held + scale.queued
    with Process(peer, place, "enqueue", slots=scale.held) as process:
        process.ask(tasks)
    with Process(peer, place, "hold", slots=scale.held, record=record):
        has_all = partial(_has_started, record, scale.held)
        until(has_all, _SECONDS_TO_START, "the worker has not started its tasks")
    in_hand, killed = set(read(record, "started")), time.perf_counter()
    with Process(peer, place, "finish", slots=scale.held, record=record):
        last = _watched(record, in_hand, tasks, scale.patience)
    ended = set(read(record, "ended"))
    return Survival(
        peer=peer.name,
        tasks=tasks,
        ended=len(ended),
        in_hand=len(in_hand),
        again=len(in_hand & ended),
        seconds=None if last is None else last - killed,
    )


def _has_started(record: Path, tasks: int) -> bool:
    return len(read(record, "started")) >= tasks


def _watched(record: Path, in_hand: set[int], tasks: int, patience: float) -> float | None:
    """Wait until all has ended, or nothing comes any more; return when the last one came that had been in hand."""
    progress = time.perf_counter()
    ended: set[int] = set()
    last = None
    while len(ended) < tasks and time.perf_counter() - progress < patience:
        time.sleep(0.02)
        new = set(read(record, "ended")) - ended
        if new:
            progress = time.perf_counter()
            last = progress if new & in_hand else last
            ended |= new
    return last
