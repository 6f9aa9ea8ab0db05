"""A broker as one application uses it in one event loop."""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from bg_di.backends.backend import Engine
from bg_di.backends.messages import Accepted, Counts, Message
from bg_di.backends.rabbitmq.consumer import Lost, RabbitConsumer
from bg_di.backends.rabbitmq.counting import counted
from bg_di.backends.rabbitmq.dead import forget, put_back
from bg_di.backends.rabbitmq.dial import Dial
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.publisher import Publisher
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.backends.rabbitmq.terms import ENDING, Terms
from bg_di.errors import BackendUnavailable

Answer = TypeVar("Answer")


class RabbitEngine(Engine):
    """The tasks of an application on a broker, which is connected to when it is used first."""

    def __init__(self, dial: Dial, application: str, terms: Terms) -> None:
        self._dial = dial
        self._terms = terms
        self._queues = Queues(application)
        self._publisher = Publisher(dial, self._queues, terms)
        self._consumers: list[RabbitConsumer] = []
        self._accepting: set[asyncio.Task[list[Accepted | BackendUnavailable]]] = set()
        self._is_closed = False

    async def prepare(self) -> None:
        """Declare the queues, but for those of delays: they are made when the first task needs one."""
        await self._publisher.prepare()

    async def accept(self, messages: Sequence[Message]) -> Sequence[Accepted | BackendUnavailable]:
        """Publish messages; when it returns, the broker has confirmed those that were accepted.

        It is done also if whoever waits for it is cancelled.
        """
        if self._is_closed:
            return [BackendUnavailable(self._dial.address, "has been closed by this application") for _ in messages]
        accepting = asyncio.create_task(self._accept(messages))
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)
        return await asyncio.shield(accepting)

    async def consume(self, names: Collection[str], *, version: int = 1, lost: Lost) -> RabbitConsumer:
        """Begin to work for the application.

        Args:
            names, version: what the worker knows. Something else that it gets waits in a delay queue, for a second at
                first and for half a minute later, and is offered again.
            lost: is called in the event loop with id, name and reason of a task that this consumer has made dead.

        Raises:
            BackendUnavailable: the broker cannot be reached, or has other queues under these names.
        """
        consumer = RabbitConsumer(
            self._dial, self._queues, self._terms, self._publisher, names=names, version=version, lost=lost
        )
        await consumer.open()
        self._consumers = [*(each for each in self._consumers if not each.has_stopped), consumer]
        return consumer

    async def close(self) -> None:
        """Stop consumers, wait for what is being accepted, and close the connections."""
        self._is_closed = True
        for consumer in self._consumers:
            await consumer.stop()
        if self._accepting:
            await asyncio.wait(self._accepting)
        await self._publisher.close()

    def abandon(self) -> None:
        """The same, when the event loop has been closed, and its connections with it."""
        self._is_closed = True
        for consumer in self._consumers:
            consumer.abandon()

    def counts(self) -> Counts:
        """How much waits and how much is dead. Called from any thread; it connects anew, and waits for that."""
        return _apart(counted(self._dial, self._queues, patience=self._terms.publish_timeout))

    def retry(self, task_ids: Collection[str] | None = None) -> Sequence[str]:
        """Put dead tasks back, as if they had just been accepted; None: all of them. Called from any thread.

        Whatever is dead is taken in hand once for it; what is not meant goes back. One that is cut off may leave a task
        in both places.
        """
        return _apart(put_back(self._dial, self._queues, self._terms, task_ids))

    def prune(self, *, before: float, dead: bool = False) -> int:
        """Forget what has died before, if `dead`: of what has succeeded nothing is kept. Called from any thread."""
        return _apart(forget(self._dial, self._queues, self._terms, before=before)) if dead else 0

    async def _accept(self, messages: Sequence[Message]) -> list[Accepted | BackendUnavailable]:
        if len(messages) == 1:  # which is the most frequent case, and does without a task of its own
            return [await self._publish(messages[0])]
        return await asyncio.gather(*map(self._publish, messages))

    async def _publish(self, message: Message) -> Accepted | BackendUnavailable:
        try:
            await self._publisher.publish(self._queues.until(message.due_at), Parcel.of(message))
        except BackendUnavailable as error:
            return error
        return Accepted(task_id=message.task_id, is_new=True)


def _apart(asking: Coroutine[Any, Any, Answer]) -> Answer:
    """Run it in an event loop of its own: this thread may have one that cannot wait."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, _to_its_end(asking)).result()


async def _to_its_end(asking: Coroutine[Any, Any, Answer]) -> Answer:
    """With what the client still does when a connection has broken and is closed."""
    try:
        return await asking
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                others = asyncio.all_tasks() - {asyncio.current_task()}
                await asyncio.gather(*others, return_exceptions=True)
