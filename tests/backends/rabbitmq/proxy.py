"""A way to the broker that a test cuts, stalls and closes."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.backends.rabbitmq.server import HOST, url


class Link:
    """One connection through the proxy."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.forth = asyncio.Event()
        self.back = asyncio.Event()
        self.flow()

    def cut(self) -> None:
        """Break it, in both directions."""
        for writer in self._writers:
            writer.transport.abort()
        self.flow()

    def stall(self, *, forth: bool = True) -> None:
        """Keep what comes from the broker, and what goes to it: a black hole, of which nobody is told.

        Args:
            forth: whether the second, too.
        """
        self.back.clear()
        if forth:
            self.forth.clear()

    def flow(self) -> None:
        """Pass everything on, also what was kept."""
        self.forth.set()
        self.back.set()


class Proxy:
    """Passes bytes on, as long as the block.

    Args:
        to, host: the port that it leads to, and where that is.
        at: the address where it listens.

    Attributes:
        port: where it listens.
        links: the connections that were made, in their order.
        refuses: whether new connections are cut at once.
        swallows: whether new ones are stalled.
    """

    def __init__(self, to: int, *, host: str = HOST, at: str = HOST) -> None:
        self._to = to
        self._host = host
        self._at = at
        self._pumps: set[asyncio.Task[None]] = set()
        self.links: list[Link] = []
        self.refuses = False
        self.swallows = False

    @property
    def url(self) -> str:
        return url(self.port, host=self._at)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, self._at, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection."""
        for link in self.links:
            link.cut()

    def stall(self, *, forth: bool = True) -> None:
        """Stall every connection."""
        for link in self.links:
            link.stall(forth=forth)

    def flow(self) -> None:
        """Let every connection flow."""
        for link in self.links:
            link.flow()

    async def passed(self, link: Link, some: bytes, *, forth: bool) -> bytes:
        """What goes on of what has come: all of it, unless somebody has other plans."""
        return some

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(self._host, self._to)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, back)
        self.links.append(link)
        if self.swallows:
            link.stall()
        for source, target, forth in ((reader, back, True), (there, writer, False)):
            pump = asyncio.create_task(self._pump(link, source, target, forth=forth))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, link: Link, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, forth: bool
    ) -> None:
        gate = link.forth if forth else link.back
        with suppress(OSError, RuntimeError):  # what uvloop raises where it has been cut
            while some := await source.read(65536):
                await gate.wait()
                target.write(await self.passed(link, some, forth=forth))
                await target.drain()
        target.close()
