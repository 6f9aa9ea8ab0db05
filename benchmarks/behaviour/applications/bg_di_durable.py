"""bg_di with its tasks on a SQLite file, which is the next thing in this application's configuration."""

import os

from ellar.app import AppFactory
from ellar.common import Module, ModuleRouter
from ellar.core import ModuleBase

from benchmarks.behaviour.work import log, note
from bg_di import BackgroundTasks, BackgroundTasksModule, background_task
from bg_di.backends.sqlite import SqliteBackend

log()


@background_task
async def slow(stage: str) -> None:
    await note(stage, "running")
    await note(stage, "ended")


router = ModuleRouter()


@router.get("/slow")
async def adds_slow(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(slow, stage)
    return {}


DURABLE = BackgroundTasksModule.setup(
    name="shop",
    tasks=[slow],
    backends={"durable": SqliteBackend(os.path.join(os.environ["FOLDER"], "tasks.db"))},
    default_backend="durable",
)


@Module(modules=[DURABLE], routers=[router])
class Shop(ModuleBase): ...


app = AppFactory.create_from_app_module(Shop)
