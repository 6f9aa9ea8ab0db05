"""What is known of engines that did the same work in turn: a task enqueued by a process, and run by another."""

from dataclasses import dataclass, field

from benchmarks.engines.peer import Peer
from benchmarks.engines.process import Process
from benchmarks.engines.scale import Scale


@dataclass(frozen=True, slots=True)
class Beside:
    """Of one engine, by rounds.

    Attributes:
        latencies: seconds to enqueue one task.
        rates: tasks a second, run by so many slots in so many processes.
    """

    latencies: list[list[float]] = field(default_factory=list)
    rates: dict[tuple[int | None, int], list[float]] = field(default_factory=dict)


def share(peer: Peer, scale: Scale) -> int:
    """How many tasks an engine is given."""
    return peer.pace * scale.peers


def enqueued(process: Process, tasks: int) -> list[float]:
    """How long each took, in a process that enqueues."""
    latencies: list[float] = process.ask(tasks)
    return latencies
