"""What is added with a database session is accepted with its commit, also by what stands for the engine in a test."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from ellar.app import App
from ellar.common import get
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from bg_di import BackgroundTasks, BackgroundTasksModule, BackgroundTasksMonitor, background_task
from bg_di.backends.sqlite import SqliteBackend
from bg_di.testing import WatchedBackgroundTasks
from tests.harness import application

done: list[str] = []


@background_task(name="written", backend="durable")
async def written(what: str) -> None:
    done.append(what)


def shop(path: str, use: Callable[[Any, BackgroundTasks], None]) -> App:
    """An application that adds a task with a session on a database of its own."""
    done.clear()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        engine = create_engine("sqlite://")
        with Session(engine) as session:
            use(session, tasks)
        engine.dispose()

    setup = BackgroundTasksModule.setup(name="shop", tasks=[written], backends={"durable": SqliteBackend(path)})
    return application(handler, tasks=setup)


@pytest.mark.parametrize("mode", ["run", "hold"])
def test_a_commit_accepts_it(path: str, background_tasks: WatchedBackgroundTasks, mode: str) -> None:
    """And it runs, when it may."""

    def use(session: Any, tasks: BackgroundTasks) -> None:
        session.execute(text("select 1"))
        tasks.using(session=session).add_task(written, "committed")
        session.commit()
        tasks.using(session=session).add_task(written, "committed, too")
        session.commit()

    app = shop(path, use)
    if mode == "run":
        TestClient(app).get("/")
    else:
        with background_tasks.held():
            TestClient(app).get("/")
        assert done == []
        anyio.run(background_tasks.drain)
    assert done == ["committed", "committed, too"]
    background_tasks.assert_accepted(background_tasks.one(written, "committed"))


def test_a_rollback_drops_it(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """With the reason."""

    def use(session: Any, tasks: BackgroundTasks) -> None:
        tasks.using(session=session).add_task(written, "rolled back")
        session.rollback()

    TestClient(shop(path, use)).get("/")
    background_tasks.assert_skipped(written, reason="ended without committing it")


def test_what_was_taken_back_is_not_accepted(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """By the monitor, before the commit and after a savepoint that had it."""

    def use(session: Any, tasks: BackgroundTasks) -> None:
        reference = tasks.using(session=session).add_task(written, "taken back")
        with session.begin_nested():
            inner = tasks.using(session=session).add_task(written, "taken back, too")
        monitor = app.injector.get(BackgroundTasksMonitor)
        assert monitor.cancel(reference.task_id)
        assert monitor.cancel(inner.task_id)
        session.commit()

    app = shop(path, use)
    TestClient(app).get("/")
    assert [task.state for task in background_tasks.all(written)] == ["cancelled", "cancelled"]
    assert done == []


def test_an_async_session(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """Likewise."""
    done.clear()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with AsyncSession(engine) as session:
            await session.execute(text("select 1"))
            tasks.using(session=session).add_task(written, "committed")
            await session.commit()
        await engine.dispose()

    setup = BackgroundTasksModule.setup(name="shop", tasks=[written], backends={"durable": SqliteBackend(path)})
    TestClient(application(handler, tasks=setup)).get("/")
    assert done == ["committed"]
