"""A task as a message has it."""

from typing import Any

import pytest
from aio_pika import Message

from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.errors import MessageMalformed

PARCEL = Parcel(
    task_id="a",
    name="mail",
    version=2,
    body=b"{}",
    added_at=0.1,
    due_at=1e9 / 3,
    attempt=3,
    deliveries=2,
    unknown_since=5.5,
)


class Incoming:
    """What a broker delivers."""

    def __init__(self, message: Message, **headers: Any) -> None:
        self.body = message.body
        self.headers = {**message.headers, **headers}


def unpacked(incoming: Any) -> Parcel:
    return Parcel.unpacked(incoming)


def test_what_is_packed_is_unpacked() -> None:
    """To the last digit."""
    assert unpacked(Incoming(PARCEL.packed())) == PARCEL


def test_what_the_broker_has_counted_counts() -> None:
    """Beside what was counted before."""
    assert unpacked(Incoming(PARCEL.packed(), **{"x-delivery-count": 4})).deliveries == 6


def test_no_two_messages_have_the_same_id() -> None:
    """What is returned is found by it."""
    assert PARCEL.packed().message_id != PARCEL.packed().message_id


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"task_id": 5}, "a header is wrong: 5 is no text"),
        ({"name": "x" * 10_001}, "a header is wrong: it has 10001 characters"),
        ({"version": "1"}, "a header is wrong: '1' is no number"),
        ({"attempt": True}, "a header is wrong: True is no number"),
        ({"due_at": "nan"}, "a header is wrong: 'nan' is no time"),
        ({"due_at": "soon"}, "a header is wrong: could not convert"),
        ({"unknown_since": 5}, "a header is wrong: 5 is no text"),
    ],
)
def test_a_header_that_is_wrong_is_named(header: dict[str, Any], said: str) -> None:
    """Whoever has written it."""
    with pytest.raises(MessageMalformed, match=said):
        unpacked(Incoming(PARCEL.packed(), **header))


def test_a_header_that_is_missing_is_named() -> None:
    """The first of them."""
    with pytest.raises(MessageMalformed, match="it has no header 'task_id'"):
        unpacked(Incoming(Message(b"")))
