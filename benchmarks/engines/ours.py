"""bg_di as one of the engines that do the same work."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from ellar.app import App

from benchmarks.engines.application import close, working
from benchmarks.engines.peer import Enqueue, Enqueuing, Working
from bg_di import collect_background_tasks

_SLOTS: Final = 10


def enqueuing_by(application: Callable[[str, int], App], task: Callable[[int], Any]) -> Enqueuing:
    """What enqueues a task of it.

    Args:
        application: with its tasks in a place, and a worker of so many slots.
    """

    @asynccontextmanager
    async def enqueuing(place: str, slots: int | None) -> AsyncIterator[Enqueue]:
        app = application(place, slots or _SLOTS)

        async def enqueue(number: int) -> None:
            async with collect_background_tasks(app) as tasks:
                tasks.add_task(task, number)

        yield enqueue
        await close(app)

    return enqueuing


def working_by(application: Callable[[str, int], App]) -> Working:
    """What runs a worker of it."""

    @asynccontextmanager
    async def works(place: str, slots: int | None) -> AsyncIterator[None]:
        async with working(application(place, slots or _SLOTS)):
            yield

    return works
