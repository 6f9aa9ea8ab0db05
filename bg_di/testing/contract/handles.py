"""How the tests of a backend use it: its handles, what is handed over, and what comes of it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

from bg_di.backends import Accepted, Backend, Consumer, Delivery, Engine, Message

NAME: Final = "contract:known"
SOON: Final = 0.1


@asynccontextmanager
async def opened(backend: Backend, application: str = "shop") -> AsyncGenerator[Engine]:
    """A handle that is closed."""
    engine = backend.open(application)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def working(engine: Engine, names: Iterable[str] = (NAME,), *, version: int = 1) -> AsyncGenerator[Consumer]:
    """A worker's side of it, which is stopped; nothing is to be lost."""
    lost: list[tuple[str, str, str]] = []
    consumer = await engine.consume(list(names), version=version, lost=lambda *task: lost.append(task))
    try:
        yield consumer
    finally:
        await consumer.stop()
    assert not lost


def message(**options: Any) -> Message:
    """A task that nobody else has, due now."""
    now = time.time()
    values: dict[str, Any] = {"task_id": uuid4().hex, "name": NAME, "body": b"{}", "added_at": now, "due_at": now}
    return Message(**values | options)


def ids(given: Iterable[Message | Delivery]) -> set[str]:
    """Of tasks, of which none is twice there."""
    found = [each.task_id for each in given]
    assert len(found) == len(set(found))
    return set(found)


def accepted(results: Sequence[object]) -> Sequence[Accepted]:
    """Results of which none is an error."""
    assert all(isinstance(each, Accepted) for each in results), results
    return [each for each in results if isinstance(each, Accepted)]


def state(engine: Engine, given: Message) -> str | None:
    """How a task stands."""
    entry = engine.show(given.task_id)
    return None if entry is None else entry.state


async def received(consumer: Consumer, count: int = 1) -> Sequence[Delivery]:
    """So many deliveries, in as many portions as they come in."""
    deliveries: list[Delivery] = []
    while len(deliveries) < count:
        deliveries += await consumer.receive(count - len(deliveries))
    return deliveries


async def finished(consumer: Consumer, count: int) -> set[str]:
    """So many tasks that come, and succeed."""
    deliveries = await received(consumer, count)
    for delivery in deliveries:
        assert await consumer.acknowledge(delivery)
    return ids(deliveries)


async def finished_by(consumers: Sequence[Consumer], count: int) -> Sequence[str]:
    """The tasks that several workers have finished, as soon as these are so many."""
    done: list[str] = []
    enough = asyncio.Event()

    async def work(consumer: Consumer) -> None:
        while True:
            for delivery in await consumer.receive(7):
                assert await consumer.acknowledge(delivery)
                done.append(delivery.task_id)
            if len(done) >= count:
                enough.set()

    await _until(enough.wait(), *map(work, consumers))
    return done


async def _until(first: Awaitable[object], *others: Awaitable[object]) -> None:
    """Wait for the first, or for an error of others, which are cut off then."""
    tasks = [asyncio.ensure_future(each) for each in (first, *others)]
    ended, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for task in ended:
        task.result()


async def accept_in_turn(engine: Engine, messages: Sequence[Message]) -> None:
    for each in messages:
        accepted(await engine.accept([each]))
