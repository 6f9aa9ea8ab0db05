"""How much there is to do, as far as a broker tells without consuming."""

import asyncio

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from bg_di.backend import Counts
from bg_di.backends.rabbitmq.dial import Dial, hang_up
from bg_di.backends.rabbitmq.failures import FAILURES, is_cancelled, why
from bg_di.backends.rabbitmq.queues import Queue, Queues
from bg_di.errors import BackendUnavailable


async def counted(dial: Dial, queues: Queues, *, patience: float) -> Counts:
    """Count what is in the queues. What workers have in hand is in none, and how old something is, none tells.

    Raises:
        BackendUnavailable: the broker cannot be used.
    """
    connection = await dial.connect("counter")
    try:
        async with asyncio.timeout(patience):
            waiting = [await _length(connection, queue) for queue in (queues.tasks, *queues.delays())]
            return Counts(waiting=sum(waiting), running=None, dead=await _length(connection, queues.dead), oldest=None)
    except FAILURES as error:
        if is_cancelled(error):
            raise
        raise BackendUnavailable(dial.address, why(error)) from error
    finally:
        await hang_up(connection, patience=patience)


async def _length(connection: AbstractConnection, queue: Queue) -> int:
    # In a channel of its own, which the broker closes if there is no such queue.
    channel = await connection.channel()
    try:
        # What `declare_queue` says is stale.
        declared = await (await channel.get_underlay_channel()).queue_declare(queue.name, passive=True)
    except ChannelNotFoundEntity:
        return 0
    await channel.close()
    return declared.message_count or 0
