"""What becomes of tasks when the worker that has them in hand is killed by SIGKILL, and another one is started."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.durable.engines import Peer, installed
from benchmarks.durable.marks import read
from benchmarks.durable.process import RECORD, Process
from benchmarks.durable.scale import Scale

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


def survivals(folder: Path, scale: Scale) -> list[Survival]:
    """Kill a worker of each engine that is installed; huey once, as it keeps what it keeps in either form."""
    peers = [peer for peer in installed() if peer.name != "huey with fsync"]
    return [_survived(peer, folder / peer.name, scale) for peer in peers]


def _survived(peer: Peer, folder: Path, scale: Scale) -> Survival:
    folder.mkdir(parents=True)
    record, tasks = folder / RECORD, scale.held + scale.queued
    with Process(peer, folder, "enqueue", slots=scale.held) as process:
        process.tell(tasks)
        process.answer()
    with Process(peer, folder, "hold", slots=scale.held):
        _until(lambda: len(read(record, "started")) >= scale.held, _SECONDS_TO_START)
    in_hand, killed = set(read(record, "started")), time.perf_counter()
    with Process(peer, folder, "finish", slots=scale.held):
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


def _until(is_so: Callable[[], bool], seconds: float) -> None:
    end = time.perf_counter() + seconds
    while not is_so():
        assert time.perf_counter() < end, "the worker has not started its tasks"
        time.sleep(0.02)
