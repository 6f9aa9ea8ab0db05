"""bg_di as one of the engines that do the same work."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from ellar.app import App

from benchmarks.engines.application import close, noop, working
from benchmarks.engines.peer import Enqueue, Peer
from bg_di import collect_background_tasks

_SLOTS: Final = 10


def ours(home: str, application: Callable[[str, int], App], *, pace: int = 10) -> Peer:
    """It on one of its backends.

    Args:
        application: with its tasks in a place, and a worker of so many slots.
    """

    @asynccontextmanager
    async def enqueuing(place: str, slots: int | None) -> AsyncIterator[Enqueue]:
        app = application(place, slots or _SLOTS)

        async def enqueue(number: int) -> None:
            async with collect_background_tasks(app) as tasks:
                tasks.add_task(noop, number)

        yield enqueue
        await close(app)

    @asynccontextmanager
    async def works(place: str, slots: int | None) -> AsyncIterator[None]:
        async with working(application(place, slots or _SLOTS)):
            yield

    return Peer(name="bg_di", package="bg_di", home=home, enqueuing=enqueuing, working=works, pace=pace)
