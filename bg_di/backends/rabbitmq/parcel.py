"""A task as a message of AMQP has it: the body as it is, and everything else in headers."""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Final, Self
from uuid import uuid4

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage

from bg_di.backends import messages
from bg_di.errors import MessageMalformed

# What the broker itself notes of a message that it has delivered before.
_DELIVERED: Final = "x-delivery-count"
# What is told of a header that is wrong. It may be as large as a frame, and what tells of it has to fit into one.
_LONGEST: Final = 200
# Of a header that is text. With those that are added, all of them have to fit into a frame.
_LONGEST_TEXT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A task on its way.

    Attributes:
        copy: tells this message from others of the task: each that the broker may deliver twice has one.
        attempt: how many attempts have been made.
        deliveries: how often this one has been delivered, not counting this message.
        unknown_since: when the first worker did not know it.
        reason: why it comes again, or is dead.
        died_at: when it was found to be dead.
    """

    task_id: str
    name: str
    version: int
    body: bytes = field(repr=False)
    added_at: float
    due_at: float
    copy: str = field(default_factory=lambda: uuid4().hex)
    attempt: int = 0
    deliveries: int = 0
    unknown_since: float | None = None
    reason: str | None = None
    died_at: float | None = None

    @classmethod
    def of(cls, message: messages.Message) -> Self:
        """A task that is handed over. Handed over again it is the same copy."""
        return cls(
            task_id=message.task_id,
            name=message.name,
            version=message.version,
            body=message.body,
            added_at=message.added_at,
            due_at=message.due_at,
            copy=message.task_id,
        )

    @classmethod
    def unpacked(cls, message: AbstractIncomingMessage) -> Self:
        """What a message has.

        Raises:
            MessageMalformed: it is nobody's task.
        """
        headers = message.headers
        try:
            return cls(
                task_id=_text(headers["task_id"]),
                name=_text(headers["name"]),
                version=_number(headers["version"]),
                body=message.body,
                added_at=_time(headers["added_at"]),
                due_at=_time(headers["due_at"]),
                copy=_text(headers["copy"]),
                attempt=_number(headers["attempt"]),
                deliveries=_number(headers["deliveries"]) + _number(headers.get(_DELIVERED, 0)),
                unknown_since=_time(headers["unknown_since"]) if "unknown_since" in headers else None,
                died_at=_time(headers["died_at"]) if "died_at" in headers else None,
            )
        except KeyError as error:
            raise MessageMalformed(f"it has no header {error}") from None
        except ValueError as error:
            raise MessageMalformed(f"a header is wrong: {str(error)[:_LONGEST]}") from None

    def anew(self) -> Self:
        """The task as if it had just been accepted."""
        now = time.time()
        return type(self)(
            task_id=self.task_id, name=self.name, version=self.version, body=self.body, added_at=now, due_at=now
        )

    def died(self, *, reason: str, attempt: int | None = None) -> Self:
        """The task as it is kept with the reason."""
        return replace(
            self,
            attempt=self.attempt if attempt is None else attempt,
            reason=reason,
            died_at=time.time(),
        )

    def packed(self) -> Message:
        """A message that a broker keeps."""
        headers: dict[str, str | int] = {
            "task_id": self.task_id,
            "name": self.name,
            "version": self.version,
            # As text: AMQP's own numbers would round them.
            "added_at": repr(self.added_at),
            "due_at": repr(self.due_at),
            "copy": self.copy,
            "attempt": self.attempt,
            "deliveries": self.deliveries,
        }
        if self.unknown_since is not None:
            headers["unknown_since"] = repr(self.unknown_since)
        if self.reason is not None:
            headers["reason"] = self.reason
        if self.died_at is not None:
            headers["died_at"] = repr(self.died_at)
        # The client finds what is returned to it by this id, so no two messages may have the same.
        return Message(self.body, headers=dict(headers), delivery_mode=DeliveryMode.PERSISTENT, message_id=uuid4().hex)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"it has {len(value)} characters")
    return value


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no number")
    return value


def _time(value: object) -> float:
    number = float(_text(value))
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no time")
    return number
