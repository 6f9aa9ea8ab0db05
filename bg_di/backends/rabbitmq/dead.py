"""What is dead on a broker: put back, or forgotten.

Nobody can look into a queue: all of it is taken in hand, once, and what is not meant goes back when that hand opens.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Collection
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from bg_di.backends.rabbitmq.connection import Connection
from bg_di.backends.rabbitmq.dial import Dial, length
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.publisher import Publisher
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.backends.rabbitmq.terms import Terms
from bg_di.errors import MessageMalformed


async def put_back(dial: Dial, queues: Queues, terms: Terms, task_ids: Collection[str] | None) -> list[str]:
    """Put tasks to those that are to be run, or all if none are named; first they are there, then they are let go here.

    A broker may have one twice, as it passes on at least once what it has found to be dead: it is put back once.

    Raises:
        BackendUnavailable: the broker cannot be used. What was put back until then stays.
    """
    back: dict[str, None] = {}  # in order
    publisher = Publisher(dial, queues, terms)
    try:
        async with dial.errand("operator") as connection:
            async for message in _dead(connection, queues, terms):
                parcel = _parcel(message)
                if parcel is None or (task_ids is not None and parcel.task_id not in task_ids):
                    continue
                if parcel.task_id not in back:
                    await publisher.publish(queues.tasks, parcel.anew())
                    back[parcel.task_id] = None
                await message.ack()
    finally:
        await publisher.close()
    return list(back)


async def forget(dial: Dial, queues: Queues, terms: Terms, *, before: float) -> int:
    """Drop what has died before.

    Returns:
        How many.

    Raises:
        BackendUnavailable: the broker cannot be used. What was dropped until then is gone.
    """
    count = 0
    async with dial.errand("operator") as connection:
        async for message in _dead(connection, queues, terms):
            if _died_at(message) < before:
                await message.ack()
                count += 1
    return count


async def _dead(connection: Connection, queues: Queues, terms: Terms) -> AsyncGenerator[AbstractIncomingMessage]:
    """As many as there are at the beginning: what dies meanwhile is not meant."""
    count = await length(connection, queues.dead)
    channel = await connection.channel()
    queue = await channel.get_queue(queues.dead.name, ensure=False)
    for _ in range(count):
        async with asyncio.timeout(terms.publish_timeout):
            message = await queue.get(fail=False)
        if message is None:
            return
        yield message


def _parcel(message: AbstractIncomingMessage) -> Parcel | None:
    try:
        return Parcel.unpacked(message)
    except MessageMalformed:  # which no worker could bury
        return None


def _died_at(message: AbstractIncomingMessage) -> float:
    """When a worker has found it to be dead, or else when the broker did; never, if it is somebody else's."""
    parcel = _parcel(message)
    if parcel is not None and parcel.died_at is not None:
        return parcel.died_at
    deaths: Any = message.headers.get("x-death")
    try:
        return float(deaths[0]["time"].timestamp())
    except (AttributeError, LookupError, TypeError):
        return math.inf
