"""How much there is to do, as far as a broker tells without consuming."""

import asyncio

from bg_di.backends.messages import Counts
from bg_di.backends.rabbitmq.dial import Dial, length
from bg_di.backends.rabbitmq.queues import Queues


async def counted(dial: Dial, queues: Queues, *, patience: float) -> Counts:
    """Count what is in the queues. What workers have in hand is in none, and how old something is, none tells.

    Raises:
        BackendUnavailable: the broker cannot be used.
    """
    async with dial.errand("counter") as connection, asyncio.timeout(patience):
        asked = (queues.dead, queues.tasks, *queues.delays())
        # At once: a broker may be far away.
        dead, *waiting = await asyncio.gather(*(length(connection, queue) for queue in asked))
    return Counts(waiting=sum(waiting), running=None, dead=dead, oldest=None)
