"""The engines that do the same work: each enqueues a task as an async handler would, and has a worker in a process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks.durable.application import application, close, noop, working
from benchmarks.durable.marks import MARKS
from bg_di import collect_background_tasks

Enqueue = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An engine on SQLite.

    Attributes:
        name: as it is shown.
        package: that must be installed.
        enqueuing: gives what enqueues a task, on the file in a folder, for workers of so many slots.
        working: runs a worker of so many slots, or of as many as it comes with.
        pace: how much it is given to do, compared with others.
    """

    name: str
    package: str
    enqueuing: Callable[[Path, int | None], AbstractAsyncContextManager[Enqueue]]
    working: Callable[[Path, int | None], AbstractAsyncContextManager[None]]
    pace: int = 10

    @property
    def is_installed(self) -> bool:
        return find_spec(self.package) is not None


@asynccontextmanager
async def _bg_di_enqueuing(folder: Path, _slots: int | None) -> AsyncIterator[Enqueue]:
    app = application(folder / "tasks.db")

    async def enqueue(number: int) -> None:
        async with collect_background_tasks(app) as tasks:
            tasks.add_task(noop, number)

    yield enqueue
    await close(app)


@asynccontextmanager
async def _bg_di_working(folder: Path, slots: int | None) -> AsyncIterator[None]:
    async with working(application(folder / "tasks.db", concurrency=slots or 10)):
        yield


def _huey(folder: Path, options: dict[str, Any]) -> tuple[Any, Callable[[int], object]]:
    huey: Any = import_module("huey").SqliteHuey(filename=str(folder / "tasks.db"), **options)

    def task(number: int) -> None:
        MARKS.task_in_thread(number)

    return huey, huey.task()(task)


def _huey_enqueuing(**options: Any) -> Callable[[Path, int | None], AbstractAsyncContextManager[Enqueue]]:
    @asynccontextmanager
    async def enqueuing(folder: Path, _slots: int | None) -> AsyncIterator[Enqueue]:
        _, task = _huey(folder, options)

        async def enqueue(number: int) -> None:
            task(number)

        yield enqueue

    return enqueuing


def _huey_working(**options: Any) -> Callable[[Path, int | None], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def working(folder: Path, slots: int | None) -> AsyncIterator[None]:
        huey, _ = _huey(folder, options)
        consumer = huey.create_consumer(workers=slots or 1)
        consumer.start()
        yield
        consumer.stop()

    return working


def _dbos(folder: Path, queues: list[str]) -> tuple[Any, Callable[..., Any]]:
    dbos: Any = import_module("dbos").DBOS
    dbos(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{folder / 'tasks.db'}",
            "application_version": "1",
            "log_level": "ERROR",
        }
    )

    async def task(number: int) -> None:
        await MARKS.task(number)

    workflow = dbos.workflow(name="task")(task)
    dbos.listen_queues(queues)
    dbos.launch()
    return dbos, workflow


@asynccontextmanager
async def _dbos_enqueuing(folder: Path, slots: int | None) -> AsyncIterator[Enqueue]:
    dbos, workflow = _dbos(folder, [])
    await dbos.register_queue_async("tasks", worker_concurrency=slots)

    async def enqueue(number: int) -> None:
        await dbos.enqueue_workflow_async("tasks", workflow, number)

    yield enqueue
    dbos.destroy()


@asynccontextmanager
async def _dbos_working(folder: Path, _slots: int | None) -> AsyncIterator[None]:
    dbos, _ = _dbos(folder, ["tasks"])  # the queue is registered, and says how many slots there are
    yield
    dbos.destroy()


BG_DI: Final = Peer(name="bg_di", package="bg_di", enqueuing=_bg_di_enqueuing, working=_bg_di_working)
PEERS: Final = (
    BG_DI,
    Peer(name="huey as it comes", package="huey", enqueuing=_huey_enqueuing(), working=_huey_working()),
    Peer(
        name="huey with fsync",
        package="huey",
        enqueuing=_huey_enqueuing(fsync=True),
        working=_huey_working(fsync=True),
    ),
    Peer(name="DBOS", package="dbos", enqueuing=_dbos_enqueuing, working=_dbos_working, pace=5),
)


def installed() -> list[Peer]:
    """What can be measured here."""
    return [peer for peer in PEERS if peer.is_installed]


def peer_of(name: str) -> Peer:
    return next(peer for peer in PEERS if peer.name == name)
