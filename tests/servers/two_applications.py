"""Two Ellar applications in one process, of the same three modules, which share the class of a singleton service."""

from functools import partial
from typing import Any

import anyio
from ellar.app import App, AppFactory
from ellar.common import Controller, ControllerBase, get
from ellar.di import ProviderConfig, injectable, singleton_scope
from starlette.background import BackgroundTasks
from starlette.types import Receive, Scope, Send

from bg_di import BackgroundTasksModule
from tests.harness import module
from tests.servers import logs
from tests.servers.stage import cue, cue_in_thread

logs.configure()


async def in_request(stage: str, name: str, request: int) -> None:
    """Say that a task runs, and whether where it should: in the task of the event loop that serves its request."""
    where = "here" if anyio.get_current_task().id == request else "elsewhere"
    await cue(stage, f"{name} {where}")


@injectable(scope=singleton_scope)
class Journal:
    """Keeps the collection that it was built with, as any singleton does."""

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._tasks = tasks

    async def write(self, stage: str, name: str, request: int) -> None:
        self._tasks.add_task(in_request, stage, f"{name} by the service", request)
        self._tasks.add_task(self._write_later, stage, name, request)

    async def _write_later(self, stage: str, name: str, request: int) -> None:
        self._tasks.add_task(in_request, stage, f"{name} by a task", request)


def feature(path: str) -> Any:
    """A module whose controller adds tasks in each way that there is."""

    class Routes(ControllerBase):
        def __init__(self, tasks: BackgroundTasks, journal: Journal) -> None:
            self._tasks = tasks
            self._journal = journal

        @get("/{stage}/{name}")
        async def route(self, stage: str, name: str, tasks: BackgroundTasks) -> dict[str, str]:
            request = anyio.get_current_task().id
            self._tasks.add_task(in_request, stage, f"{name} by the controller", request)
            await cue(stage, "handler")
            tasks.add_task(partial(cue_in_thread, stage), f"{name} by the handler")
            await self._journal.write(stage, name, request)
            return {"name": name}

    controller: Any = Controller
    return module(path, controllers=[controller(f"/{path}")(Routes)])


MODULES = [feature("first"), feature("second"), feature("third")]


def build(tasks: Any) -> App:
    return AppFactory.create_app(
        modules=[tasks, *MODULES],
        providers=[ProviderConfig(Journal, use_class=Journal, scope=singleton_scope)],
    )


APPLICATIONS = {
    "one": build(BackgroundTasksModule),
    "two": build(BackgroundTasksModule.setup(run_after="request")),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The first part of the path says which application is meant."""
    if scope["type"] != "http":
        await APPLICATIONS["one"](scope, receive, send)
        return
    _, application, *rest = scope["path"].split("/")
    await APPLICATIONS[application]({**scope, "path": "/".join(["", *rest])}, receive, send)
    _, stage, name = rest
    await cue(stage, f"{name} ended")
