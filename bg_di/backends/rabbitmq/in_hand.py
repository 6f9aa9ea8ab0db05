"""What a consumer has in hand, and what it has ended.

A connection that breaks gives back what is in hand, and the broker delivers it again, often to the same consumer: while
the task still runs, or when its acknowledgement has got lost.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final
from uuid import uuid4

from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import ChannelInvalidStateError

from bg_di.backends.messages import Delivery
from bg_di.backends.rabbitmq.parcel import Parcel

# How many it remembers. Only what was unacknowledged when a connection broke comes twice.
_REMEMBERED: Final = 10_000


@dataclass(slots=True, eq=False)
class Held:
    """A task in hand.

    Attributes:
        parcel: as it came first.
        delivery: of it, as a worker gets it.
        messages: all that stand for it, by their copies: what comes again while it is in hand is settled with it.
        others: other copies of the task that have come meanwhile. What takes its place may be quicker than the broker's
            confirmation, and so may what comes after that: they are settled with it only if it succeeds.
        orphaned: of the messages of which subscriptions there is nothing on a broker any more.
    """

    parcel: Parcel
    delivery: Delivery
    messages: list[tuple[str, AbstractIncomingMessage]]
    orphaned: Collection[str]
    others: list[tuple[str, AbstractIncomingMessage]] = field(default_factory=list)
    _next_copy: str = field(default_factory=lambda: uuid4().hex)

    @property
    def successor(self) -> Parcel:
        """What takes its place: another copy, and the same one however often it is tried."""
        return replace(self.parcel, copy=self._next_copy)

    @property
    def is_alive(self) -> bool:
        """Whether it is nobody else's: the broker waits to hear what becomes of it here, or has it no more."""
        return self.is_orphan or any(_is_open(message) for _, message in self.messages)

    @property
    def is_orphan(self) -> bool:
        """Whether it is nowhere but here, whatever becomes of the connection that it came by."""
        return any(message.consumer_tag in self.orphaned for _, message in self.messages)


class InHand:
    """The tasks of one consumer."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._orphaned: set[str] = set()
        self._tokens = count(1)

    def take(self, parcel: Parcel, message: AbstractIncomingMessage) -> Held | None:
        """Note a message.

        Returns:
            The task; None if that is in hand already: the message is settled with it, or comes after it.
        """
        held = self._held.get(parcel.task_id)
        if held is not None:
            beside = held.messages if parcel.copy == held.parcel.copy else held.others
            beside.append((parcel.copy, message))
            return None
        held = Held(parcel, _delivery(parcel, next(self._tokens)), [(parcel.copy, message)], self._orphaned)
        self._held[parcel.task_id] = held
        return held

    def of(self, delivery: Delivery) -> Held | None:
        """What a delivery is of; None if it has ended, or was lost."""
        held = self._held.get(delivery.task_id)
        return held if held is not None and held.delivery.token == delivery.token else None

    def all(self) -> Sequence[Held]:
        """Whatever is in hand."""
        return list(self._held.values())

    def orphan(self, tag: str) -> None:
        """The queue of a subscription was deleted, and with it what had come of it."""
        self._orphaned.add(tag)

    def lose(self, held: Held) -> None:
        """It is somebody else's now, or comes again."""
        self._held.pop(held.parcel.task_id, None)

    def end(self, held: Held) -> Sequence[AbstractIncomingMessage]:
        """It has ended, and is not to be run if it comes again.

        Returns:
            What is to be acknowledged.
        """
        self.lose(held)
        self._ended.update((copy, None) for copy, _ in held.messages)
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        return [message for _, message in held.messages]

    def has_ended(self, parcel: Parcel) -> bool:
        """Whether this very message has been settled before."""
        return parcel.copy in self._ended


def _is_open(message: AbstractIncomingMessage) -> bool:
    try:
        return not message.channel.is_closed
    except ChannelInvalidStateError:
        return False


def _delivery(parcel: Parcel, token: int) -> Delivery:
    return Delivery(
        task_id=parcel.task_id,
        token=token,
        name=parcel.name,
        version=parcel.version,
        body=parcel.body,
        added_at=parcel.added_at,
        due_at=parcel.due_at,
        attempt=parcel.attempt,
        delivery=parcel.deliveries + 1,
    )
