"""How long it takes until a task is accepted, idle and while the same process works, beside the bare publish."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ellar.app import App

from benchmarks.engines.application import close, engine_of, fill, working
from benchmarks.engines.marks import MARKS
from benchmarks.engines.turns import Accept, Taken, by, together, turns
from benchmarks.rabbitmq.bare import bare
from benchmarks.rabbitmq.place import Place, application
from benchmarks.rabbitmq.scale import Scale


@dataclass(frozen=True, slots=True)
class Latencies:
    """In seconds, by rounds."""

    ours: list[list[float]] = field(default_factory=list)
    bare: list[list[float]] = field(default_factory=list)

    def note(self, taken: Taken) -> None:
        """Add a round."""
        for rounds, samples in zip((self.ours, self.bare), taken, strict=True):
            rounds.append(samples)


@dataclass(frozen=True, slots=True)
class Enqueuing:
    """All that was measured; of what is grouped, the tasks a second in each round."""

    idle: Latencies
    draining: Latencies
    grouped: list[float]
    bare_grouped: list[float]


async def enqueued(url: str, scale: Scale) -> Enqueuing:
    """Measure it."""
    idle, grouped, bare_grouped = Latencies(), list[float](), list[float]()
    async with _two(Place(url, "idle")) as (app, publish):
        accept = by(engine_of(app))
        await turns((accept, publish), lambda turn: turn == 50)  # what is opened, and what the interpreter specialises
        for _ in range(scale.rounds):
            idle.note(await turns((accept, publish), lambda turn: turn == scale.accepted))
            grouped.append(await together(accept, scale.grouped))
            bare_grouped.append(await together(publish, scale.grouped))
    draining = Latencies()
    for number in range(scale.rounds):
        draining.note(await _while_draining(Place(url, f"draining-{number}"), scale))
    return Enqueuing(idle, draining, grouped, bare_grouped)


async def _while_draining(place: Place, scale: Scale) -> Taken:
    async with _two(place) as (app, publish):
        await fill(engine_of(app), scale.backlog)
        before = len(MARKS.times)
        async with working(app):
            # What is added waits, too: so something waits all the time.
            return await turns((by(engine_of(app)), publish), lambda _turn: len(MARKS.times) - before >= scale.backlog)


@asynccontextmanager
async def _two(place: Place) -> AsyncIterator[tuple[App, Accept]]:
    app = application(str(place))
    async with bare(place) as publish:
        yield app, publish
    await close(app)
