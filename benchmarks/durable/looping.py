"""How long the event loop is held up while it enqueues and works, beside one that does nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ellar.app import App

from benchmarks.durable.application import application
from benchmarks.durable.scale import Scale
from benchmarks.engines.application import engine_of, fill, message, working

TICK = 0.001
_BACKLOG = 1000


@dataclass(frozen=True, slots=True)
class Gaps:
    """By how many seconds a tick came late, by rounds."""

    idle: list[list[float]] = field(default_factory=list)
    busy: list[list[float]] = field(default_factory=list)


async def gaps(folder: Path, scale: Scale) -> Gaps:
    """Watch the loop, idle and busy in turn."""
    found = Gaps()
    for number in range(scale.rounds):
        found.idle.append(await _watched(scale.seconds))
        app = application(folder / f"{number}.db")
        await fill(engine_of(app), _BACKLOG)
        async with working(app), _enqueuing(app):
            found.busy.append(await _watched(scale.seconds))
    return found


async def _watched(seconds: float) -> list[float]:
    late, started = [], time.perf_counter()
    while (before := time.perf_counter()) - started < seconds:
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - before - TICK)
    return late


@asynccontextmanager
async def _enqueuing(app: App) -> AsyncIterator[None]:
    """One task after another, without a pause."""

    async def enqueue() -> None:
        number = 0
        while True:
            await engine_of(app).accept([message(number)])
            number += 1

    task = asyncio.create_task(enqueue())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
