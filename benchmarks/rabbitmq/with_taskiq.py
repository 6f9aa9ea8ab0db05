"""taskiq with taskiq-aio-pika, at its safest: quorum queues, and an acknowledgement when a task has been run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any, Final

from benchmarks.engines.marks import MARKS
from benchmarks.engines.peer import Enqueue
from benchmarks.rabbitmq.place import KEPT, Place

_SLOTS: Final = 10


async def _task(number: int) -> None:
    await MARKS.task(number)


def _broker(place: str, slots: int | None = None) -> Any:
    found, pika = Place.of(place), import_module("taskiq_aio_pika")
    queue, exchange = (import_module(f"taskiq_aio_pika.{name}") for name in ("queue", "exchange"))
    return pika.AioPikaBroker(
        found.url,
        exchange=exchange.Exchange(name=found.name, type="direct"),
        task_queues=[queue.Queue(name=found.name, arguments=dict(KEPT))],
        dead_letter_queue=queue.Queue(name=f"{found.name}.dead"),
        qos=slots or _SLOTS,
    )


@asynccontextmanager
async def _enqueuing(name: str, place: str, _slots: int | None) -> AsyncIterator[Enqueue]:
    broker = _broker(place)
    task = broker.task(task_name=name)(_task)
    await broker.startup()
    yield task.kiq
    await broker.shutdown()


enqueuing = partial(_enqueuing, "noop")
stranger = partial(_enqueuing, "stranger")


@asynccontextmanager
async def working(place: str, slots: int | None) -> AsyncIterator[None]:
    broker = _broker(place, slots)
    broker.task(task_name="noop")(_task)
    broker.is_worker_process = True
    receiver = import_module("taskiq.receiver").Receiver(
        broker,
        max_async_tasks=slots or _SLOTS,
        max_prefetch=0,
        ack_type=import_module("taskiq.acks").AcknowledgeType.WHEN_EXECUTED,
    )
    finish = asyncio.Event()
    listening = asyncio.create_task(receiver.listen(finish))
    yield
    finish.set()
    await listening
    await broker.shutdown()
