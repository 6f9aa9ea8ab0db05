"""The messages of a queue, over every cut of the connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from bg_di import log
from bg_di.backends.rabbitmq.dial import Dial, hang_up
from bg_di.backends.rabbitmq.failures import FAILURES, is_cancelled, unless_cancelled, why
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.backends.rabbitmq.terms import Terms
from bg_di.errors import BackendUnavailable

# Seconds between two tries to be connected again.
_PAUSE: Final = 0.25
_CLOSING: Final = 2.0


@dataclass(slots=True, eq=False)
class _Line:
    """A connection on which messages come.

    Attributes:
        gone: when none can come on it any more.
    """

    connection: AbstractConnection
    channel: AbstractChannel
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
            async with asyncio.timeout(_CLOSING):
                await cast(AbstractQueue, self._line.queue).cancel(self._line.tag)
        except FAILURES as error:  # then nothing comes anyway
            unless_cancelled(error)

    async def close(self) -> None:
        """Let go of the connection. What has not been acknowledged goes back."""
        await hang_up(self._line.connection, patience=_CLOSING)

    async def _keep(self) -> None:
        while True:
            await self._line.gone.wait()
            log.connection_lost(self._dial.address)
            if not await self._listened_anew():
                await hang_up(self._line.connection, patience=_CLOSING)
                await self._insist()
            log.connection_back(self._dial.address)

    async def _listened_anew(self) -> bool:
        """Whether only the queue was gone, and is back.

        What had come from it is on no broker any more, so its channel is kept: it is still in hand, and nobody else's.
        """
        line = self._line
        if line.channel.is_closed:
            return False
        line.gone.clear()
        await asyncio.sleep(_PAUSE)
        try:
            async with asyncio.timeout(self._terms.publish_timeout):
                await self._listen(line)
        except (*FAILURES, BackendUnavailable) as error:
            unless_cancelled(error)
            return False
        return True

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
        line = _Line(connection, connection.channel(publisher_confirms=False))
        try:
            async with asyncio.timeout(self._terms.publish_timeout):
                await self._open(line)
                await self._listen(line)
        except BaseException as error:
            await hang_up(connection, patience=_CLOSING)
            if isinstance(error, FAILURES) and not is_cancelled(error):
                raise BackendUnavailable(self._dial.address, why(error)) from error
            raise
        return line

    async def _open(self, line: _Line) -> None:
        await line.channel.initialize()
        await line.channel.set_qos(prefetch_count=self._terms.concurrency)
        line.channel.close_callbacks.add(line.go)
        # The broker says so when the queue is deleted.
        (await line.channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(line.go)

    async def _listen(self, line: _Line) -> None:
        for queue in (self._queues.dead, self._queues.tasks):
            await self._dial.declare(line.connection, queue)
        line.queue = await line.channel.get_queue(self._queues.tasks.name, ensure=False)
        line.tag = await line.queue.consume(self._took)

    async def _took(self, message: AbstractIncomingMessage) -> None:
        self._take(message)
