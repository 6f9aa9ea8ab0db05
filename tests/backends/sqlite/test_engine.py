"""A file as one application uses it: what is accepted, and what is said when it cannot be used."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bg_di.backends import Accepted, Delivery, Message
from bg_di.backends.sqlite import SqliteBackend
from bg_di.backends.sqlite import consumer as consumer_module
from bg_di.backends.sqlite.engine import SqliteEngine
from bg_di.errors import BackendUnavailable, OutcomeUnknown
from tests.backends.sqlite.files import NAME, Blocked, message, no_file_beyond


def ignore(*task: str) -> None:
    raise AssertionError(task)


async def test_what_is_handed_over_together_is_accepted_together(engine: SqliteEngine) -> None:
    """All of it or nothing."""
    messages = [message("a"), message("a"), message("b", version=None)]
    with pytest.raises(BackendUnavailable, match="NOT NULL"):
        raise next(iter(await engine.accept(messages)))  # type: ignore[misc]
    assert engine.entries(limit=9) == []
    assert await engine.accept(messages[:2]) == [
        Accepted(task_id="a", is_new=True),
        Accepted(task_id="a", is_new=False),
    ]


async def test_a_file_that_is_locked_refuses_each_message(engine: SqliteEngine, path: Path) -> None:
    """With an error of its own; afterwards all is well."""
    await engine.accept([message("a")])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first, second = await engine.accept([message("b"), message("c")])
    assert type(first) is type(second) is BackendUnavailable
    assert first is not second
    assert "has been locked by somebody else" in str(first)
    assert await engine.accept([message("b")]) == [Accepted(task_id="b", is_new=True)]


async def test_a_commit_that_fails_leaves_the_outcome_of_each_message_open(engine: SqliteEngine) -> None:
    """Handed over again, it is one task, whatever came of it."""
    big = message("b", body=b"x" * 1_000_000)
    await engine.accept([message("a")])
    with no_file_beyond(200_000):
        results = await engine.accept([big, message("c")])
    assert [type(result) for result in results] == [OutcomeUnknown, OutcomeUnknown]
    await engine.accept([big, message("c")])
    assert {entry.task_id for entry in engine.entries(limit=9)} == {"a", "b", "c"}


async def test_a_disk_that_is_read_only_refuses(folder: Path) -> None:
    """Nobody can work either; and both can as soon as it is mended."""
    engine = SqliteBackend(folder / "tasks.db").open("shop")
    folder.chmod(0o500)
    (refused,) = await engine.accept([message("a")])
    assert isinstance(refused, BackendUnavailable)
    with pytest.raises(BackendUnavailable, match="Permission denied"):
        await engine.consume([NAME], lost=ignore)
    folder.chmod(0o700)
    await engine.accept([message("a")])
    consumer = await engine.consume([NAME], lost=ignore)
    assert len(await consumer.receive(1)) == 1
    await engine.close()


async def test_a_lock_file_that_cannot_be_made_lets_nobody_work(folder: Path) -> None:
    """Nobody could tell that he lives."""
    engine = SqliteBackend(folder / "tasks.db").open("shop")
    await engine.accept([message("a")])
    folder.chmod(0o500)
    with pytest.raises(BackendUnavailable, match="cannot be made or opened"):
        await engine.consume([NAME], lost=ignore)
    folder.chmod(0o700)
    assert [consumer for consumer in engine._consumers if not consumer.has_stopped] == []
    await engine.close()


async def test_what_is_being_accepted_is_awaited_at_the_end(path: Path) -> None:
    """What comes later is refused, also by an engine that was never used."""
    engine = SqliteBackend(path).open("shop")
    await engine.accept([message("a")])
    blocked = Blocked(engine._thread)
    accepting = asyncio.create_task(engine.accept([message("b")]))
    await asyncio.sleep(0)
    closing_it = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    blocked.let_go()
    await closing_it
    assert await accepting == [Accepted(task_id="b", is_new=True)]
    never = SqliteBackend(path).open("shop")
    await never.close()
    for closed in (engine, never):
        (refused,) = await closed.accept([message("c")])
        assert "has been closed by this application" in str(refused)


async def test_a_hand_over_that_nobody_waits_for_is_done(engine: SqliteEngine) -> None:
    """The client may have left."""
    await engine.accept([message("a")])
    blocked = Blocked(engine._thread)
    accepting = asyncio.create_task(engine.accept([message("b")]))
    await asyncio.sleep(0)
    accepting.cancel()
    await asyncio.wait([accepting])
    blocked.let_go()
    assert [entry.task_id for entry in engine.entries(limit=9)] == ["b", "a"]


def test_an_engine_whose_loop_has_gone_can_be_left(path: Path) -> None:
    """What its worker had goes back uncounted, and no lock file stays."""

    async def leave(engine: SqliteEngine, given: list[Message]) -> list[Delivery]:
        consumer = await engine.consume([NAME], lost=ignore)
        await engine.accept(given)
        return list(await consumer.receive(1))

    engine = SqliteBackend(path).open("shop")
    assert len(asyncio.run(leave(engine, [message("a")]))) == 1
    engine.abandon()
    assert list(path.parent.glob("*-owner-*")) == []
    again = SqliteBackend(path).open("shop")
    (delivery,) = asyncio.run(leave(again, []))
    assert (delivery.task_id, delivery.delivery) == ("a", 1)
    again.abandon()


async def test_what_is_pruned_is_pruned_in_steps(engine: SqliteEngine) -> None:
    """However much it is."""
    await engine.accept([message(str(number)) for number in range(2500)])
    await engine._thread.run(lambda store: store._connection.execute("UPDATE bg_di_tasks SET state = 'cancelled'"))
    assert engine.prune(before=1) == 2500
    assert engine.prune(before=1) == 0


async def test_a_worker_that_has_stopped_is_forgotten(engine: SqliteEngine) -> None:
    """One that comes and goes leaves nothing."""
    before = list(engine._thread._repeated)
    for _ in range(3):
        consumer = await engine.consume([NAME], lost=ignore)
        await consumer.stop()
        await consumer.stop()
    assert len(engine._consumers) == 1
    assert engine._thread._repeated == before


async def test_what_nobody_waits_for_any_more_is_delivered_as_soon_as_it_is_accepted(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has handed it over was cancelled, while the file was held up; a worker hears of it all the same."""
    monkeypatch.setattr(consumer_module, "_LONGEST_WAIT", 1000.0)
    consumer = await engine.consume([NAME], lost=ignore)
    receiving = asyncio.create_task(consumer.receive(1))
    await engine.accept([])
    blocked = Blocked(engine._thread)
    accepting = asyncio.create_task(engine.accept([message("a")]))
    await asyncio.sleep(0)
    accepting.cancel()
    await asyncio.wait([accepting])
    blocked.let_go()
    async with asyncio.timeout(30):
        (delivery,) = await receiving
    assert delivery.task_id == "a"
