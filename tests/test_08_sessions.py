"""Promise 8: a database session that is injected into a task is the task's own, and goes back (trap m)."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from ellar.common import Inject, get
from ellar.di import injectable, request_scope
from ellar_sql import EllarSQLModule, EllarSQLService
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from bg_di import INJECTED, BackgroundTasks, BackgroundTasksMonitor, background_task
from tests.harness import application, concurrently, request


@pytest.fixture(params=[pytest.param(("asyncio", {}), id="asyncio")])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """SQLAlchemy's async sessions know asyncio only."""
    return request.param


def sql(path: Path, url: str, pool: Any) -> Any:
    return EllarSQLModule.setup(
        databases=f"{url}:///{path}/a.db",
        engine_options={"pool_size": 5, "max_overflow": 0, "pool_timeout": 5, "poolclass": pool},
        migration_options={"directory": str(path / "migrations")},
        root_path=str(path),
    )


async def test_a_sync_session_goes_back_after_each_attempt(tmp_path: Path) -> None:
    """A thousand requests leave the pool of five flat; also those whose tasks fail."""

    done: list[int] = []

    @background_task
    def task(number: int, session: Inject[Session] = INJECTED) -> None:
        session.execute(sa.text("select 1"))
        done.append(number)
        if number % 2:
            raise ValueError

    @get("/{number}")
    async def handler(number: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(task, number)

    # The routes are where the session is: ellar-sql's module exports it to the root.
    app = application(modules=[sql(tmp_path, "sqlite", sa.pool.QueuePool)], routers=[handler])
    pool: Any = app.injector.get(EllarSQLService).engine.pool
    for batch in range(50):
        await concurrently([partial(request, app, f"/{20 * batch + number}") for number in range(20)])
        assert pool.checkedout() == 0
    assert sorted(done) == list(range(1000))


async def test_an_async_session_does_too(tmp_path: Path) -> None:
    """In a service that asks for it, hundreds at once."""
    done: list[int] = []

    @injectable(scope=request_scope)
    class Repository:
        def __init__(self, session: AsyncSession) -> None:
            self.session = session

        @background_task
        async def store(self, number: int) -> None:
            await self.session.execute(sa.text("select 1"))
            done.append(number)

    @get("/{number}")
    async def handler(number: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(Repository.store, number)

    module = sql(tmp_path, "sqlite+aiosqlite", sa.pool.AsyncAdaptedQueuePool)
    app = application(modules=[module], routers=[handler], providers=[Repository])
    engine: Any = app.injector.get(EllarSQLService).engine
    await concurrently([partial(request, app, f"/{number}") for number in range(200)])
    assert sorted(done) == list(range(200))
    assert engine.pool.checkedout() == 0
    await AsyncEngine(engine).dispose()


async def test_a_session_that_cannot_be_closed_keeps_no_other_one() -> None:
    """They go back in the opposite order of that in which they were built, and the task fails by it."""
    closed: list[str] = []

    @injectable(scope=request_scope)
    class Old(Session):
        def __init__(self) -> None:
            super().__init__()

        def close(self) -> None:
            closed.append("old")

    @injectable(scope=request_scope)
    class New(Old):
        def close(self) -> None:
            closed.append("new")
            raise OSError("the connection is broken")

    @background_task
    async def task(old: Inject[Old] = INJECTED, new: Inject[New] = INJECTED) -> None: ...

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(task)

    app = application(handler, services=[Old, New])
    await request(app, "/")
    assert closed == ["new", "old"]
    (record,) = app.injector.get(BackgroundTasksMonitor).history()
    assert (record.state, record.reason) == ("failed", "OSError: the connection is broken")


async def test_without_sqlalchemy_nobody_looks_for_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not be installed."""
    done: list[str] = []

    @injectable(scope=request_scope)
    class Clerk:
        def __init__(self) -> None:
            self.name = "clerk"

        @background_task
        async def work(self) -> None:
            done.append(self.name)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(Clerk.work)

    monkeypatch.delitem(sys.modules, "sqlalchemy.orm")
    await request(application(handler, services=[Clerk]), "/")
    assert done == ["clerk"]
