"""Messages that a broker has confirmed."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import DeliveryError, PublishError

from bg_di.backends.rabbitmq.connection import Connection
from bg_di.backends.rabbitmq.dial import Dial
from bg_di.backends.rabbitmq.failures import FAILURES, unless_cancelled, why
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.queues import Queue, Queues
from bg_di.backends.rabbitmq.terms import ENDING, Terms
from bg_di.errors import BackendUnavailable, OutcomeUnknown

# Seconds before a queue that has been deleted is declared anew: who listened to it is to hear of it first.
_REST: Final = 1.0


@dataclass(slots=True)
class _Line:
    """An open connection, and the names of the queues that are known to be there.

    Attributes:
        under_way: how many messages have been sent on the channel and not been answered.
        is_worn: whether the channel is to be used no more.
    """

    connection: Connection
    channel: AbstractChannel
    declared: set[str] = field(default_factory=set)
    not_before: float = 0.0
    under_way: int = 0
    is_worn: bool = False

    @property
    def is_usable(self) -> bool:
        return not self.is_worn and not self.channel.is_closed


class Publisher:
    """Publishes for an application, on a connection that is opened when it is needed.

    It is not the one on which tasks come: a broker short of memory stops reading from whoever publishes, and what has
    ended is to be acknowledged all the same.
    """

    def __init__(self, dial: Dial, queues: Queues, terms: Terms) -> None:
        self._dial = dial
        self._queues = queues
        self._timeout = terms.publish_timeout
        self._opening = asyncio.Lock()
        self._line: _Line | None = None

    async def prepare(self) -> None:
        """Connect, and declare the queues of tasks and of what is dead.

        Raises:
            BackendUnavailable: the broker could not be reached, or has other queues under these names.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._ready(self._queues.tasks)
        except FAILURES as error:
            unless_cancelled(error)
            raise self._failed(error, sent=False) from error

    async def publish(self, queue: Queue, parcel: Parcel) -> None:
        """Put a message into a queue; when it returns, the broker keeps it.

        Raises:
            OutcomeUnknown: it was sent, and the broker has not answered within `publish_timeout`, or the connection
                broke before it could.
            BackendUnavailable: the broker has refused it, or could not be reached.
        """
        line: _Line | None = None
        try:
            async with asyncio.timeout(self._timeout):
                line = await self._ready(queue)
                line.under_way += 1
                await line.channel.default_exchange.publish(parcel.packed(), queue.name, mandatory=True)
        except PublishError as error:
            assert line is not None, "it has answered on one"
            line.declared.clear()
            line.not_before = asyncio.get_running_loop().time() + _REST
            gone = f"has no queue {queue.name!r} any more: it is declared anew in a second"
            raise BackendUnavailable(self._dial.address, gone) from error
        except DeliveryError as error:
            assert line is not None, "it has answered on one"
            # A broker's channel that has met a queue without a leader may look for that one for ever.
            line.is_worn = True
            full = f"does not take more into the queue {queue.name!r}: it is full, or has no majority of its nodes"
            raise BackendUnavailable(self._dial.address, full) from error
        except BackendUnavailable:
            raise
        except FAILURES as error:
            unless_cancelled(error)
            raise self._failed(error, sent=line is not None) from error
        finally:
            if line is not None:
                line.under_way -= 1
                await self._let_go(line)

    async def close(self) -> None:
        """Close what is open."""
        line, self._line = self._line, None
        if line is not None:
            await line.connection.hang_up()

    def _failed(self, error: BaseException, *, sent: bool) -> BackendUnavailable:
        if not sent:
            return BackendUnavailable(self._dial.address, why(error))
        if isinstance(error, TimeoutError):
            return OutcomeUnknown(self._dial.address, f"has not confirmed within {self._timeout:g} seconds")
        return OutcomeUnknown(self._dial.address, f"was cut off before it confirmed: it {why(error)}")

    async def _ready(self, queue: Queue) -> _Line:
        """The connection, and a queue that is there, as are those to which its messages go on by themselves."""
        line = self._line
        # Those are declared first. Where nothing is to be done nobody has to wait for the others.
        if line is not None and line.is_usable and queue.name in line.declared:
            return line
        async with self._opening:
            line = await self._open()
            for each in (self._queues.dead, self._queues.tasks, queue):
                if each.name not in line.declared:
                    await asyncio.sleep(max(0.0, line.not_before - asyncio.get_running_loop().time()))
                    await self._dial.declare(line.connection, each)
                    line.declared.add(each.name)
            return line

    async def _open(self) -> _Line:
        if self._line is None or self._line.channel.is_closed:
            await self.close()
            connection = await self._dial.connect("publisher")
            channel = connection.channel(publisher_confirms=True, on_return_raises=True)
            self._line = _Line(connection, channel)
            await channel.initialize()
        elif self._line.is_worn:
            worn = self._line
            channel = worn.connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize()
            self._line = _Line(worn.connection, channel, worn.declared, worn.not_before)
            await self._let_go(worn)
        return self._line

    async def _let_go(self, line: _Line) -> None:
        """Close a channel that has been replaced, as soon as nobody waits for an answer on it."""
        if line is not self._line and not line.under_way and not line.channel.is_closed:
            await asyncio.wait([asyncio.ensure_future(line.channel.close())], timeout=ENDING)
