"""A shop on ellar-sql whose tasks are in the file of its orders, in two kinds: its sessions are sync, or async."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from ellar.app import App
from ellar.common import Inject, get
from ellar_sql import EllarSQLModule, EllarSQLService
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.types import ASGIApp

from bg_di import BackgroundTasks, BackgroundTasksModule, BackgroundTasksMonitor, background_task
from bg_di.backends.sqlite import SqliteBackend
from tests.harness import application, request

Kind = Literal["sync", "async"]
KINDS: tuple[Kind, ...] = ("sync", "async")
_URLS = {"sync": "sqlite", "async": "sqlite+aiosqlite"}


@background_task(name="mail", backend="durable")
async def mail(path: str, to: str) -> None:
    """Leaves a file behind, which survives the process."""
    (Path(path) / f"mail-{to}").write_text(to)


class Shop:
    """One application.

    Args:
        folder: where everything is.
        kind: of its sessions.
        database: what ellar-sql connects to, if that is not the file of the tasks.

    Attributes:
        sessions: that handlers have had.
        session_type: what handlers ask for.
        use: what the routes ``/{how}`` and ``/thread/{how}`` do with a session.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        *,
        database: str | None = None,
        embedded: bool = True,
        observers: tuple[Any, ...] = (),
        modules: tuple[Any, ...] = (),
        engine_options: Any = None,
        migration_options: Any = None,
        **options: Any,
    ) -> None:
        self.folder = folder
        self.file = folder / "shop.db"
        self.kind = kind
        self.session_type: Any = AsyncSession if kind == "async" else Session
        self.use: Callable[[str, Any, BackgroundTasks], Any]
        self.sessions: list[Any] = []
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS orders (number TEXT)")
        self.sql = EllarSQLModule.setup(
            databases=f"{_URLS[kind]}:///{database or self.file}",
            engine_options=engine_options,
            migration_options={"directory": str(folder / "migrations"), "context_configure": migration_options or {}},
            root_path=str(folder),
        )
        self.app = self._application(embedded, observers, modules, options)
        self.monitor: BackgroundTasksMonitor = self.app.injector.get(BackgroundTasksMonitor)

    def _application(self, embedded: bool, observers: Any, modules: Any, options: Any) -> App:
        session_type = self.session_type

        @get("/{how}")
        async def handler(how: str, session: Inject[session_type], tasks: BackgroundTasks) -> Any:  # type: ignore[valid-type]
            self.sessions.append(session)
            return await self.use(how, session, tasks)

        @get("/thread/{how}")
        def in_a_thread(how: str, session: Inject[session_type], tasks: BackgroundTasks) -> None:  # type: ignore[valid-type]
            self.use(how, session, tasks)

        tasks = BackgroundTasksModule.setup(
            name="shop",
            tasks=[mail],
            backends={"durable": SqliteBackend(self.file, embedded=embedded)},
            observers=list(observers),
            **options,
        )
        return application(tasks=tasks, modules=[self.sql, *modules], routers=[handler, in_a_thread])

    async def order(self, session: Any, number: str) -> None:
        await do(session.execute(sa.text("INSERT INTO orders VALUES (:number)"), {"number": number}))

    def add(self, session: Any, tasks: BackgroundTasks, to: str, **policy: Any) -> Any:
        return tasks.using(session=session, **policy).add_task(mail, str(self.folder), to)

    async def visit(self, how: str = "it") -> Any:
        return await request(self.app, f"/{how}")

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.file)) as connection:
            return [row[0] for row in connection.execute(query)]

    @property
    def accepted(self) -> list[str]:
        """The ids of the tasks on the file, as somebody else sees them."""
        if not self.rows("SELECT 1 FROM sqlite_schema WHERE name = 'bg_di_tasks'"):
            return []
        return self.rows("SELECT task_id FROM bg_di_tasks ORDER BY seq")

    @property
    def orders(self) -> list[str]:
        return self.rows("SELECT number FROM orders")

    @property
    def mailed(self) -> list[str]:
        return sorted(path.name.removeprefix("mail-") for path in self.folder.glob("mail-*"))

    @property
    def history(self) -> list[str]:
        return [record.state for record in self.monitor.history()]

    async def close_sessions(self) -> None:
        """Give back what handlers have left open."""
        while self.sessions:
            await do(self.sessions.pop().close())

    async def dispose(self) -> None:
        """Close what ellar-sql has open."""
        await self.close_sessions()
        engine = self.app.injector.get(EllarSQLService).engine
        if self.kind == "async":
            from sqlalchemy.ext.asyncio import AsyncEngine

            await AsyncEngine(engine).dispose()
        else:
            engine.dispose()


async def do(result: Any) -> Any:
    """What a session gives, of either kind."""
    return await result if hasattr(result, "__await__") else result


async def _killed(how: str, session: Any, tasks: BackgroundTasks) -> Any:
    """Die by ``before`` the commit, with the row written, or right ``after`` it."""
    shop = _served()
    synchronous = getattr(session, "sync_session", session)

    def before(session: Any) -> None:
        rows = session.connection().exec_driver_sql("SELECT count(*) FROM bg_di_tasks").scalar()
        (shop.folder / "seen").write_text(str(rows))
        os.kill(os.getpid(), signal.SIGKILL)

    def after(session: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    await shop.order(session, how)
    reference = shop.add(session, tasks, how)
    if how == "before":
        event.listen(synchronous, "before_commit", before)
    elif how == "after":
        event.listen(synchronous, "after_commit", after)
    await do(session.commit())
    return reference.task_id


_SERVED: list[Shop] = []


def _served() -> Shop:
    return _SERVED[0]


def app() -> ASGIApp:
    """The application of a server's process; the environment says where, and of which kind."""
    shop = Shop(Path(os.environ["SHOP_FOLDER"]), "async" if os.environ["SHOP_KIND"] == "async" else "sync")
    shop.use = _killed
    _SERVED.append(shop)
    return shop.app
