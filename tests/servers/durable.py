"""The application whose tasks are on an engine. Which, and how it is set up, an environment variable says."""

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from ellar.app import App, AppFactory
from ellar.common import IApplicationShutdown, IApplicationStartup, Inject, Module, ModuleRouter
from ellar.core import ModuleBase, mount
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bg_di import INJECTED, BackgroundTasks, BackgroundTasksModule, TaskContext, background_task
from bg_di.backends import Backend
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.sqlite import SqliteBackend
from tests.servers import logs
from tests.servers.files import SETTINGS
from tests.servers.stage import cue

_settings: dict[str, Any] = json.loads(os.environ[SETTINGS])
logs.configure(_settings.get("level", "WARNING"))
_is_new = _settings.get("version", "new") == "new"


@background_task(name="say", backend="durable")
async def say(stage: str, what: str) -> None:
    await cue(stage, what)


async def changed(stage: str, what: str, more: str = "as before") -> None:
    await cue(stage, f"{what} {more}")


async def unchanged(stage: str, what: str) -> None:
    await cue(stage, f"{what} as before")


@background_task(name="introduced", backend="durable")
async def introduced(stage: str, what: str) -> None:
    await cue(stage, f"{what} introduced")


@background_task(name="deliver", backend="durable")
async def deliver(stage: str, _: str, context: Inject[TaskContext] = INJECTED) -> None:
    await cue(stage, f"delivery {context.delivery}")


@background_task(name="work", backend="durable")
async def work(stage: str, what: str) -> None:
    await cue(stage, f"{what} in {os.getpid()}")
    await cue(stage, "working")


@background_task(name="hold", backend="durable")
async def hold(stage: str, what: str, context: Inject[TaskContext] = INJECTED) -> None:
    await cue(stage, f"{what} in {os.getpid()}, delivery {context.delivery}")
    await cue(stage, what)


@background_task(name="nothing", backend="durable")
async def nothing(stage: str, what: str) -> None: ...


TASKS: dict[str, Any] = {
    "say": say,
    "patient": say,
    "changed": background_task(name="changed", backend="durable")(changed if _is_new else unchanged),
    "deliver": deliver,
    "work": work,
    "hold": hold,
    "nothing": nothing,
}
if _is_new:
    TASKS["introduced"] = introduced

router = ModuleRouter("/")


@router.http_route("/{stage}/{task}/{what}", methods=["GET", "HEAD"])
async def add(stage: str, task: str, what: str, tasks: BackgroundTasks) -> str:
    await cue(stage, "handler")
    backend = "patient" if task == "patient" else "durable"
    return tasks.using(backend=backend).add_task(TASKS[task], stage, what).task_id


@router.get("/{stage}/changed/{what}/{more}")
async def add_changed(stage: str, what: str, more: str, tasks: BackgroundTasks) -> str:
    call: Any = tasks.using(when="success").add_task
    reference: str = call(changed, stage, what, more).task_id
    return reference


@router.get("/{stage}/many/{task}/{count}")
async def add_many(stage: str, task: str, count: int, tasks: BackgroundTasks) -> dict[str, int]:
    for number in range(count):
        tasks.add_task(TASKS[task], stage, str(number))
    return {"added": count}


@router.get("/{stage}/endless")
async def endless(stage: str, tasks: BackgroundTasks) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        while True:
            yield "chunk"

    tasks.add_task(say, stage, "task of the stream")
    return StreamingResponse(chunks())


@router.get("/{stage}/objects")
async def objects(stage: str) -> int:
    """What the process keeps in memory, without what is garbage."""
    gc.collect()
    return sys.getallocatedblocks()


class Hooks(ModuleBase, IApplicationStartup, IApplicationShutdown):
    """Say when the application starts and ends, if somebody wants to hear it."""

    async def on_startup(self, app: App) -> None:
        if stage := _settings.get("stage"):
            await cue(stage, "on_startup")

    async def on_shutdown(self) -> None:
        if stage := _settings.get("stage"):
            await cue(stage, "on_shutdown")


def backends() -> dict[str, Backend]:
    """On a broker, or on files."""
    backend = _settings.get("backend", {})
    if "url" in _settings:
        return {"durable": RabbitBackend(_settings["url"], **backend)}
    path, backend = _settings["path"], {"busy_timeout": 0.3, **backend}
    return {
        "durable": SqliteBackend(path, **backend),
        # Waits for as long as somebody else writes, and another file, so that nothing is mixed up.
        "patient": SqliteBackend(f"{path}-patient", **{**backend, "busy_timeout": 10}),
    }


def create(name: str) -> App:
    """An application of that name."""
    tasks = BackgroundTasksModule.setup(
        name=name + _settings.get("suffix", ""),
        tasks=list(dict.fromkeys(TASKS.values())),
        backends=backends(),
        retry_after=7,
        **_settings.get("options", {}),
    )
    root = type("Root", (ModuleBase,), {})
    hooks: Any = Module(name=f"Hooks of {name}")(type("HooksOfIt", (Hooks,), {}))
    return AppFactory.create_from_app_module(Module(modules=[tasks, hooks], routers=[router])(root))


class Ended:
    """Says when the application is done with an endless response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http" and scope["path"].endswith("/endless"):
                await cue(scope["path"].split("/")[1], "the stream ended")


shop = create("shop")
app = Ended(shop)


def mounted() -> ASGIApp:
    """In an application that knows nothing of it, and so runs no lifespan of it."""
    return AppFactory.create_app(routers=[mount("/inner", app)])


def several() -> ASGIApp:
    """Two applications on one engine, and one without our module; the first part of the path says which is meant."""
    plain = ModuleRouter("/")

    @plain.get("/{stage}/{what}")
    async def answer(stage: str, what: str) -> str:
        return what

    applications: dict[str, ASGIApp] = {
        "shop": shop,
        "office": create("office"),
        "plain": AppFactory.create_app(routers=[plain]),
    }

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await live(list(applications.values()), scope, receive, send)
            return
        _, application, *rest = scope["path"].split("/")
        await applications[application]({**scope, "path": "/".join(["", *rest])}, receive, send)

    return serve


async def live(applications: list[ASGIApp], scope: Scope, receive: Receive, send: Send) -> None:
    """Run the lifespans of all of them as one."""
    said: asyncio.Queue[Message] = asyncio.Queue()
    told: list[asyncio.Queue[Message]] = [asyncio.Queue() for _ in applications]
    async with asyncio.TaskGroup() as group:
        for application, messages in zip(applications, told, strict=True):
            group.create_task(application({**scope, "state": {}}, messages.get, said.put))  # type: ignore[arg-type]
        for _ in ("start-up", "shutdown"):
            message = await receive()
            for messages in told:
                await messages.put(message)
            answers = [await said.get() for _ in applications]
            await send(answers[-1])
