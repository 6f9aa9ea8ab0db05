"""Other engines on SQLite beside bg_di, on the same work in turn: a task enqueued by a process, and run by another."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.durable.engines import Peer, installed
from benchmarks.durable.process import Process
from benchmarks.durable.rates import worked
from benchmarks.durable.scale import Scale


@dataclass(frozen=True, slots=True)
class Beside:
    """Of one engine, by rounds.

    Attributes:
        latencies: seconds to enqueue one task.
        rates: tasks a second, run by one worker.
    """

    latencies: list[list[float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def compared(folder: Path, scale: Scale) -> Mapping[str, Beside]:
    """Measure all that are installed."""
    found = {peer.name: Beside() for peer in installed()}
    for number in range(scale.rounds):
        folders = {peer: folder / f"{peer.name}-{number}" for peer in installed()}
        with ExitStack() as stack:
            for peer, place in folders.items():
                place.mkdir(parents=True)
                process = stack.enter_context(Process(peer, place, "enqueue"))
                found[peer.name].latencies.append(_enqueued(process, _tasks(peer, scale)))
        for peer, place in folders.items():
            found[peer.name].rates.append(worked(peer, place, processes=1, tasks=_tasks(peer, scale)))
    return found


def _tasks(peer: Peer, scale: Scale) -> int:
    return peer.pace * scale.peers


def _enqueued(process: Process, tasks: int) -> list[float]:
    process.tell(tasks)
    latencies: list[float] = process.answer()
    return latencies
