"""Promise 12 of what cannot be run: it is dead with the reason, logged once, and the worker goes on."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bg_di import background_task
from bg_di.backends import Message
from bg_di.testing.memory import Kept
from bg_di.wire import CallFormat, Envelope
from bg_di.wire.reader import _READERS
from tests.backends.shop import NAME, Shop
from tests.harness import Log, running

SECRET = "hunter2"
ran: list[str] = []


class Kind(Enum):
    NEW = "new"
    OLD = "old"


class Item(BaseModel):
    number: UUID
    price: Decimal
    kind: Kind = Kind.NEW


@background_task(name="order")
async def order(
    items: list[Item], note: str, at: datetime | None = None, tags: frozenset[str] = frozenset(), *rest: Any
) -> None:
    ran.append(note)


ITEMS = [Item(number=UUID(int=3), price=Decimal("1.10")), Item(number=UUID(int=4), price=Decimal(2), kind=Kind.OLD)]
ARGUMENTS = CallFormat(order).encode((ITEMS, SECRET, datetime(2024, 2, 29), frozenset({"a"}), 1, None), {})
ENVELOPE = Envelope(
    task_id="1f",
    application=NAME,
    name="order",
    arguments=ARGUMENTS,
    added_at=1.5,
    trace={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    carried={"tenant": ["acme"]},
    timeout=3,
    delay=0.5,
    shape=CallFormat(order).shape,
)


def shop(**options: Any) -> Shop:
    ran.clear()
    return Shop(order, **options)


def put(shop: Shop, body: bytes | None, task_id: str = "1f", name: str = "order") -> Kept:
    """Let the engine keep a message of this body; None: one that runs."""
    if body is None:
        body = replace(ENVELOPE, task_id=task_id, timeout=None).to_bytes()
    kept = Kept(Message(task_id=task_id, name=name, body=body, added_at=0, due_at=0))
    shop.memory.of(NAME).kept[task_id] = kept
    shop.memory.wake()
    return kept


def with_arguments(*args: Any, **kwargs: Any) -> bytes:
    return replace(ENVELOPE, arguments={"args": list(args), "kwargs": kwargs}).to_bytes()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"version": 1, "' + SECRET.encode(), "it is no JSON that could be read"),
        (b"", "it is no JSON that could be read"),
        (with_arguments(SECRET, SECRET), "the argument 'items' of order does not fit its annotation (list_type)"),
        (with_arguments(), "the arguments do not fit order("),
        (with_arguments([], "a", None, [], other=SECRET), "the arguments do not fit order("),
        (replace(ENVELOPE, arguments={}).to_bytes(), "the arguments of order are not args and kwargs"),
        (replace(ENVELOPE, task_id="2f").to_bytes(), "it is the message of another task"),
        (replace(ENVELOPE, name="other").to_bytes(), "it is the message of another task"),
        (b'{"version": 2, "note": "hunter2"}', "messages of version 2 are not known here"),
        (with_arguments([], "a" * 3000), "it is larger than 2000 bytes"),
    ],
)
async def test_what_is_no_message_of_its_task_is_dead(body: bytes, reason: str, log: Log) -> None:
    """With the reason, logged once; what waits behind it runs."""
    it = shop(backend={"concurrency": 1, "max_message_bytes": 2000})
    kept = put(it, body)
    put(it, None, "9f")
    await it.work("bury", "acknowledge")
    assert (kept.state, kept.attempt) == ("dead", 0)
    assert str(kept.reason).startswith(reason)
    assert log.messages == [
        f"background task order (1f) of the backend 'engine' is dead, kept with the reason: {kept.reason}"
    ]
    assert log.records[0].__dict__["task_name"] == "order"
    assert SECRET not in log.text + str(kept.reason)
    assert ran == [SECRET]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arguments": {"args": [[], "a"], "kwargs": {"other": SECRET}}}, "the arguments do not fit order("),
        ({"arguments": {"args": [SECRET, "a"], "kwargs": {}}}, "the argument 'items' of order does not fit"),
        ({"module": "shop:New"}, "it was added in the module shop:New, which this application does not have"),
    ],
)
async def test_what_another_version_has_added_waits_for_a_worker_that_knows_it(
    changes: dict[str, Any], reason: str, log: Log
) -> None:
    """Uncounted, longer each time, and dead when it has waited for `unknown_after`."""
    it = shop()
    kept = put(it, replace(ENVELOPE, shape="another", **changes).to_bytes())
    kept.message = replace(kept.message, added_at=time.time() - 20)
    await it.work("reschedule")
    assert (kept.state, kept.attempt) == ("accepted", 0)
    assert kept.due_at > time.time() + 10
    assert str(kept.reason).startswith(reason)
    assert log.messages == [
        f"background task order (1f) of the backend 'engine' waits for a worker of another version: {kept.reason}"
    ]
    kept.message, kept.due_at = replace(kept.message, added_at=time.time() - 3601), 0
    it.memory.told.clear()
    await it.work("bury")
    assert kept.state == "dead"
    assert SECRET not in log.text


@pytest.mark.parametrize(("waited", "wait"), [(0, 0.5), (20, 20), (600, 60)])
async def test_who_does_not_understand_a_task_leaves_it_as_long_as_it_has_waited(
    waited: float, wait: float, log: Log
) -> None:
    """From half a second to a minute."""
    it = shop()
    kept = put(it, replace(ENVELOPE, module="shop:New").to_bytes())
    before = time.time()
    kept.message = replace(kept.message, added_at=before - waited)
    await it.work("reschedule")
    now = time.time()
    assert before + wait <= kept.due_at <= now + wait + (now - before)


class Unreadable:
    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        raise ZeroDivisionError("in a hook of the user's")


@background_task(name="unreadable")
async def unreadable(what: Unreadable) -> None: ...


async def test_what_nobody_expected_ends_one_task_and_not_the_worker(log: Log) -> None:
    """Not even an error in what reads it: the task is dead, with a traceback for whoever wrote that."""
    it = Shop(order, unreadable)
    kept = it.put("unreadable", SECRET)
    put(it, None)
    await it.work("bury", "acknowledge")
    assert kept.reason == "ZeroDivisionError: in a hook of the user's"
    [record] = log.records
    assert record.getMessage().endswith(f"unreadable ({kept.message.task_id}), which is dead")
    assert record.exc_info is not None
    assert SECRET not in log.text


async def fuzz(bodies: list[bytes], it: Shop, log: Log) -> None:
    """Give all of them to a worker that is up, with some that run in between, and see what became of each."""
    it.memory.of(NAME).kept.clear()
    it.memory.told.clear()
    log.records.clear()
    ran.clear()
    fuzzed = []
    for number, body in enumerate(bodies):
        fuzzed.append(put(it, body, f"{number:x}"))
        if not number % 10:
            put(it, None, f"good {number:x}")
    good = [kept for (_, task_id), kept in it.memory.kept.items() if task_id.startswith("good")]
    await it.memory.until_told(len(fuzzed) + len(good))
    assert {kept.state for kept in good} == {"succeeded"}
    dead = [kept for kept in fuzzed if kept.state != "succeeded"]
    assert all(kept.state == "dead" and kept.reason for kept in dead)
    assert len(ran) == len(fuzzed) + len(good) - len(dead)
    assert len(log.records) == len(dead)
    assert SECRET not in log.text + "".join(str(kept.reason) for kept in dead)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
TAGS = st.sampled_from(["$unknown", *_READERS])
TAGGED = st.recursive(JSON, lambda inner: st.builds(lambda tag, content: {tag: content}, TAGS, inner), max_leaves=4)
PART = st.sampled_from([*json.loads(ENVELOPE.to_bytes()), "later"])
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    # Parts of a message replaced.
    st.dictionaries(PART, TAGGED, min_size=1, max_size=3).map(
        lambda parts: json.dumps({**json.loads(ENVELOPE.to_bytes()), **parts}).encode()
    ),
    # Arguments of any kind.
    st.tuples(st.lists(TAGGED, max_size=4), st.dictionaries(st.text(max_size=5), TAGGED, max_size=2)).map(
        lambda call: json.dumps(
            {**json.loads(ENVELOPE.to_bytes()), "arguments": {"args": call[0], "kwargs": call[1]}}
        ).encode()
    ),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(bodies=st.lists(BODIES, min_size=20, max_size=60))
async def test_whatever_a_message_is_the_worker_stays_up(bodies: list[bytes], log: Log) -> None:
    """Each is dead with a reason, those in between run, and nothing of them is in a log."""
    it = shop(backend={"concurrency": 50})
    async with running(it.app):
        await fuzz(bodies, it, log)


def mutations(seed: int, count: int) -> Iterator[bytes]:
    """Real messages, changed in few places: as bytes, and as what they hold."""
    chance = random.Random(seed)
    for number in range(count):
        body = replace(ENVELOPE, task_id=f"{number:x}").to_bytes()
        yield _in_bytes(body, chance) if chance.random() < 0.5 else _in_values(body, chance)


def _in_bytes(body: bytes, chance: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at, until = sorted(chance.randrange(len(changed) + 1) for _ in range(2))
        junk = chance.choice([b"", b"\x00", b"\xff", b"0", b"9" * 400, b'"', b"{", b"]", b"\\ud800", b"null", b"1e999"])
        match chance.randrange(4):
            case 0:
                changed[at : at + 1] = junk
            case 1:
                changed[at:at] = junk
            case 2:
                changed[at:at] = changed[at:until][:50]
            case _:
                del changed[at : min(until, at + 8)]
    return bytes(changed)


def _in_values(body: bytes, chance: random.Random) -> bytes:
    message = json.loads(body)
    places = list(_places(message))
    for _ in range(chance.randint(1, 3)):
        held, key = chance.choice(places)
        deep: Any = 0
        for _ in range(300):
            deep = [deep]
        held[key] = chance.choice(
            [None, True, -1, 0, 1e308, 10**400, "", "x" * 2000, "\x00", [], {}, deep, {"$int": "f" * 5000}]
            + [
                {tag: chance.choice([[], "1", None, ["9" * 50], {"a": 1}])}
                for tag in ("$decimal", "$enum", "$datetime")
            ]
            + [{tag: chance.choice([[], "1", None, [[]], [[1, 2]]])} for tag in ("$dict", "$model", "$uuid", "$secret")]
        )
    return json.dumps(message).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


async def test_ten_thousand_broken_messages_hurt_no_other(log: Log) -> None:
    """In one run of one worker; the seeds are fixed, so that what fails fails again."""
    it = shop(backend={"concurrency": 50})
    async with running(it.app):
        for seed in range(20):
            await fuzz(list(mutations(seed, 500)), it, log)


def test_what_a_fuzzer_finds_by_coverage_hurts_no_other() -> None:
    """Ten thousand more, where atheris is installed; it has to be in a process of its own."""
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.backends.fuzzing", "-runs=10000", "-seed=1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert "Done 10000 runs" in ended.stderr, ended.stderr[-2000:]
    assert ended.returncode == 0
