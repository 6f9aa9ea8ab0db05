"""The messages of a queue, over every cut of the connection."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq import spec

from bg_di import log
from bg_di.backends.rabbitmq.connection import Connection
from bg_di.backends.rabbitmq.dial import Dial
from bg_di.backends.rabbitmq.failures import FAILURES, unless_cancelled, why
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.backends.rabbitmq.terms import ENDING, PAUSE, Terms
from bg_di.errors import BackendUnavailable


@dataclass(slots=True, eq=False)
class _Line:
    """A connection on which messages come.

    Attributes:
        gone: when none can come on it any more.
        cause: of that, where there is an error.
    """

    connection: Connection
    channel: AbstractChannel
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    queue: AbstractQueue | None = None
    tag: str = ""
    cause: BaseException | None = None

    def go(self, *told: object) -> None:
        """Called by the client, with what it knows."""
        self.cause = next((each for each in told if isinstance(each, BaseException)), None)
        self.gone.set()


class Subscription:
    """Gives what an application's queue of tasks has to `take`, until it is closed.

    Args:
        take: is called in the event loop with each message.
        orphan: is called with the tag that messages had, when their queue was deleted.
    """

    _line: _Line
    _keeping: "asyncio.Task[None]"

    def __init__(
        self,
        dial: Dial,
        queues: Queues,
        terms: Terms,
        take: Callable[[AbstractIncomingMessage], None],
        orphan: Callable[[str], None],
    ) -> None:
        self._dial = dial
        self._queues = queues
        self._terms = terms
        self._take = take
        self._orphan = orphan

    async def open(self) -> None:
        """Begin.

        Raises:
            BackendUnavailable: the broker cannot be reached, or has other queues under these names.
        """
        self._line = await self._subscribe()
        self._keeping = asyncio.create_task(self._keep())

    async def end(self) -> None:
        """Get no more messages. What has come can still be acknowledged."""
        if self._keeping.cancelled():
            return
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        try:
            async with asyncio.timeout(ENDING):
                await cast(AbstractQueue, self._line.queue).cancel(self._line.tag)
        except FAILURES as error:  # then nothing comes anyway
            unless_cancelled(error)

    async def close(self) -> None:
        """Let go of the connection. What has not been acknowledged goes back."""
        await self._line.connection.hang_up()

    async def _keep(self) -> None:
        while True:
            await self._line.gone.wait()
            log.connection_lost(self._dial.address, _told(self._line.cause))
            await self._insist()
            log.connection_back(self._dial.address)

    async def _insist(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(PAUSE)
            try:
                self._line = await self._again()
            except Exception as error:  # noqa: BLE001  # whatever the client raises, a worker is not to stay away
                if str(error) != said:
                    log.connection_fails(error)
                said = str(error)
            else:
                return

    async def _again(self) -> _Line:
        """A connection on which messages come: the old one, if only the queue was deleted."""
        line = self._line
        if line.channel.is_closed:
            await line.connection.hang_up()
            return await self._subscribe()
        line.gone.clear()
        # A broker that several ask for a queue which it is still deleting may close their connections.
        async with self._dial.errand("declarer") as connection:
            await self._in_time(self._declare(connection))
        try:
            await self._in_time(self._listen(line))
        except BackendUnavailable:  # the broker may have heard it: once more would be twice
            await line.connection.hang_up()
            raise
        return line

    async def _subscribe(self) -> _Line:
        connection = await self._dial.connect("worker")
        line = _Line(connection, connection.channel(publisher_confirms=False))
        try:
            await self._in_time(self._begin(line))
        except BaseException:
            await connection.hang_up()
            raise
        return line

    async def _begin(self, line: _Line) -> None:
        await self._declare(line.connection)
        await line.channel.initialize()
        await line.channel.set_qos(prefetch_count=self._terms.concurrency)
        line.channel.close_callbacks.add(line.go)
        # The broker says so when the queue is deleted.
        callbacks = (await line.channel.get_underlay_channel()).on_consumer_cancel_callbacks
        callbacks.add(lambda frame: self._deleted(line, frame))
        await self._listen(line)

    def _deleted(self, line: _Line, frame: spec.Basic.Cancel) -> None:
        self._orphan(frame.consumer_tag or "")
        line.go()

    async def _declare(self, connection: Connection) -> None:
        for queue in (self._queues.dead, self._queues.tasks):
            await self._dial.declare(connection, queue)

    async def _listen(self, line: _Line) -> None:
        line.queue = await line.channel.get_queue(self._queues.tasks.name, ensure=False)
        line.tag = await line.queue.consume(self._took)

    async def _in_time(self, work: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._terms.publish_timeout):
                await work
        except FAILURES as error:
            unless_cancelled(error)
            raise BackendUnavailable(self._dial.address, why(error)) from error

    async def _took(self, message: AbstractIncomingMessage) -> None:
        self._take(message)


def _told(cause: BaseException | None) -> str:
    """Why no messages come any more. A broker that takes back what has run for too long says so there."""
    return "the queue was deleted" if cause is None else f"it {why(cause)}"
