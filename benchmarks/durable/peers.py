"""The engines that do the same work on a file, in a folder that is the place of their tasks."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ellar.app import App

from benchmarks.durable.application import application
from benchmarks.engines.application import noop
from benchmarks.engines.marks import MARKS
from benchmarks.engines.ours import enqueuing_by, working_by
from benchmarks.engines.peer import Enqueue, Enqueuing, Peer, Working


def _huey(folder: str, options: dict[str, Any]) -> tuple[Any, Callable[[int], object]]:
    huey: Any = import_module("huey").SqliteHuey(filename=str(Path(folder, "tasks.db")), **options)

    def task(number: int) -> None:
        MARKS.task_in_thread(number)

    return huey, huey.task()(task)


def _huey_enqueuing(**options: Any) -> Enqueuing:
    @asynccontextmanager
    async def enqueuing(folder: str, _slots: int | None) -> AsyncIterator[Enqueue]:
        _, task = _huey(folder, options)

        async def enqueue(number: int) -> None:
            task(number)

        yield enqueue

    return enqueuing


def _huey_working(**options: Any) -> Working:
    @asynccontextmanager
    async def working(folder: str, slots: int | None) -> AsyncIterator[None]:
        huey, _ = _huey(folder, options)
        consumer = huey.create_consumer(workers=slots or 1)
        consumer.start()
        yield
        consumer.stop()

    return working


def _dbos(folder: str, queues: list[str]) -> tuple[Any, Callable[..., Any]]:
    dbos: Any = import_module("dbos").DBOS
    dbos(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{Path(folder, 'tasks.db')}",
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
async def _dbos_enqueuing(folder: str, slots: int | None) -> AsyncIterator[Enqueue]:
    dbos, workflow = _dbos(folder, [])
    await dbos.register_queue_async("tasks", worker_concurrency=slots)

    async def enqueue(number: int) -> None:
        await dbos.enqueue_workflow_async("tasks", workflow, number)

    yield enqueue
    dbos.destroy()


@asynccontextmanager
async def _dbos_working(folder: str, _slots: int | None) -> AsyncIterator[None]:
    dbos, _ = _dbos(folder, ["tasks"])  # the queue is registered, and says how many slots there are
    yield
    dbos.destroy()


def _application(folder: str, slots: int) -> App:
    return application(Path(folder, "tasks.db"), concurrency=slots)


BG_DI: Final = Peer(
    name="bg_di",
    package="bg_di",
    home=__name__,
    enqueuing=enqueuing_by(_application, noop),
    working=working_by(_application),
)
PEERS: Final = (
    BG_DI,
    Peer(name="huey as it comes", package="huey", home=__name__, enqueuing=_huey_enqueuing(), working=_huey_working()),
    Peer(
        name="huey with fsync",
        package="huey",
        home=__name__,
        enqueuing=_huey_enqueuing(fsync=True),
        working=_huey_working(fsync=True),
    ),
    Peer(name="DBOS", package="dbos", home=__name__, enqueuing=_dbos_enqueuing, working=_dbos_working, pace=5),
)
