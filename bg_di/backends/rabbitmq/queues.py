"""The queues of an application: its tasks, the dead ones, and those in which tasks pass the time."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

# Milliseconds, each twice the one before, up to the longest that RabbitMQ takes: 48 days. What is to wait longer
# passes several of them.
DELAYS: Final = tuple(250 * 2**level for level in range(25))

# The engine counts by itself and buries with words. This one is for what kills every worker before it can: a queue
# is declared once and for all, so no option may be in it.
_DELIVERY_LIMIT: Final = 100
# What is dead is looked through and given back as often as somebody wants. Without a limit of ours, RabbitMQ 4 throws
# away what has been given back twenty times.
_NO_LIMIT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it is declared: durable, and replicated where the broker is a cluster."""

    name: str
    arguments: Mapping[str, str | int] = field(repr=False)


class Queues:
    """The queues of an application.

    Its name comes last in theirs, so that no application's name can make one queue of two.

    Attributes:
        tasks: what is to be run now.
        dead: what is kept with the reason. It has no limit.
    """

    def __init__(self, application: str) -> None:
        self._application = application
        self.dead = Queue(
            self._name("dead"),
            {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": _NO_LIMIT},
        )
        self.tasks = Queue(self._name("tasks"), {**_to(self.dead.name), "x-delivery-limit": _DELIVERY_LIMIT})

    def until(self, due_at: float) -> Queue:
        """Where a task goes that is not to be run before: to the others, if that is past."""
        wait = due_at - time.time()
        return self.delay(wait) if wait > 0 else self.tasks

    def delay(self, seconds: float) -> Queue:
        """The one in which a task spends the greatest part of that time, and no more, if it has one so short."""
        milliseconds = next((each for each in reversed(DELAYS) if each <= seconds * 1000), DELAYS[0])
        return self._delay(milliseconds)

    def delays(self) -> Sequence[Queue]:
        """All of them. They are made when the first task needs one."""
        return [self._delay(milliseconds) for milliseconds in DELAYS]

    def _delay(self, milliseconds: int) -> Queue:
        return Queue(self._name(f"delay.{milliseconds}"), {**_to(self.tasks.name), "x-message-ttl": milliseconds})

    def _name(self, kind: str) -> str:
        return f"bg_di.{kind}.{self._application}"


def _to(name: str) -> dict[str, str | int]:
    """Where what has expired or was delivered too often goes: at least once, for which nothing may be dropped."""
    return {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-dead-letter-strategy": "at-least-once",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": name,
    }
