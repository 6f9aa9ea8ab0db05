"""How long it takes until a task is accepted, idle and while the same process works, beside the bare commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ellar.app import App

from benchmarks.durable.application import application
from benchmarks.durable.bare import BareCommit, BareThread
from benchmarks.durable.scale import Scale
from benchmarks.engines.application import close, engine_of, fill, working
from benchmarks.engines.marks import MARKS
from benchmarks.engines.turns import Accept, Taken, by, together, turns
from bg_di.backends import Message


@dataclass(frozen=True, slots=True)
class Latencies:
    """In seconds, by rounds."""

    ours: list[list[float]] = field(default_factory=list)
    thread: list[list[float]] = field(default_factory=list)
    commit: list[list[float]] = field(default_factory=list)

    def note(self, taken: Taken) -> None:
        """Add a round."""
        for rounds, samples in zip((self.ours, self.thread, self.commit), taken, strict=True):
            rounds.append(samples)


@dataclass(frozen=True, slots=True)
class Enqueuing:
    """All that was measured; of what is grouped, the tasks a second in each round."""

    idle: Latencies
    draining: Latencies
    grouped: list[float]
    alone: list[float]


@dataclass(frozen=True, slots=True)
class _Three:
    """What takes turns, each on a file of its own."""

    app: App
    thread: BareThread
    commit: BareCommit

    @property
    def ways(self) -> tuple[Accept, Accept, Accept]:
        return by(engine_of(self.app)), self.thread.accept, self._commit

    async def _commit(self, task: Message) -> None:
        self.commit.accept(task)


async def enqueued(folder: Path, scale: Scale) -> Enqueuing:
    """Measure it."""
    async with _three(folder / "idle") as three:
        ours, thread, _ = three.ways
        await turns(three.ways, lambda turn: turn == 50)  # what is opened, and what the interpreter specialises
        idle, grouped, alone = Latencies(), list[float](), list[float]()
        for _ in range(scale.rounds):
            idle.note(await turns(three.ways, lambda turn: turn == scale.accepted))
            grouped.append(await together(ours, scale.grouped))
            alone.append(await together(thread, scale.grouped))
    draining = Latencies()
    for number in range(scale.rounds):
        draining.note(await _while_draining(folder / f"draining-{number}", scale))
    return Enqueuing(idle, draining, grouped, alone)


async def _while_draining(folder: Path, scale: Scale) -> Taken:
    async with _three(folder) as three:
        await fill(engine_of(three.app), scale.backlog)
        before = len(MARKS.times)
        async with working(three.app):
            # What is added waits, too: so something waits all the time.
            return await turns(three.ways, lambda _turn: len(MARKS.times) - before >= scale.backlog)


@asynccontextmanager
async def _three(folder: Path) -> AsyncIterator[_Three]:
    folder.mkdir()
    three = _Three(application(folder / "ours.db"), BareThread(folder / "thread.db"), BareCommit(folder / "commit.db"))
    try:
        yield three
    finally:
        three.commit.close()
        await three.thread.close()
        await close(three.app)
