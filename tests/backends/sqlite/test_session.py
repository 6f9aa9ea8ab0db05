"""Released on commit: a task in a user's session is there with its commit, and gone with its rollback."""

import asyncio
import gc
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import sqlalchemy as sa
from ellar_sql import EllarSQLService
from sqlalchemy import event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, sessionmaker

from bg_di import (
    BackgroundTasks,
    BackgroundTasksNotAccepted,
    TaskObserver,
    TaskRecord,
    collect_background_tasks,
)
from bg_di.errors import InvalidOptions
from tests.backends.sqlite.files import until
from tests.backends.sqlite.sql_shop import KINDS, Kind, Shop, do, mail
from tests.harness import Log, concurrently, running

FORGOTTEN = "neither committed nor rolled back by the end of the request"
GONE = "the transaction of its session ended without committing it"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
async def shop(tmp_path: Path, kind: Kind) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path, kind)
    yield shop
    await shop.dispose()


class Heard(TaskObserver):
    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, kind: Any, record: TaskRecord) -> None:
        self.events.append(f"{kind} {record.state}")


async def test_a_task_is_accepted_with_the_users_commit(shop: Shop) -> None:
    """Not before; and its id, which the client is told, leads to it from then on."""
    states: list[Any] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> Any:
        await shop.order(session, how)
        task_id = shop.add(session, tasks, how).task_id
        states.extend([shop.monitor.state(task_id), list(shop.accepted)])
        await do(session.commit())
        states.append(shop.monitor.state(task_id))
        return task_id

    shop.use = use
    client = await shop.visit()
    assert states == ["waiting", [], "accepted"]
    assert shop.accepted == [client.json()]
    assert shop.orders == ["it"]
    assert shop.history == ["accepted"]


@pytest.mark.parametrize("how", ["rollback", "close"])
async def test_a_task_is_gone_with_the_users_rollback(shop: Shop, how: str, log: Log) -> None:
    """Named, as whatever is dropped."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        await shop.order(session, how)
        shop.add(session, tasks, how)
        await do(getattr(session, how)())
        await shop.order(session, "another")
        await do(session.commit())

    shop.use = use
    assert (await shop.visit(how)).status == 200
    assert (shop.accepted, shop.orders, shop.history) == ([], ["another"], ["dropped"])
    assert log.messages == [f"background task mail of GET /{how} was dropped: {GONE}"]


async def test_a_task_goes_with_its_savepoint(shop: Shop) -> None:
    """What is around the savepoint is accepted with the commit, and so is what is in one that was not rolled back."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, "outside")
        savepoint = await do(session.begin_nested())
        shop.add(session, tasks, "gone")
        await shop.order(session, "gone")
        await do(savepoint.rollback())
        savepoint = await do(session.begin_nested())
        shop.add(session, tasks, "inside")
        inner = await do(session.begin_nested())
        shop.add(session, tasks, "innermost")
        await do(inner.commit())
        await do(savepoint.commit())
        await do(session.commit())

    shop.use = use
    async with running(shop.app):
        await shop.visit()
        await until(lambda: shop.mailed == ["innermost", "inside", "outside"])
    assert shop.history.count("dropped") == 1
    assert len(shop.accepted) == 3


async def test_a_task_of_a_released_savepoint_goes_with_the_rollback_of_what_is_around_it(shop: Shop) -> None:
    """Of another savepoint, and of the whole."""
    before_the_end: list[list[str]] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, "outside")
        outer = await do(session.begin_nested())
        inner = await do(session.begin_nested())
        shop.add(session, tasks, "inside")
        await do(inner.commit())
        await do(outer.rollback())
        before_the_end.append(shop.history)
        await do(session.commit() if how == "commit" else session.rollback())

    shop.use = use
    await shop.visit("rollback")
    assert shop.accepted == []
    await shop.visit("commit")
    assert len(shop.accepted) == 1
    assert before_the_end == [["dropped"], ["dropped", "dropped", "dropped"]]
    assert shop.history == ["dropped", "dropped", "dropped", "accepted"]


async def test_a_commit_of_the_whole_commits_an_open_savepoint_too(shop: Shop) -> None:
    """As SQLAlchemy does; the context manager of the outer transaction does it in another order than the session."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        async def within() -> None:
            shop.add(session, tasks, f"outside {how}")
            await do(session.begin_nested())
            shop.add(session, tasks, f"inside {how}")

        if how == "session":
            await within()
            await do(session.commit())
        elif shop.kind == "async":
            async with session.begin():
                await within()
        else:
            with session.begin():
                await within()

    shop.use = use
    for how in ("session", "manager"):
        client = await shop.visit(how)
        assert client.status == 200
    assert shop.history == ["accepted"] * 4
    assert len(shop.accepted) == 4


async def test_a_session_that_is_neither_committed_nor_rolled_back_is_named(shop: Shop, log: Log) -> None:
    """By name and id, at the request's end; a commit that comes later does not count."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> str:
        await shop.order(session, how)
        savepoint = await do(session.begin_nested()) if how == "released" else None
        reference = shop.add(session, tasks, how)
        if savepoint is not None:
            await do(savepoint.commit())
        return str(reference.task_id)

    shop.use = use
    for how in ("forgotten", "released"):
        client = await shop.visit(how)
        assert client.status == 200
        [record] = log.records
        assert record.levelname == "ERROR"
        assert FORGOTTEN in log.text
        assert f"mail ({client.json()})" in log.text
        assert shop.history[-1] == "failed"
        await do(shop.sessions[-1].commit())
        assert shop.monitor.state(client.json()) in {None, "failed", "cancelled"}
        log.records.clear()
    assert shop.orders == ["forgotten", "released"]
    assert shop.monitor.counts()["durable"].waiting == 0


async def test_a_task_that_fails_is_not_why_a_session_was_forgotten(shop: Shop, log: Log) -> None:
    """Although it ends what else is behind it."""

    def fails() -> None:
        raise ZeroDivisionError

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        tasks.add_task(fails)

    shop.use = use
    await shop.visit()
    assert FORGOTTEN in log.text
    assert sorted(shop.history) == ["failed", "failed"]


async def test_a_handler_that_fails_without_a_commit_drops_its_tasks(shop: Shop, log: Log) -> None:
    """That is the error's doing; who is waited for is nobody."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        raise ValueError

    shop.use = use
    assert (await shop.visit()).status == 500
    assert shop.history == ["dropped"]
    assert log.messages == ["background task mail of GET /it was dropped: its route failed with ValueError"]


async def test_what_was_committed_runs_though_the_handler_fails_afterwards(shop: Shop) -> None:
    """The commit is the decision."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        await do(session.commit())
        raise ValueError

    shop.use = use
    async with running(shop.app):
        assert (await shop.visit()).status == 500
        await until(lambda: shop.mailed == ["it"])


async def test_a_request_that_is_cancelled_names_what_it_has_not_committed(shop: Shop, log: Log) -> None:
    """And has it not."""
    waits = asyncio.Event()

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        waits.set()
        await asyncio.Event().wait()

    shop.use = use
    visit = asyncio.create_task(shop.visit())
    await waits.wait()
    visit.cancel()
    await asyncio.wait([visit])
    assert shop.history == ["cancelled"]
    assert "its request was ended by CancelledError" in log.text


async def test_the_worker_hears_of_the_commit_at_once(tmp_path: Path, kind: Kind) -> None:
    """And observers of all that happens."""
    heard = Heard()
    shop = Shop(tmp_path, kind, observers=(heard,))

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        await do(getattr(session, how)())

    shop.use = use
    async with running(shop.app):
        await shop.visit("rollback")
        await shop.visit("commit")
        assert heard.events == ["added waiting", "dropped dropped", "added waiting", "accepted accepted"]
        await until(lambda: shop.mailed == ["commit"])
    await shop.dispose()


async def test_hundreds_at_once_lose_and_invent_nothing(tmp_path: Path, kind: Kind) -> None:
    """Two in three commit, while the worker writes to the same file."""
    shop = Shop(tmp_path, kind, engine_options={"connect_args": {"timeout": 60}})

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        await asyncio.sleep(0)
        await shop.order(session, how)
        shop.add(session, tasks, how)
        await do(session.commit() if int(how) % 3 else session.rollback())
        await do(session.close())

    shop.use = use
    expected = sorted(str(number) for number in range(300) if number % 3)
    async with running(shop.app):
        for start in range(0, 300, 50):
            # A sync session blocks the event loop, and so whoever holds the lock, if it waits in between.
            clients = await concurrently([partial(shop.visit, str(start + number)) for number in range(50)])
            assert {client.status for client in clients} == {200}
        await until(lambda: shop.mailed == expected)
    assert sorted(shop.orders) == expected
    await shop.dispose()


async def test_a_sync_handler_commits_in_its_thread(tmp_path: Path) -> None:
    """The worker is woken from there."""
    shop = Shop(tmp_path, "sync")

    def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        getattr(session, how)()

    shop.use = use
    async with running(shop.app):
        await shop.visit("thread/rollback")
        await shop.visit("thread/commit")
        await until(lambda: shop.mailed == ["commit"])
    await shop.dispose()


async def test_a_unique_key_holds_in_sessions_too(shop: Shop, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """The second task's reference is the first one's from the commit on; the id that was told before leads there."""
    caplog.set_level(logging.INFO, "bg_di")
    ids: list[str] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> Any:
        reference = shop.add(session, tasks, how, unique_key="may", delay=60)
        ids.append(reference.task_id)
        savepoint = await do(session.begin_nested())
        await do(savepoint.commit())
        await do(session.commit())
        return reference.task_id

    shop.use = use
    first, second = await shop.visit("first"), await shop.visit("second")
    assert first.json() == second.json() == ids[0] != ids[1]
    assert shop.accepted == [ids[0]]
    assert shop.monitor.state(ids[1]) == "accepted"
    assert "has the same unique key and stands for it" in log.text
    assert shop.rows("SELECT due_at - added_at FROM bg_di_tasks") == [pytest.approx(60)]


async def test_a_task_that_waits_for_a_commit_can_be_cancelled(shop: Shop) -> None:
    """Also when a savepoint around it has been released; the commit does not bring it back."""
    cancelled: list[bool] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        savepoint = await do(session.begin_nested())
        reference = shop.add(session, tasks, how)
        if how == "released":
            await do(savepoint.commit())
        cancelled.append(shop.monitor.cancel(reference.task_id))
        await shop.order(session, how)
        await do(session.commit())

    shop.use = use
    await shop.visit("open")
    await shop.visit("released")
    assert cancelled == [True, True]
    assert shop.history == ["cancelled", "cancelled"]
    assert shop.orders == ["open", "released"]
    assert shop.monitor.counts()["durable"].waiting == 0


async def test_it_cannot_be_cancelled_while_its_commit_goes_on(shop: Shop) -> None:
    """What is said of it would not be true."""
    cancelled: list[bool] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        reference = shop.add(session, tasks, how)
        collection: Any = tasks
        [call] = collection.outgoing.calls

        def now(session: Any) -> None:
            cancelled.append(collection.cancel(call))

        event.listen(getattr(session, "sync_session", session), "before_commit", now)
        await do(session.commit())
        assert shop.monitor.state(reference.task_id) == "accepted"

    shop.use = use
    await shop.visit()
    assert cancelled == [False]
    assert len(shop.accepted) == 1


async def test_a_task_added_by_a_listener_of_the_commit_goes_with_it(shop: Shop) -> None:
    """Before it; afterwards SQLAlchemy refuses, and nothing is kept."""
    refused: list[str] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        synchronous = getattr(session, "sync_session", session)

        def before(session: Any) -> None:
            shop.add(session, tasks, "before")

        def after(session: Any) -> None:
            with pytest.raises(InvalidRequestError) as raised:
                shop.add(session, tasks, "after")
            refused.append(str(raised.value))

        shop.add(session, tasks, "first")
        event.listen(synchronous, "before_commit", before)
        event.listen(synchronous, "after_commit", after)
        await do(session.commit())

    shop.use = use
    assert (await shop.visit()).status == 200
    assert len(refused) == 1
    assert len(shop.accepted) == 2
    assert shop.history == ["accepted", "accepted"]


async def test_a_commit_that_cannot_write_the_task_fails(shop: Shop, log: Log) -> None:
    """The user's data is not written without it. The error says what is wrong, and has no arguments."""
    errors: list[BaseException] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, "secret")
        with closing(sqlite3.connect(shop.file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await do(session.execute(sa.text("PRAGMA busy_timeout = 10")))
            try:
                await do(session.commit())
            except Exception as error:
                errors.append(error)
        if how == "again":
            await do(session.commit())
        elif how == "rollback":
            await do(session.rollback())

    shop.use = use
    for how, state in {"rollback": "dropped", "again": "accepted", "nothing": "failed"}.items():
        assert (await shop.visit(how)).status == 200
        assert shop.history[-1] == state
    assert {type(error).__name__ for error in errors} == {"BackendUnavailable"}
    assert {"locked by somebody else" in str(error) for error in errors} == {True}
    assert "secret" not in "".join(map(str, errors)) + log.text
    assert len(shop.accepted) == 1


async def test_no_driver_logs_the_arguments(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Not even one that tells all that it is given."""
    caplog.set_level(logging.DEBUG)

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, "secret")
        await do(session.commit())

    shop.use = use
    assert (await shop.visit()).status == 200
    assert len(shop.accepted) == 1
    assert "secret" not in caplog.text


async def test_a_commit_that_fails_and_is_left_so_is_unknown(shop: Shop, log: Log) -> None:
    """Nobody can say what became of it, so nobody is told that he can."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)

        def fail(session: Any) -> None:
            raise OSError("the disk is gone")

        event.listen(getattr(session, "sync_session", session), "before_commit", fail)
        with pytest.raises(OSError, match="the disk is gone"):
            await do(session.commit())
        if how == "rolled-back":
            await do(session.rollback())

    shop.use = use
    await shop.visit("left")
    assert shop.history == ["failed"]
    assert "had begun and not ended by the end of the request" in log.text
    assert "unknown, may run all the same: mail" in log.text
    await shop.close_sessions()
    await shop.visit("rolled-back")
    assert shop.history == ["failed", "dropped"]


async def test_a_session_is_not_kept_alive(shop: Shop) -> None:
    """Whatever became of its tasks."""
    sessions: list[Any] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        sessions.append(ref(getattr(session, "sync_session", session)))
        if how != "nothing":
            await do(getattr(session, how)())

    shop.use = use
    for how in ("commit", "rollback", "nothing"):
        await shop.visit(how)
    shop.sessions.clear()
    gc.collect()
    assert [session() for session in sessions] == [None] * 3


async def test_outside_of_requests_a_missing_commit_raises(shop: Shop) -> None:
    """At the end of the block, as for whatever was not accepted."""
    service = shop.app.injector.get(EllarSQLService)
    session: Any = service.session_factory()
    async with collect_background_tasks(shop.app) as tasks:
        shop.add(session, tasks, "committed")
        await do(session.commit())
    with pytest.raises(BackgroundTasksNotAccepted, match=FORGOTTEN):
        async with collect_background_tasks(shop.app) as tasks:
            shop.add(session, tasks, "forgotten")
    await do(session.close())
    assert len(shop.accepted) == 1


async def test_a_task_that_comes_too_late_is_not_in_the_session_either(shop: Shop) -> None:
    """It is refused as any other."""
    held: list[Any] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        from contextvars import copy_context

        held.extend([copy_context(), session, tasks])

    shop.use = use
    await shop.visit()
    context, session, tasks = held
    with pytest.raises(Exception, match="after its background tasks had run"):
        context.run(shop.add, session, tasks, "late")
    await do(session.commit())
    assert shop.accepted == []
    await do(session.close())


Refused = Callable[[Path], Any]

REFUSED: dict[str, tuple[Refused, str]] = {
    "something else": (lambda path: object(), "give a Session or an AsyncSession of SQLAlchemy"),
    "another file": (lambda path: _bound(f"sqlite:///{path}/other.db"), r"other.db, and the tasks are on .*shop.db"),
    "memory": (lambda path: _bound("sqlite://"), "the tasks are on .*shop.db: give a session on that file"),
    "a shared memory": (lambda path: _bound("sqlite:///file::memory:?cache=shared&uri=true"), "the tasks are on"),
    "a named memory": (lambda path: _bound("sqlite:///file:a?mode=memory&uri=true"), "the tasks are on"),
    "another database": (lambda path: Session(_postgres()), "the tasks are on .*shop.db"),
    "no bind": (lambda path: Session(), "it is bound to nothing"),
    "a connection": (
        lambda path: Session(sa.create_engine(f"sqlite:///{path}/shop.db", poolclass=sa.NullPool).connect()),
        "its commit need not be the last word",
    ),
}


def _bound(url: str) -> Any:
    return sessionmaker(sa.create_engine(url, poolclass=sa.NullPool))()


def _postgres() -> Any:
    """An engine of a database that is none of SQLite's, without its driver."""
    return sa.create_engine("postgresql+pg8000://user:secret@host/shop", module=sqlite3)


@pytest.mark.parametrize("what", REFUSED)
async def test_a_session_on_something_else_is_refused_where_the_task_is_added(tmp_path: Path, what: str) -> None:
    """With what to do, and without passwords."""
    make, reason = REFUSED[what]
    shop = Shop(tmp_path, "sync")
    refused: list[str] = []

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        other = make(tmp_path)
        with pytest.raises(InvalidOptions, match=reason) as raised:
            shop.add(other, tasks, how)
        refused.append(str(raised.value))
        if what == "a connection":
            other.bind.close()

    shop.use = use
    assert (await shop.visit()).status == 200
    assert "leave the session out" in refused[0]
    assert "secret" not in refused[0]
    assert shop.history == []


async def test_the_same_file_by_another_name_is_no_other(tmp_path: Path) -> None:
    """By a link, a URI or before anybody has made it."""
    (tmp_path / "link").symlink_to(tmp_path / "shop.db")
    shop = Shop(tmp_path, "sync")

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        for url in (f"sqlite:///{tmp_path}/link", f"sqlite:///file:{tmp_path}/shop.db?uri=true"):
            with _bound(url) as other:
                shop.add(other, tasks, url[-4:])
                other.commit()

    shop.use = use
    assert (await shop.visit()).status == 200
    assert len(shop.accepted) == 2
    assert not (tmp_path / "other").exists()


async def test_a_connection_that_leads_elsewhere_is_found_out_at_the_commit(tmp_path: Path) -> None:
    """Where only the connection tells."""
    shop = Shop(tmp_path, "sync")
    elsewhere: list[Any] = [tmp_path / "other.db", ":memory:"]

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        for place in elsewhere:
            engine = sa.create_engine(
                f"sqlite:///{shop.file}", creator=partial(sqlite3.connect, place), poolclass=sa.NullPool
            )
            with Session(engine) as other:
                shop.add(other, tasks, how)
                with pytest.raises(Exception, match=r"turns out to be to (.*other\.db|no file)"):
                    other.commit()

    shop.use = use
    assert (await shop.visit()).status == 200
    assert shop.history == ["dropped", "dropped"]


async def test_a_failure_is_nothing_that_a_session_could_decide(shop: Shop) -> None:
    """So it is refused, and so is a backend that has no transactions."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        with pytest.raises(InvalidOptions, match="leave it or the session out"):
            shop.add(session, tasks, how, when="failure")
        with pytest.raises(InvalidOptions, match="wants a transaction, which the backend 'in_process' cannot do"):
            shop.add(session, tasks, how, backend="in_process")

    shop.use = use
    assert (await shop.visit()).status == 200


async def test_a_hand_over_behind_the_requests_own_write_lock_is_refused_at_once(shop: Shop, log: Log) -> None:
    """It could only time out, as the handler commits nothing any more. The client has its 503, we the reason."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        await do(session.execute(sa.text("SELECT 1")))
        if how != "read":
            await shop.order(session, how)
        if how == "closed":
            connection = await do(session.connection())
            await do(connection.close() if shop.kind == "sync" else connection.invalidate())
        tasks.add_task(mail, str(shop.folder), how)
        if how == "committed":
            await do(session.commit())

    shop.use = use
    statuses = {}
    for how in ("read", "committed", "closed", "written"):
        statuses[how] = (await shop.visit(how)).status
        await shop.close_sessions()
    assert statuses == {"read": 200, "committed": 200, "closed": 200, "written": 503}
    assert "is locked by a session of this very request" in log.text
    assert "say tasks.using(session=session)" in log.text
    assert "refused: mail" in log.text


async def test_it_is_refused_in_an_error_response_too(shop: Shop, log: Log) -> None:
    """Which is sent where the request's scope has been left."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        await shop.order(session, how)
        tasks.using(when="always").add_task(mail, str(shop.folder), how)
        raise ValueError

    shop.use = use
    assert (await shop.visit()).status == 503
    assert "is locked by a session of this very request" in log.text


async def test_a_transaction_that_the_user_begins_himself_is_not_taken_for_a_lock(shop: Shop) -> None:
    """It may only have read."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        await do(session.execute(sa.text("SELECT 1")))
        tasks.add_task(mail, str(shop.folder), how)

    def leave_it_to_us(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    engine = shop.app.injector.get(EllarSQLService).engine
    event.listen(engine, "connect", leave_it_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    shop.use = use
    async with running(shop.app):
        assert (await shop.visit()).status == 200


async def test_the_tables_are_made_in_the_transaction_that_needs_them_first(shop: Shop) -> None:
    """Nobody has opened the file for tasks, and in a transaction that has written nobody else could."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        if how.endswith("writes"):
            await shop.order(session, how)
        shop.add(session, tasks, how)
        await do(session.rollback() if how.startswith("never") else session.commit())

    shop.use = use
    await shop.visit("never writes")
    assert shop.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'bg%'") == []
    await shop.visit("writes")
    await shop.visit("does not")
    assert len(shop.accepted) == 2
    async with running(shop.app):
        await until(lambda: len(shop.mailed) == 2)


async def test_the_tables_are_made_by_a_transaction_of_tasks_alone(shop: Shop) -> None:
    """With the driver's own way to begin, which is only when a row is written."""

    async def use(how: str, session: Any, tasks: BackgroundTasks) -> None:
        shop.add(session, tasks, how)
        await do(session.commit())

    shop.use = use
    await shop.visit()
    assert len(shop.accepted) == 1
