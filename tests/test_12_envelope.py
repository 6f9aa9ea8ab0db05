"""Promise 12 of the message: it is what was sent, or one of two errors."""

import json
import traceback
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bg_di.errors import MessageMalformed, MessageVersionUnknown
from bg_di.wire import MAX_MESSAGE_BYTES, CallFormat, Envelope, carry
from tests.test_12_wire import SECRET, sends, user
from tests.test_12_wire_calls import JSON

ENVELOPE = Envelope(
    task_id="1f",
    application="shop",
    module="shop.module:Shop",
    name="shop:task",
    arguments=sends(str).encode((SECRET,), {}),
    added_at=1.5,
    trace={"traceparent": "00-1-2-01"},
    carried={"tenant": ["a", 1, None, {"b": 1.5}]},
    timeout=3,
    delay=0.5,
)
MESSAGE = json.loads(ENVELOPE.to_bytes())


def test_an_envelope_comes_back() -> None:
    """All of it, and what was left out as what it means."""
    assert Envelope.from_bytes(ENVELOPE.to_bytes()) == ENVELOPE
    required = {"version", "task_id", "application", "name", "arguments", "added_at"}
    short = {name: value for name, value in MESSAGE.items() if name in required}
    expected = replace(ENVELOPE, module=None, trace={}, carried={}, timeout=None, delay=None)
    assert Envelope.from_bytes(json.dumps(short).encode()) == expected


def test_an_envelope_is_a_record_that_shows_no_content() -> None:
    """It may be in a log."""
    with pytest.raises(FrozenInstanceError):
        ENVELOPE.name = "other"  # type: ignore[misc]
    assert SECRET not in repr(ENVELOPE)
    assert "tenant" not in repr(ENVELOPE)
    assert "traceparent" not in repr(ENVELOPE)


def test_a_later_message_of_this_version_is_read() -> None:
    """What an earlier worker may not know is left out by it."""
    assert Envelope.from_bytes(json.dumps({**MESSAGE, "later": SECRET}).encode()) == ENVELOPE


@pytest.mark.parametrize("version", [2, 2**31])
def test_a_later_version_is_left_to_others(version: int) -> None:
    """Whatever else is in it."""
    with pytest.raises(MessageVersionUnknown, match=f"messages of version {version} are not known here") as unknown:
        Envelope.from_bytes(json.dumps({"version": version, "task": 5}).encode())
    assert unknown.value.version == version


def malformed(data: bytes) -> str:
    with pytest.raises(MessageMalformed) as dead:
        Envelope.from_bytes(data)
    assert SECRET not in "".join(traceback.format_exception(dead.value))
    assert dead.value.__context__ is None
    return dead.value.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is no JSON that could be read (JSONDecodeError)"),
        (b'{"version": 1, "' + SECRET.encode(), "it is no JSON that could be read (JSONDecodeError)"),
        (b"\xff" + SECRET.encode(), "it is no JSON that could be read (UnicodeDecodeError)"),
        (json.dumps({"version": 1, "a": "\ud800" + SECRET}).encode(), "it is no JSON that could be read"),
        (b'{"version": 1, "version": 1}', "it is no JSON that could be read (ValueError)"),
        (b'{"version": 1, "a": {"b": 1, "b": 2}}', "it is no JSON that could be read (ValueError)"),
        (b'{"version": NaN}', "it is no JSON that could be read (ValueError)"),
        (b'{"version": 1e999}', "it is no JSON that could be read (ValueError)"),
        (b'{"version": ' + b"1" * 5000 + b"}", "it is no JSON that could be read (ValueError)"),
        (b"[" * 300 + b"]" * 300, "it is nested deeper than 256 levels"),
        (b"[" * 100_000, "it is no JSON that could be read (RecursionError)"),
        (b" " * (MAX_MESSAGE_BYTES + 1), "it is larger than 262144 bytes"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_not_strictly_json_is_malformed(data: bytes, reason: str) -> None:
    """Two readers could understand it differently, or one would fall over it."""
    assert malformed(data).startswith(reason)


@pytest.mark.parametrize(
    "message", [[], SECRET, {}, *({"version": each} for each in (0, -1, True, "1", 1.0, 2**31 + 1))], ids=str
)
def test_what_has_no_version_is_malformed(message: Any) -> None:
    """There never was such a message."""
    assert malformed(json.dumps(message).encode()) == "it does not begin as a message does, with its version"


@pytest.mark.parametrize("name", ["task_id", "application", "name", "arguments", "added_at"])
def test_a_message_with_a_part_missing_is_malformed(name: str) -> None:
    """The reason says which."""
    part = {key: value for key, value in MESSAGE.items() if key != name}
    assert malformed(json.dumps(part).encode()) == f"its {name} is missing"


# Of an envelope: the longest time that something may take, and the last moment that there is.
DAYS, LAST_SECOND = 366 * 24 * 3600, 253402300799
WRONG: list[tuple[str, Any]] = [
    *(
        (name, wrong)
        for name in ("task_id", "application", "name", "module")
        for wrong in ("", 5, [SECRET], "a" * 1025)
    ),
    *((name, wrong) for name in ("arguments", "carried") for wrong in (None, [SECRET], SECRET)),
    ("trace", {"a": 1}),
    ("trace", {SECRET: ""}),
    ("trace", [SECRET]),
    ("trace", {str(each): "a" for each in range(17)}),
    *((name, wrong) for name in ("timeout", "delay", "added_at") for wrong in (-1, True, SECRET, 10**30)),
    *((name, DAYS + 1) for name in ("timeout", "delay")),
    ("added_at", LAST_SECOND + 1),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "a"),
        ("name", "a" * 1024),
        ("trace", {str(each): "a" * 1024 for each in range(16)}),
        *((name, value) for name in ("timeout", "delay") for value in (0, DAYS)),
        *(("added_at", value) for value in (0, LAST_SECOND)),
    ],
    ids=str,
)
def test_what_just_fits_comes_back(name: str, value: Any) -> None:
    """The longest, and the most, and the least."""
    sent = replace(ENVELOPE, **{name: value})
    assert Envelope.from_bytes(sent.to_bytes()) == sent


def test_a_message_may_be_just_as_large_as_is_allowed() -> None:
    """On both sides."""
    message = ENVELOPE.to_bytes()
    assert ENVELOPE.to_bytes(max_bytes=len(message)) == message
    assert Envelope.from_bytes(message, max_bytes=len(message)) == ENVELOPE
    with pytest.raises(TypeError, match=f"larger than the {len(message) - 1} bytes"):
        ENVELOPE.to_bytes(max_bytes=len(message) - 1)
    with pytest.raises(MessageMalformed, match=f"larger than {len(message) - 1} bytes"):
        Envelope.from_bytes(message, max_bytes=len(message) - 1)
    arguments = sends(str).encode((SECRET,), {})
    size = len(json.dumps(arguments, separators=(",", ":")))
    assert sends(str).encode((SECRET,), {}, max_bytes=size) == arguments
    with pytest.raises(TypeError, match=f"larger than the {size - 1} bytes"):
        sends(str).encode((SECRET,), {}, max_bytes=size - 1)


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=str)
def test_a_wrong_part_is_malformed_and_is_not_sent(name: str, wrong: Any) -> None:
    """The reason says which, not what."""
    assert malformed(json.dumps({**MESSAGE, name: wrong}).encode()) == f"its {name} is not one"
    with pytest.raises(TypeError) as refused:
        replace(ENVELOPE, **{name: wrong}).to_bytes()
    assert str(refused.value).endswith(f": of its message, its {name} is not one")
    assert name == "name" or SECRET not in str(refused.value)


def deep(levels: int) -> Any:
    value: Any = SECRET
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((1,), "its carried is not one"),
        ({1: SECRET}, "its carried is not one"),
        (float("nan"), "what it carries is no JSON"),
        (SECRET + "\ud800", "what it carries is no JSON"),
        (10**5000, "what it carries is no JSON"),
        (deep(5000), "what it carries is no JSON"),
        (deep(300), "it is nested too deep"),
        (SECRET * 20_000, "it is larger than the 262144 bytes of max_message_bytes"),
    ],
    ids=range(8),
)
def test_a_context_variable_that_is_no_json_is_not_sent(value: Any, said: str) -> None:
    """Nothing says what it would have to be."""
    with pytest.raises(TypeError) as refused:
        replace(ENVELOPE, carried={"a": value}).to_bytes()
    assert said in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "value", [(SECRET,), {1: SECRET}, float("nan"), SECRET + "\ud800", deep(70), user()], ids=range(6)
)
def test_what_is_carried_is_json(value: Any) -> None:
    """The one that is not is named."""
    assert carry("shop:task", {"tenant": ["a"]}) == {"tenant": ["a"]}
    with pytest.raises(TypeError) as refused:
        carry("shop:task", {"tenant": value})
    assert "cannot send shop:task: the context variable 'tenant' of carry=, a '" in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_the_deepest_arguments_fit() -> None:
    """What `CallFormat` lets through, the envelope takes; and no more."""
    value: Any = 1
    for _ in range(63):
        value = {1: value}
    format_: CallFormat = sends(dict[int, Any])
    data = replace(ENVELOPE, arguments=format_.encode((value,), {})).to_bytes()
    assert format_.decode(Envelope.from_bytes(data).arguments) == ((value,), {})
    assert sends(Any).encode((deep(63),), {})["args"] == [deep(63)]
    for deeper, annotation in (({1: value}, dict[int, Any]), (deep(64), Any), ([*range(100), deep(63)], Any)):
        with pytest.raises(TypeError, match="is nested deeper than 64 levels, or holds itself"):
            sends(annotation).encode((deeper,), {})


def reading(data: bytes) -> None:
    with suppress(MessageMalformed, MessageVersionUnknown):
        Envelope.from_bytes(data)


@settings(max_examples=500)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    """Whatever is on the engine."""
    reading(data)


@settings(max_examples=500)
@given(st.data())
def test_no_damaged_message_raises_anything_else(data: st.DataObject) -> None:
    """Bytes changed, or a part."""
    good = ENVELOPE.to_bytes()
    place = data.draw(st.integers(0, len(good)))
    reading(good[:place] + data.draw(st.binary(max_size=3)) + good[data.draw(st.integers(0, len(good))) :])
    reading(json.dumps({**MESSAGE, data.draw(st.sampled_from(sorted(MESSAGE))): data.draw(JSON)}).encode())
