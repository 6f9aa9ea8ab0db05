"""The way to a broker: whichever of its nodes answers, and the queues that are there for whoever uses it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from yarl import URL

from bg_di.backends.rabbitmq.addresses import named, place
from bg_di.backends.rabbitmq.connection import Connection
from bg_di.backends.rabbitmq.failures import FAILURES, unless_cancelled, why
from bg_di.backends.rabbitmq.queues import Queue
from bg_di.backends.rabbitmq.terms import Terms
from bg_di.errors import BackendOccupied, BackendUnavailable


class Dial:
    """Opens connections to a broker.

    Args:
        urls: of its nodes. The one that answered last is asked first.
        application: whose connections they are, as the broker shows them.

    Attributes:
        address: how it is called in errors and in logs.
    """

    def __init__(self, urls: Sequence[URL], application: str, terms: Terms) -> None:
        self.address = named(urls)
        self._urls = list(urls)
        self._application = application
        self._heartbeat = _told(terms.heartbeat)
        # One that hangs leaves time for the others.
        self._patience = terms.publish_timeout / len(urls)

    async def connect(self, purpose: str) -> Connection:
        """A new connection.

        Raises:
            BackendUnavailable: no node can be reached.
        """
        failed = []
        for url in tuple(self._urls):
            try:
                connection = await self._connect(url, purpose)
            except FAILURES as error:
                unless_cancelled(error)
                failed.append(f"{place(url)} {why(error)}" if len(self._urls) > 1 else f"it {why(error)}")
            else:
                self._urls.sort(key=lambda each: each is not url)
                return connection
        raise BackendUnavailable(self.address, "cannot be reached: " + "; ".join(failed))

    @asynccontextmanager
    async def errand(self, purpose: str) -> AsyncGenerator[Connection]:
        """A connection for a block.

        Raises:
            BackendUnavailable: no node can be reached, or the connection fails in the block.
        """
        connection = await self.connect(purpose)
        try:
            yield connection
        except FAILURES as error:
            unless_cancelled(error)
            raise BackendUnavailable(self.address, why(error)) from error
        finally:
            await connection.hang_up()

    async def _connect(self, url: URL, purpose: str) -> Connection:
        async with asyncio.timeout(self._patience):
            return await aio_pika.connect(
                url.update_query(heartbeat=str(self._heartbeat)),
                client_properties={"connection_name": f"bg_di {self._application} {purpose}"},
                connection_class=Connection,
            )

    async def declare(self, connection: AbstractConnection, queue: Queue) -> None:
        """Make sure that a queue is there.

        Raises:
            BackendOccupied: there is one of its name, and another kind. It names both.
        """
        try:
            async with _asking(connection) as channel:
                await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
        except ChannelPreconditionFailed as error:
            raise BackendOccupied(
                self.address,
                f"has a queue {queue.name!r} that somebody else has declared: {', '.join(map(str, error.args))}. What "
                f"is needed is {dict(queue.arguments)}: delete the queue when it is empty, or give the application "
                "another name",
            ) from error


async def length(connection: AbstractConnection, queue: Queue) -> int:
    """How many messages a queue has that nobody has in hand; none if there is no such queue."""
    try:
        async with _asking(connection) as channel:
            # What `declare_queue` says is stale.
            declared = await (await channel.get_underlay_channel()).queue_declare(queue.name, passive=True)
    except ChannelNotFoundEntity:
        return 0
    return declared.message_count or 0


@asynccontextmanager
async def _asking(connection: AbstractConnection) -> AsyncGenerator[AbstractChannel]:
    """A channel for one question. Whatever the broker refuses, it closes the channel by itself."""
    channel = await connection.channel()
    yield channel
    await channel.close()


def _told(heartbeat: int) -> int:
    """The heartbeat that the client is told, so that it has given a silent connection up after three of the user's.

    It does so after three and half a one of its own, each a second longer than said, and then needs a moment.
    """
    return (3 * heartbeat - 4) * 2 // 7
