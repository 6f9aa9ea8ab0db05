"""A connection to a broker that can be dropped."""

import asyncio
from typing import Any

import aio_pika
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from bg_di.backends.rabbitmq.terms import ENDING


class Connection(aio_pika.Connection):
    """A connection that can be dropped, as closing one in good order takes minutes where nothing comes through."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams = _Streams(TLSTransportFactory() if self.url.scheme == "amqps" else TCPTransportFactory())
        self.kwargs["transport_factory"] = self._streams

    async def hang_up(self) -> None:
        """Close it; it is dropped if that takes too long."""
        closing = asyncio.create_task(self.close())
        done, _ = await asyncio.wait([closing], timeout=ENDING)
        if not done:
            self._streams.drop()
            # An event loop that ends in the midst of it may wait for ever, for what the client was about to start.
            await asyncio.wait([closing], timeout=ENDING)


class _Streams(TransportFactory):
    """What a connection reads and writes."""

    _writer: asyncio.StreamWriter

    def __init__(self, factory: TransportFactory) -> None:
        self._factory = factory

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Called by the client, once."""
        reader, self._writer = await self._factory.create(url, **kwargs)
        return reader, self._writer

    def drop(self) -> None:
        """End both at once. What was written and not sent is lost."""
        self._writer.transport.abort()
