"""The messages of a queue, over every cut of the connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from bg_di import log
from bg_di.backends.rabbitmq.connection import Connection
from bg_di.backends.rabbitmq.dial import Dial
from bg_di.backends.rabbitmq.failures import FAILURES, is_cancelled, unless_cancelled, why
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.backends.rabbitmq.terms import Terms
from bg_di.errors import BackendUnavailable

# Seconds between two tries to be connected again.
_PAUSE: Final = 0.25
# Seconds for the broker to confirm that it sends no more.
_CANCELLING: Final = 2.0


@dataclass(slots=True, eq=False)
class _Line:
    """A connection on which messages come.

    Attributes:
        gone: when none can come on it any more.
    """

    connection: Connection
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    queue: AbstractQueue | None = None
    tag: str = ""

    def go(self, *_: object) -> None:
        """Called by the client, with what it knows."""
        self.gone.set()


class Subscription:
    """Gives what an application's queue of tasks has to `take`, until it is closed.

    Args:
        take: is called in the event loop with each message.
    """

    _line: _Line
    _keeping: "asyncio.Task[None]"

    def __init__(
        self, dial: Dial, queues: Queues, terms: Terms, take: Callable[[AbstractIncomingMessage], None]
    ) -> None:
        self._dial = dial
        self._queues = queues
        self._terms = terms
        self._take = take

    async def open(self) -> None:
        """Begin.

        Raises:
            BackendUnavailable: the broker cannot be reached, or has other queues under these names.
        """
        self._line = await self._subscribe()
        self._keeping = asyncio.create_task(self._keep())

    async def end(self) -> None:
        """Get no more messages. What has come can still be acknowledged."""
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        try:
            async with asyncio.timeout(_CANCELLING):
                await cast(AbstractQueue, self._line.queue).cancel(self._line.tag)
        except FAILURES as error:  # then nothing comes anyway
            unless_cancelled(error)

    async def close(self) -> None:
        """Let go of the connection. What has not been acknowledged goes back."""
        await self._line.connection.hang_up()

    async def _keep(self) -> None:
        while True:
            await self._line.gone.wait()
            log.connection_lost(self._dial.address)
            await self._line.connection.hang_up()
            await self._insist()
            log.connection_back(self._dial.address)

    async def _insist(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(_PAUSE)
            try:
                self._line = await self._subscribe()
            except BackendUnavailable as error:
                if str(error) != said:
                    log.connection_fails(error)
                said = str(error)
            else:
                return

    async def _subscribe(self) -> _Line:
        connection = await self._dial.connect("worker")
        line = _Line(connection)
        try:
            async with asyncio.timeout(self._terms.publish_timeout):
                await self._consume(line)
        except BaseException as error:
            await connection.hang_up()
            if isinstance(error, FAILURES) and not is_cancelled(error):
                raise BackendUnavailable(self._dial.address, why(error)) from error
            raise
        return line

    async def _consume(self, line: _Line) -> None:
        for queue in (self._queues.dead, self._queues.tasks):
            await self._dial.declare(line.connection, queue)
        channel = line.connection.channel(publisher_confirms=False)
        await channel.initialize()
        await channel.set_qos(prefetch_count=self._terms.concurrency)
        channel.close_callbacks.add(line.go)
        # The broker says so when the queue is deleted.
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(line.go)
        line.queue = await channel.get_queue(self._queues.tasks.name, ensure=False)
        line.tag = await line.queue.consume(self._took)

    async def _took(self, message: AbstractIncomingMessage) -> None:
        self._take(message)
