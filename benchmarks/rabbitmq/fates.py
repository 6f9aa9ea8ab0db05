"""What becomes of tasks that cannot be done, on each engine: one that fails, a stranger, one whose queue is gone."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Literal

import aio_pika
from aio_pika.abc import AbstractConnection

from benchmarks.engines.peer import Enqueuing, installed
from benchmarks.engines.process import Process
from benchmarks.engines.rates import ran
from benchmarks.rabbitmq.peers import PEERS, BrokerPeer
from benchmarks.rabbitmq.place import Place
from bg_di.backends.rabbitmq.dial import length
from bg_di.backends.rabbitmq.queues import Queue

# "kept": it is in one of the engine's queues; "refused": whoever has enqueued it was told; "lost": neither.
End = Literal["kept", "refused", "lost"]

_FAILS: Final = -1
# Seconds until what is moved from one queue into another has arrived there.
_PATIENCE: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """Of the tasks of one engine.

    Attributes:
        failing: of a task that has raised an error, and is not to be tried again.
        stranger: of a task under a name that the worker does not know.
        unroutable: of a task whose queue has been deleted since the one before it was enqueued.
    """

    peer: str
    failing: End
    stranger: End
    unroutable: End


async def fates(url: str) -> list[Fates]:
    """Find it out, of each engine that is installed."""
    async with await aio_pika.connect(url) as connection:
        return [await _fates(url, connection, peer) for peer in installed(PEERS)]


async def _fates(url: str, connection: AbstractConnection, peer: BrokerPeer) -> Fates:
    def place(scenario: str) -> Place:
        return Place(url, f"{scenario}-{peer.name}")

    return Fates(
        peer=peer.name,
        failing=await _worked_at(connection, peer, place("failing"), peer.enqueuing),
        stranger=await _worked_at(connection, peer, place("stranger"), peer.stranger),
        unroutable=await _unroutable(connection, peer, place("unroutable")),
    )


async def _worked_at(connection: AbstractConnection, peer: BrokerPeer, place: Place, enqueuing: Enqueuing) -> End:
    """A worker gets it, and then another task, which it does; after that it has stopped in good order."""
    async with enqueuing(str(place), 1) as enqueue:
        await enqueue(_FAILS)
    async with peer.enqueuing(str(place), 1) as enqueue:
        await enqueue(0)
    with Process(peer, str(place), "work", slots=1) as worker:
        assert await asyncio.to_thread(ran, [worker], 1), f"the worker of {peer.name} has not done anything"
    return await _kept_or_lost(connection, peer, place)


async def _unroutable(connection: AbstractConnection, peer: BrokerPeer, place: Place) -> End:
    async with peer.enqueuing(str(place), 1) as enqueue:
        await enqueue(0)
        async with connection.channel() as channel:
            await channel.queue_delete(peer.queues(place.name)[0])
        try:
            await enqueue(1)
        except Exception:  # noqa: BLE001  # each engine has its own
            return "refused"
    return await _kept_or_lost(connection, peer, place)


async def _kept_or_lost(connection: AbstractConnection, peer: BrokerPeer, place: Place) -> End:
    end = time.perf_counter() + _PATIENCE
    while time.perf_counter() < end:
        lengths = [await length(connection, Queue(name, {})) for name in peer.queues(place.name)]
        if any(lengths):
            return "kept"
        await asyncio.sleep(0.1)
    return "lost"
