"""Ways to accept a task that take turns, and what each takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import permutations
from typing import Final

from benchmarks.engines.application import message
from bg_di.backends import Engine, Message

Accept = Callable[[Message], Awaitable[object]]
# Of each round the samples of one way.
Taken = list[list[float]]

COROUTINES: Final = 20


def by(engine: Engine) -> Accept:
    """The way of an engine of bg_di."""

    async def accept(task: Message) -> None:
        (outcome,) = await engine.accept([task])
        assert not isinstance(outcome, Exception), outcome

    return accept


async def turns(ways: Sequence[Accept], is_over: Callable[[int], bool]) -> Taken:
    """Seconds that each way takes for a task, one task after another, until it is over after some turns, at least two.

    They go in another order in each turn, as it counts who comes after whom.
    """
    taken: Taken = [[] for _ in ways]
    orders = tuple(permutations(range(len(ways))))
    turn = 0
    while turn < 2 or not is_over(turn):  # of less there is no p99
        for index in orders[turn % len(orders)]:
            task = message(turn)
            started = time.perf_counter()
            await ways[index](task)
            taken[index].append(time.perf_counter() - started)
        turn += 1
    return taken


async def together(accept: Accept, tasks: int) -> float:
    """So many tasks a second are accepted, if coroutines enqueue one after another, all at once."""
    numbers = iter(range(tasks))

    async def enqueue() -> None:
        for number in numbers:
            await accept(message(number))

    started = time.perf_counter()
    await asyncio.gather(*(enqueue() for _ in range(COROUTINES)))
    return tasks / (time.perf_counter() - started)
