"""How long a sync handler takes while slow sync tasks hold their threads.

All in one process and without sockets: what is left then is the wait for a thread.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from ellar.common import get
from starlette.background import BackgroundTasks

from benchmarks.applications import Once, ellar_application, sender
from bg_di import BackgroundTasksModule

SLOW_TASKS, THREADS = 45, 40
_ROUNDS, _REQUESTS = 100, 50
# In seconds: when a handler that got no thread is given up; when something is wrong with the measurement itself.
STARVED, _BOUND = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one application, in seconds.

    Attributes:
        loaded: while the slow tasks run; None if a request got no answer in time.
    """

    stack: str
    idle: tuple[float, ...]
    loaded: tuple[float, ...] | None

    @property
    def ratio(self) -> float:
        """The 99th percentile under load against idle; at least that, if nothing was answered."""
        return (p99(self.loaded) if self.loaded else STARVED) / p99(self.idle)


def p99(latencies: tuple[float, ...]) -> float:
    return quantiles(latencies, n=100)[-1]


class _Gate:
    """What the slow tasks wait for."""

    def __init__(self) -> None:
        self._entered = threading.Semaphore(0)
        self._opened = threading.Event()

    def wait(self) -> None:
        """The slow task."""
        self._entered.release()
        assert self._opened.wait(_BOUND), "nobody opened the gate"

    async def filled(self) -> None:
        """Return when as many wait as there are threads."""
        # The threads of asyncio itself, which neither handlers nor tasks use.
        for _ in range(THREADS):
            assert await asyncio.to_thread(self._entered.acquire, timeout=_BOUND)

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self._entered = threading.Semaphore(0)
        self._opened.clear()


def _routes(gate: _Gate) -> list[Any]:
    @get("/slow")
    async def slow(tasks: BackgroundTasks) -> dict[str, bool]:
        tasks.add_task(gate.wait)
        return {"ok": True}

    @get("/handler")
    def handler() -> dict[str, bool]:
        return {"ok": True}

    return [slow, handler]


async def _latencies(once: Once) -> list[float]:
    measured = []
    for _ in range(_REQUESTS):
        started = time.perf_counter()
        await once()
        measured.append(time.perf_counter() - started)
    return measured


@asynccontextmanager
async def _load(slow: Once, gate: _Gate) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as requests:
        for _ in range(SLOW_TASKS):
            requests.create_task(slow())
        try:
            await gate.filled()
            yield
        finally:
            gate.open()
    gate.close()


async def _measured(stack: str) -> Latency:
    gate = _Gate()
    app = ellar_application(_routes(gate), BackgroundTasksModule if stack == "bg_di" else None)
    slow, handler = sender(app, "GET", "/slow"), sender(app, "GET", "/handler")
    idle: list[float] = []
    loaded: list[float] | None = []
    async with _load(slow, gate):
        """All threads have been started once."""
    await _latencies(handler)
    for _ in range(_ROUNDS):
        idle += await _latencies(handler)
        async with _load(slow, gate):
            if loaded is not None:
                loaded = await _under_load(handler, loaded)
    return Latency(stack, tuple(idle), tuple(loaded) if loaded else None)


async def _under_load(handler: Once, so_far: list[float]) -> list[float] | None:
    try:
        async with asyncio.timeout(STARVED):
            await handler()
    except TimeoutError:
        return None
    return so_far + await _latencies(handler)


def latencies() -> list[Latency]:
    """Measure plain Ellar and bg_di."""
    return [asyncio.run(_measured(stack)) for stack in ("ellar", "bg_di")]
