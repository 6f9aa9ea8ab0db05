"""The application that the servers run. What happens in it is directed by the stage that a request names."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from ellar.app import App, AppFactory
from ellar.common import IHostContext, Module, ModuleRouter, exception_handler
from ellar.core import Config, ModuleBase
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bg_di import BackgroundTasksModule
from tests.servers import logs
from tests.servers.stage import cue, cue_in_thread

logs.configure()
router = ModuleRouter()


class HandledByModule(Exception):
    """The module of the routes has a handler for it."""


class HandledByApplication(Exception):
    """The whole application has a handler for it."""


ERRORS: dict[str, Any] = {
    "ValueError": ValueError,
    "HTTPException": lambda: HTTPException(404),
    "HandledByModule": HandledByModule,
    "HandledByApplication": HandledByApplication,
}


def argument() -> str:
    """What must not be logged; it is nowhere in the source, which tracebacks show."""
    return "-".join(("not", "for", "logs"))


async def fails(stage: int, error: str, _: str) -> None:
    await cue(stage, "task")
    raise ERRORS[error]()


def fails_in_thread(stage: int, error: str, _: str) -> None:
    cue_in_thread(stage, "task")
    raise ERRORS[error]()


FAILING = {"async": fails, "sync": fails_in_thread}


@router.get("/{stage}/{error}/{kind}/collected")
async def collected(stage: int, error: str, kind: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(FAILING[kind], stage, error, argument())
    return {}


@router.get("/{stage}/{error}/{kind}/own")
async def own(stage: int, error: str, kind: str) -> JSONResponse:
    return JSONResponse({}, background=BackgroundTask(FAILING[kind], stage, error, argument()))


@router.get("/{stage}/{error}/{kind}/injected")
async def injected(stage: int, error: str, kind: str, res: Response) -> dict[str, str]:
    res.background = BackgroundTask(FAILING[kind], stage, error, argument())
    return {}


@router.get("/{stage}/{error}/raised")
async def raised(error: str) -> None:
    raise ERRORS[error]()


@router.get("/{stage}/held")
async def held(stage: int) -> dict[str, str]:
    await cue(stage, "handler")
    return {}


def add_two(tasks: BackgroundTasks, stage: int) -> None:
    tasks.add_task(cue, stage, "first")
    tasks.add_task(cue_in_thread, stage, "second")


@router.get("/{stage}/answered")
async def answered(stage: int, tasks: BackgroundTasks) -> dict[str, str]:
    add_two(tasks, stage)
    return {}


@router.get("/{stage}/left-before")
async def left_before(stage: int, req: Request, tasks: BackgroundTasks) -> dict[str, str]:
    add_two(tasks, stage)
    await cue(stage, "handler")
    while (await req.receive())["type"] != "http.disconnect":
        pass
    return {}


@router.post("/{stage}/left-in-request")
async def left_in_request(stage: int, req: Request, tasks: BackgroundTasks) -> dict[str, int]:
    add_two(tasks, stage)
    await cue(stage, "handler")
    return {"length": len(await req.body())}


@router.get("/{stage}/left-during")
async def left_during(stage: int, tasks: BackgroundTasks) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        add_two(tasks, stage)
        yield "chunk"
        await cue(stage, "handler")
        while True:
            await anyio.sleep(0)
            yield "chunk"

    return StreamingResponse(chunks())


async def forever(stage: int) -> None:
    await cue(stage, "running")
    await anyio.Event().wait()


@router.get("/{stage}/forever")
async def adds_forever(stage: int, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(forever, stage)
    add_two(tasks, stage)
    return {}


@router.get("/{stage}/blocked")
async def adds_blocked(stage: int, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(cue_in_thread, stage, "running")
    add_two(tasks, stage)
    return {}


@Module(routers=[router])
class Feature(ModuleBase):
    @exception_handler(HandledByModule)
    async def handled_by_module(self, context: IHostContext, error: Exception) -> Response:
        return logs.handled("module", context, error)

    @exception_handler(HandledByApplication, app=True)
    async def handled_by_application(self, context: IHostContext, error: Exception) -> Response:
        return logs.handled("application", context, error)

    @exception_handler(404, app=True)
    async def not_found(self, context: IHostContext, error: Exception) -> Response:
        return logs.handled("404", context, error)

    @exception_handler(500, app=True)
    async def server_error(self, context: IHostContext, error: Exception) -> Response:
        return logs.handled("500", context, error)


class Application:
    """The Ellar application, and a cue when it is done with a request, the tasks included."""

    def __init__(self, *modules: Any) -> None:
        gzip = Middleware(GZipMiddleware, minimum_size=1)
        config = {"MIDDLEWARE": [gzip, *Config().MIDDLEWARE]}
        self._app = AppFactory.create_app(modules=[*modules, Feature], config_module=config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        _, stage, name = scope["path"].split("/", 2)
        try:
            await self._app(scope, receive, send)
        except Exception:
            await cue(int(stage), f"{name} ended")
            raise
        await cue(int(stage), f"{name} ended")


def built_in() -> Application:
    """Without our module: Ellar's own feature."""
    return Application()


app = Application(BackgroundTasksModule)
