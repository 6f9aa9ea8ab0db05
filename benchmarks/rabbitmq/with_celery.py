"""Celery at its safest: quorum queues, confirmed publishes, late acknowledgements; what fails is kept in a dead one."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any, Final

from benchmarks.engines.marks import MARKS
from benchmarks.engines.peer import Enqueue
from benchmarks.rabbitmq.place import KEPT, Place

_PATIENCE: Final = 10.0


def _task(number: int) -> None:
    MARKS.task_in_thread(number)


def _celery(place: str) -> Any:
    found, queue = Place.of(place), import_module("kombu").Queue
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{found.name}.dead"}
    quorum = {"x-queue-type": "quorum"}
    app = import_module("celery").Celery(broker=found.url, set_as_current=False)
    app.conf.update(
        task_queues=[queue(found.name, routing_key=found.name, queue_arguments={**quorum, **KEPT, **to_dead})],
        task_default_queue=found.name,
        task_default_queue_type="quorum",
        worker_detect_quorum_queues=True,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=False,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
    )
    with app.connection_for_write() as connection:
        queue(f"{found.name}.dead", queue_arguments=quorum)(connection).declare()
    return app


@asynccontextmanager
async def _enqueuing(name: str, place: str, _slots: int | None) -> AsyncIterator[Enqueue]:
    app = _celery(place)
    task = app.task(name=name)(_task)

    async def enqueue(number: int) -> None:
        task.delay(number)

    yield enqueue
    app.close()


enqueuing = partial(_enqueuing, "noop")
stranger = partial(_enqueuing, "stranger")


@asynccontextmanager
async def working(place: str, slots: int | None) -> AsyncIterator[None]:
    app = _celery(place)
    app.task(name="noop")(_task)
    MARKS.fork()
    thread = threading.Thread(target=app.WorkController(concurrency=slots).start, daemon=True)
    thread.start()
    yield
    state: Any = import_module("celery.worker.state")
    state.should_stop = 0  # as upon SIGTERM: what runs is awaited
    await asyncio.to_thread(thread.join, _PATIENCE)
