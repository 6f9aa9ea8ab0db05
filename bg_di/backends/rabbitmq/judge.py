"""Whether a message that has come is to be run here and now, and where it goes if not."""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from bg_di.backends.rabbitmq.in_hand import Held
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.queues import Queue, Queues
from bg_di.backends.rabbitmq.terms import Terms

# Seconds until a task that nobody has known is offered again: a second at first, and the longer the longer it waits.
_SHORTEST: Final = 1.0
_LONGEST: Final = 30.0


@dataclass(frozen=True, slots=True)
class Move:
    """Where a task goes.

    Attributes:
        queue: there.
        parcel: as it is then.
        lost: why it is dead, if that was decided here.
    """

    queue: Queue
    parcel: Parcel
    lost: str | None = None


class Judge:
    """Judges for a worker.

    Args:
        names, version: what it knows.
    """

    def __init__(self, queues: Queues, terms: Terms, *, names: Collection[str], version: int) -> None:
        self._queues = queues
        self._terms = terms
        self._names = frozenset(names)
        self._version = version

    def move(self, held: Held) -> Move | None:
        """Where a task goes that has come; None if it is to be run."""
        parcel, now = held.parcel, time.time()
        if parcel.due_at > now:
            return Move(self._queues.until(parcel.due_at), replace(held.successor, deliveries=0))
        if parcel.name not in self._names or parcel.version > self._version:
            return self._unknown(held, now)
        if parcel.deliveries >= self._terms.max_deliveries:
            return self._dead(held, f"it was delivered {parcel.deliveries} times, and no worker has ended it")
        return None

    def _unknown(self, held: Held, now: float) -> Move:
        since = now if held.parcel.unknown_since is None else held.parcel.unknown_since
        waited = max(0.0, now - since)
        left = self._terms.unknown_after - waited
        if left <= 0:
            return self._dead(held, f"no worker knew it for {self._terms.unknown_after:g} seconds")
        wait = min(left, _LONGEST, max(_SHORTEST, waited / 4))
        return Move(self._queues.delay(wait), replace(held.successor, unknown_since=since))

    def _dead(self, held: Held, reason: str) -> Move:
        return Move(self._queues.dead, held.successor.died(reason=reason), lost=reason)
