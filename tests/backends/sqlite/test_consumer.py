"""A worker's side of a file: what wakes it, what it gives back, and what it says of a file that cannot be used."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bg_di.backends.sqlite import SqliteBackend
from bg_di.backends.sqlite import consumer as consumer_module
from bg_di.backends.sqlite.consumer import SqliteConsumer
from bg_di.backends.sqlite.engine import SqliteEngine
from bg_di.backends.sqlite.owner import alive
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.thread import DatabaseThread
from bg_di.errors import BackendUnavailable
from tests.backends.sqlite.files import NAME, Blocked, message, until
from tests.harness import Log


@pytest.fixture
def lost() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
async def consumer(engine: SqliteEngine, lost: list[tuple[str, str, str]]) -> SqliteConsumer:
    return await engine.consume([NAME], lost=lambda *task: lost.append(task))


@pytest.fixture
async def other(path: Path) -> AsyncIterator[SqliteEngine]:
    """As of another process."""
    other = SqliteBackend(path, busy_timeout=0.1).open("shop")
    yield other
    await other.close()


async def waiting(consumer: SqliteConsumer) -> "asyncio.Task[list[str]]":
    """Somebody who waits for a delivery, after he has looked and found nothing."""

    async def receive() -> list[str]:
        return [delivery.task_id for delivery in await consumer.receive(9)]

    task = asyncio.create_task(receive())
    await until(lambda: consumer._more._waiters)
    return task


async def test_who_waits_is_woken_by_what_is_put_back(engine: SqliteEngine, consumer: SqliteConsumer) -> None:
    """By hand, by whoever gives it back, and for another attempt."""
    await engine.accept([message("a")])
    (delivery,) = await consumer.receive(9)
    task = await waiting(consumer)
    await consumer.bury(delivery, attempt=1, reason="no")
    assert await asyncio.to_thread(engine.retry, "a")
    assert await task == ["a"]
    (delivery,) = consumer._in_hand.held()
    task = await waiting(consumer)
    await consumer.release(delivery)
    assert await task == ["a"]
    (delivery,) = consumer._in_hand.held()
    task = await waiting(consumer)
    await consumer.reschedule(delivery, delay=0.05, attempt=1, reason="no")
    assert await task == ["a"]


async def test_who_waits_is_woken_when_something_is_due(
    engine: SqliteEngine, consumer: SqliteConsumer, other: SqliteEngine
) -> None:
    """Also by another process, which may have written after he looked."""
    for accepting in (engine, other):
        task = await waiting(consumer)
        due_at = time.time() + 0.2
        await accepting.accept([message(str(due_at), due_at=due_at)])
        assert await task == [str(due_at)]
        assert time.time() >= due_at


async def test_who_waits_looks_now_and_then_whatever_happens(
    engine: SqliteEngine, consumer: SqliteConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here nobody has told him."""
    monkeypatch.setattr(consumer_module, "_LONGEST_WAIT", 0.01)
    task = await waiting(consumer)
    await engine._thread.run(lambda store: store.accept([message("a")]))
    assert await task == ["a"]


async def test_what_was_claimed_for_somebody_who_has_gone_is_there_for_the_next(
    engine: SqliteEngine, consumer: SqliteConsumer
) -> None:
    """Without anybody having to stop; it has not been delivered."""
    await engine.accept([message("a"), message("b")])
    blocked = Blocked(engine._thread)
    task = asyncio.create_task(consumer.receive(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    blocked.let_go()
    (first,) = await consumer.receive(1)
    (second,) = await consumer.receive(1)
    assert (first.task_id, second.task_id, second.delivery) == ("b", "a", 1)
    assert await consumer.acknowledge(first)
    assert await consumer.acknowledge(second)


async def test_who_stops_takes_nothing_more(engine: SqliteEngine, consumer: SqliteConsumer) -> None:
    """What is claimed at that moment goes back, and who waits hears that there is nothing."""
    await engine.accept([message("a")])
    blocked = Blocked(engine._thread)
    claiming = asyncio.create_task(consumer.receive(9))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0)
    blocked.let_go()
    await stopping
    assert (await claiming, await consumer.receive(9)) == ((), ())
    entry = engine.show("a")
    assert entry is not None
    assert (entry.state, entry.deliveries) == ("accepted", 0)


async def test_who_waits_when_it_stops_hears_of_it(consumer: SqliteConsumer) -> None:
    """At once."""
    task = await waiting(consumer)
    await consumer.stop()
    assert await task == []


async def test_who_cannot_give_back_is_dead_for_the_others(
    engine: SqliteEngine, consumer: SqliteConsumer, other: SqliteEngine, path: Path
) -> None:
    """They take what he had, without waiting for his lease."""
    await engine.accept([message("a")])
    await consumer.receive(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as locking:
        locking.execute("BEGIN IMMEDIATE")
        await consumer.stop()
    assert alive(str(path), consumer._owner.name) is False
    successor = await other.consume([NAME], lost=print)
    (delivery,) = await successor.receive(1)
    assert (delivery.task_id, delivery.delivery) == ("a", 2)


async def test_what_the_engine_makes_dead_is_told_once(path: Path, engine: SqliteEngine) -> None:
    """In the event loop, by the one who did it."""
    told: list[tuple[str, str, str]] = []
    impatient = SqliteBackend(path, unknown_after=2).open("shop")
    await engine.accept([message("a", name="gone"), message("b")])
    consumer = await impatient.consume([NAME], lost=lambda *task: told.append(task))
    await until(lambda: told)
    assert len(await consumer.receive(9)) == 1
    await impatient.close()
    assert told == [("a", "gone", "no worker knows a task of this name and version")]


async def test_a_file_that_is_gone_is_said_once_and_missed_by_who_waits(
    engine: SqliteEngine, consumer: SqliteConsumer, path: Path, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    """And when it is back, all goes on."""
    caplog.set_level(logging.INFO, "bg_di")
    await engine.accept([message("a")])
    (delivery,) = await consumer.receive(1)
    task = await waiting(consumer)
    moved = path.rename(path.with_suffix(".moved"))
    with pytest.raises(BackendUnavailable, match="has been deleted or moved away"):
        await task
    await until(lambda: log.records)
    with pytest.raises(BackendUnavailable, match="has been deleted or moved away"):
        await consumer.acknowledge(delivery)
    moved.rename(path)
    await until(lambda: len(log.records) > 1)
    failed, works = log.records
    assert (failed.levelno, works.levelno) == (logging.ERROR, logging.INFO)
    assert f"the heartbeat of a worker on {path} fails and is tried again: {path} has been deleted" in log.messages[0]
    assert log.messages[1] == f"the heartbeat of a worker on {path} works again"
    assert await consumer.acknowledge(delivery)
    await engine.accept([message("b")])
    assert len(await consumer.receive(1)) == 1


async def test_a_delivery_that_could_not_be_ended_is_still_in_hand(
    engine: SqliteEngine, consumer: SqliteConsumer, path: Path
) -> None:
    """It is renewed until its end has been written, and not for longer: nothing is taken for lost that has ended."""
    await engine.accept([message("a")])
    (delivery,) = await consumer.receive(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as locking:
        locking.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailable):
            await consumer.acknowledge(delivery)
    assert consumer._in_hand.held() == [delivery]
    assert await consumer.acknowledge(delivery)
    assert consumer._in_hand.held() == []


async def test_a_loop_that_is_closed_disturbs_no_heartbeat(path: Path) -> None:
    """Nobody hears it any more."""

    async def leave() -> SqliteEngine:
        engine = SqliteBackend(path).open("shop")
        await engine.consume([NAME], lost=print)
        return engine

    engine = await asyncio.to_thread(asyncio.run, leave())
    engine._consumers[0].hear_of_more()
    assert engine.counts().waiting == 0
    await asyncio.to_thread(engine.abandon)


async def test_idle_workers_cost_next_to_nothing(
    consumer: SqliteConsumer, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """One that waits looks at a number ten times a second, and claims only when that has changed."""
    claims: list[None] = []
    claim = Store.claim

    def counted(*args: object, **options: object) -> object:
        claims.append(None)
        return claim(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "claim", counted)
    task = await waiting(consumer)
    polls: list[None] = []
    end = consumer._thread.every(0.1, lambda file: polls.append(None))
    before, used = len(claims), time.process_time()
    await until(lambda: len(polls) > 20)
    assert len(claims) <= before + 1
    assert time.process_time() - used < 0.5
    end()
    task.cancel()
    await asyncio.wait([task])


def test_a_thread_is_needed_to_look(path: Path) -> None:
    """Nothing is repeated before something has been done."""
    thread = DatabaseThread(str(path), "shop")
    thread.every(0.01, lambda file: pytest.fail("looked"))
    thread.close()
