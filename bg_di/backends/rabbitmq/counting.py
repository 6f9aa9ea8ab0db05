"""How much there is to do, as far as a broker tells without consuming."""

import asyncio

from bg_di.backend import Counts
from bg_di.backends.rabbitmq.dial import Dial, length
from bg_di.backends.rabbitmq.queues import Queues


async def counted(dial: Dial, queues: Queues, *, patience: float) -> Counts:
    """Count what is in the queues. What workers have in hand is in none, and how old something is, none tells.

    Raises:
        BackendUnavailable: the broker cannot be used.
    """
    async with dial.errand("counter") as connection, asyncio.timeout(patience):
        waiting = [await length(connection, queue) for queue in (queues.tasks, *queues.delays())]
        dead = await length(connection, queues.dead)
    return Counts(waiting=sum(waiting), running=None, dead=dead, oldest=None)
