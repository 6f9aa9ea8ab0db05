"""What no engine on RabbitMQ can do without: the publish that the broker confirms, by the same client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika import DeliveryMode

from benchmarks.engines.turns import Accept
from benchmarks.rabbitmq.place import Place
from bg_di.backends import Message


@asynccontextmanager
async def bare(place: Place) -> AsyncIterator[Accept]:
    """Publishes the body of a task into a queue that is declared like bg_di's, with nothing around it."""
    async with await aio_pika.connect(place.url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        arguments: dict[str, Any] = dict(place.queues.tasks.arguments)
        queue = await channel.declare_queue(f"bare.{place.name}", durable=True, arguments=arguments)

        async def accept(task: Message) -> None:
            message = aio_pika.Message(task.body, delivery_mode=DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, queue.name, mandatory=True)

        yield accept
