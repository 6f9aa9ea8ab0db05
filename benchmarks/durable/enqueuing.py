"""How long it takes until a task is accepted, idle and while the same process works, beside the bare commit."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from pathlib import Path

from ellar.app import App

from benchmarks.durable.application import application, close, engine_of, fill, message, working
from benchmarks.durable.bare import BareCommit, BareThread
from benchmarks.durable.marks import MARKS
from benchmarks.durable.scale import Scale
from bg_di.backend import Engine, Message

COROUTINES = 20
_ORDERS = tuple(permutations(range(3)))


@dataclass(frozen=True, slots=True)
class Latencies:
    """In seconds, by rounds."""

    ours: list[list[float]] = field(default_factory=list)
    thread: list[list[float]] = field(default_factory=list)
    commit: list[list[float]] = field(default_factory=list)


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
    def engine(self) -> Engine:
        return engine_of(self.app)

    async def once(self, number: int) -> tuple[float, float, float]:
        """Each of them once, and how long it took; in another order each time, as it counts who comes after whom."""
        taken = [0.0, 0.0, 0.0]
        accepts = (partial(_accept, self.engine), self.thread.accept, self._commit)
        for index in _ORDERS[number % len(_ORDERS)]:
            accept, task = accepts[index], message(number)
            started = time.perf_counter()
            await accept(task)
            taken[index] = time.perf_counter() - started
        return taken[0], taken[1], taken[2]

    async def _commit(self, task: Message) -> None:
        self.commit.accept(task)


async def _accept(engine: Engine, task: Message) -> None:
    await engine.accept([task])


async def enqueued(folder: Path, scale: Scale) -> Enqueuing:
    """Measure it."""
    async with _three(folder / "idle") as three:
        await _round(three, lambda taken: taken == 50)  # what is opened, and what the interpreter specialises
        idle, grouped, alone = Latencies(), list[float](), list[float]()
        for _ in range(scale.rounds):
            _note(idle, await _round(three, lambda taken: taken == scale.commits))
            grouped.append(await _together(lambda number: three.engine.accept([message(number)]), scale.grouped))
            alone.append(await _together(lambda number: three.thread.accept(message(number)), scale.grouped))
    draining = Latencies()
    for number in range(scale.rounds):
        _note(draining, await _while_draining(folder / f"draining-{number}", scale))
    return Enqueuing(idle, draining, grouped, alone)


async def _while_draining(folder: Path, scale: Scale) -> list[tuple[float, float, float]]:
    async with _three(folder) as three:
        await fill(three.engine, scale.backlog)
        before = len(MARKS.times)
        async with working(three.app):
            # What is added waits, too: so something waits all the time.
            return await _round(three, lambda _taken: len(MARKS.times) - before >= scale.backlog)


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


async def _round(three: _Three, is_over: Callable[[int], bool]) -> list[tuple[float, float, float]]:
    samples: list[tuple[float, float, float]] = []
    while not is_over(len(samples)):
        samples.append(await three.once(len(samples)))
    return samples


def _note(latencies: Latencies, samples: list[tuple[float, float, float]]) -> None:
    ours, thread, commit = zip(*samples, strict=True)
    latencies.ours.append(list(ours))
    latencies.thread.append(list(thread))
    latencies.commit.append(list(commit))


async def _together(accept: Callable[[int], object], tasks: int) -> float:
    """So many tasks a second are accepted, if coroutines enqueue one after another, all at once."""
    numbers = iter(range(tasks))

    async def enqueue() -> None:
        for number in numbers:
            await accept(number)  # type: ignore[misc]

    started = time.perf_counter()
    await asyncio.gather(*(enqueue() for _ in range(COROUTINES)))
    return tasks / (time.perf_counter() - started)
