"""Where tasks are on a broker, in one word: its URL, and the name under which they are kept."""

from dataclasses import dataclass
from typing import Any, Final, Self

from ellar.app import App

from benchmarks.engines import application as engines
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.rabbitmq.queues import Queues

# Of the arguments of bg_di's queue of tasks, those that no other engine has by itself. What dies is kept at least once.
KEPT: Final = {"x-overflow": "reject-publish", "x-dead-letter-strategy": "at-least-once", "x-delivery-limit": 100}


@dataclass(frozen=True, slots=True)
class Place:
    """Of one engine's tasks."""

    url: str
    name: str

    @classmethod
    def of(cls, word: str) -> Self:
        """What a word says."""
        url, _, name = word.rpartition("#")
        return cls(url, name)

    def __str__(self) -> str:
        return f"{self.url}#{self.name}"

    @property
    def queues(self) -> Queues:
        """Those of bg_di, whose arguments the others have, too."""
        return Queues(self.name)


def application(place: str, slots: int = 10, **more: Any) -> App:
    """An application with its tasks in a place.

    Args:
        more: as `engines.application` has it.
    """
    found = Place.of(place)
    return engines.application(RabbitBackend(found.url, embedded=False, concurrency=slots), name=found.name, **more)
