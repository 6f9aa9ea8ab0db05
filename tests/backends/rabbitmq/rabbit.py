"""What the tests of the RabbitMQ engine share: a look past it at the broker, and waiting for what happens."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import QueueEmpty

from bg_di.backends import Accepted, Consumer, Engine, Message
from bg_di.errors import BackendUnavailable

PATIENCE = 30.0
# What is promised is a second; a machine that is busy may take longer.
GENEROUS = 5.0
# Seconds after which a broker may be killed that has declared a queue: earlier, that may come back without a leader. It
# tells nobody when it is sure.
SETTLED = 2.0


@asynccontextmanager
async def raw(url: str) -> AsyncGenerator[AbstractChannel]:
    """A channel of somebody else."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        yield channel


async def got(channel: AbstractChannel, name: str) -> AbstractIncomingMessage:
    """A message, as soon as the queue has one; it is not acknowledged."""
    queue = await channel.get_queue(name, ensure=False)
    found: list[AbstractIncomingMessage] = []

    async def get() -> bool:
        try:
            found.append(await queue.get())
        except QueueEmpty:
            return False
        return True

    await until_so(get)
    return found[0]


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so that nobody tells of."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.01)


async def until_so(is_so: Callable[[], Any]) -> None:
    """The same, where the broker has to be asked."""
    async with asyncio.timeout(PATIENCE):
        while not await is_so():
            await asyncio.sleep(0.02)


async def until_waiting(engine: Engine, count: int) -> None:
    """Wait until so many tasks are in the queues."""
    await until_so(lambda: asyncio.to_thread(lambda: engine.counts().waiting == count))


async def accepts(engine: Engine, message: Message) -> None:
    """Hand a task over until it is accepted, as after an outage."""

    async def is_accepted() -> bool:
        (outcome,) = await engine.accept([message])
        return isinstance(outcome, Accepted)

    await until_so(is_accepted)


async def refusal(engine: Engine, message: Message) -> BackendUnavailable:
    """Why a task is not accepted."""
    (outcome,) = await engine.accept([message])
    assert isinstance(outcome, BackendUnavailable), outcome
    return outcome


async def nothing_waits(engine: Engine, consumer: Consumer) -> None:
    """See that a worker which stops leaves nothing behind."""
    await consumer.stop()
    counts = engine.counts()
    assert (counts.waiting, counts.dead) == (0, 0)


def lists(broker: Any, *columns: str) -> Sequence[dict[str, Any]]:
    """The queues, as the broker shows them."""
    shown: list[dict[str, Any]] = json.loads(broker.control("list_queues", "--formatter=json", *columns))
    return shown
