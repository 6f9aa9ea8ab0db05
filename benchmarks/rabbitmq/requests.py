"""How many requests a second a server answers, with and without a task each, and how long one takes then."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks.rabbitmq.place import Place
from benchmarks.rabbitmq.scale import Scale
from benchmarks.rabbitmq.serving import HOST

CONNECTIONS: Final = 16
ROUTES: Final = ("none", "in-process", "durable")


@dataclass(frozen=True, slots=True)
class Requests:
    """To one route, by rounds.

    Attributes:
        latencies: seconds from a request to its answer.
        rates: answers a second.
    """

    latencies: list[list[float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


async def requested(url: str, scale: Scale) -> dict[str, Requests]:
    """Send to each route in turn."""
    found = {route: Requests() for route in ROUTES}
    async with _server(Place(url, "requests")) as port:
        for route in ROUTES:
            await _loaded(port, route, scale.requests // 4)  # what is opened, and what the interpreter specialises
        for _ in range(scale.rounds):
            for route, requests in found.items():
                started = time.perf_counter()
                requests.latencies.append(await _loaded(port, route, scale.requests))
                requests.rates.append(scale.requests / (time.perf_counter() - started))
    return found


@asynccontextmanager
async def _server(place: Place) -> AsyncIterator[int]:
    command = [sys.executable, "-m", "benchmarks.rabbitmq.serving", str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


async def _loaded(port: int, route: str, requests: int) -> list[float]:
    """How long each took, of so many on several connections, on each one after another."""
    numbers, taken = iter(range(requests)), list[float]()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(_client(port, route, numbers, taken))
    return taken


async def _client(port: int, route: str, numbers: Iterator[int], taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    request = f"GET /{route} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    for _ in numbers:
        started = time.perf_counter()
        writer.write(request)
        await _answered(reader)
        taken.append(time.perf_counter() - started)
    writer.close()
    await writer.wait_closed()


async def _answered(reader: asyncio.StreamReader) -> None:
    status, *headers = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    assert b" 200 " in status, status
    length = next(header for header in headers if header.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
