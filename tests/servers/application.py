"""The application that the servers run. What happens in it is directed by the stage that a request names."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
from ellar.app import AppFactory
from ellar.common import IHostContext, Inject, Module, ModuleRouter, exception_handler
from ellar.core import Config, ModuleBase
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import INJECTED, BackgroundTasksModule, Retry, TaskContext, background_task
from tests.servers import logs
from tests.servers.failing import ERRORS, FAILING, HandledByApplication, HandledByModule, argument, message
from tests.servers.stage import cue, cue_in_thread

logs.configure()
router = ModuleRouter()


@router.get("/{stage}/{error}/{kind}/collected")
async def collected(stage: str, error: str, kind: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(FAILING[kind], stage, error, argument())
    return {}


@router.get("/{stage}/{error}/{kind}/own")
async def own(stage: str, error: str, kind: str) -> JSONResponse:
    return JSONResponse({}, background=BackgroundTask(FAILING[kind], stage, error, argument()))


@router.get("/{stage}/{error}/{kind}/injected")
async def injected(stage: str, error: str, kind: str, res: Response) -> dict[str, str]:
    res.background = BackgroundTask(FAILING[kind], stage, error, argument())
    return {}


@router.get("/{stage}/{error}/raised")
async def raised(stage: str, error: str) -> None:
    raise ERRORS[error](message(stage))


@router.get("/{stage}/held")
async def held(stage: str) -> dict[str, str]:
    await cue(stage, "handler")
    return {}


def add_two(tasks: BackgroundTasks, stage: str) -> None:
    tasks.add_task(cue, stage, "first")
    tasks.add_task(cue_in_thread, stage, "second")


@router.get("/{stage}/answered")
async def answered(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    add_two(tasks, stage)
    return {}


@router.get("/{stage}/left")
async def left(stage: str, req: Request, tasks: BackgroundTasks) -> dict[str, str]:
    add_two(tasks, stage)
    await cue(stage, "handler")
    while (await req.receive())["type"] != "http.disconnect":
        pass
    return {}


@router.post("/{stage}/reading")
async def reading(stage: str, req: Request, tasks: BackgroundTasks) -> dict[str, int]:
    add_two(tasks, stage)
    await cue(stage, "handler")
    return {"length": len(await req.body())}


@router.get("/{stage}/streaming")
async def streaming(stage: str, tasks: BackgroundTasks) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        add_two(tasks, stage)
        yield "chunk"
        await cue(stage, "stream")
        while True:
            await anyio.sleep(0)
            yield "chunk"

    return StreamingResponse(chunks())


@router.get("/{stage}/streamed")
async def streamed(stage: str, tasks: BackgroundTasks) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        add_two(tasks, stage)
        yield "chunk"

    return StreamingResponse(chunks())


async def forever(stage: str) -> None:
    await cue(stage, "running")
    await anyio.Event().wait()


@router.get("/{stage}/forever")
async def adds_forever(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(forever, stage)
    add_two(tasks, stage)
    return {}


@router.get("/{stage}/blocked")
async def adds_blocked(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(cue_in_thread, stage, "running")
    add_two(tasks, stage)
    return {}


@background_task(name="slow", timeout=0.1)
async def slow(stage: str) -> None:
    await forever(stage)


@background_task(name="flaky", retry=Retry(on=OSError, attempts=3, wait_initial=0.01, wait_max=0.05, wait_jitter=0))
async def flaky(stage: str, context: Inject[TaskContext] = INJECTED) -> None:
    await cue(stage, f"attempt {context.attempt}")
    if context.attempt < 3:
        raise OSError


@background_task(name="waiting", retry=Retry(on=OSError, timeout=None, wait_initial=3000, wait_max=3000))
async def waiting(stage: str) -> None:
    await cue(stage, "running")
    raise OSError


@background_task(name="cleaning")
async def cleaning(stage: str, stack: Inject[AsyncExitStack] = INJECTED) -> None:
    stack.push_async_callback(cue, stage, "clean")
    await forever(stage)


POLICIES: dict[str, Any] = {"slow": slow, "flaky": flaky, "waiting": waiting, "cleaning": cleaning}


@router.get("/{stage}/declared/{name}")
async def adds_declared(stage: str, name: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(POLICIES[name], stage)
    tasks.add_task(declared_always, stage)
    return {}


@background_task(when="always")
async def declared_always(stage: str) -> None:
    await cue(stage, "always")


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


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


async def hold_back(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Stream a response when all of it is there; that stops as soon as the client has gone or has everything."""
    response: Any = await call_next(request)
    chunks = [chunk async for chunk in response.body_iterator]
    # With the length: granian cuts off the end of some chunked responses of this kind, also without our module.
    headers = {**response.headers, "content-length": str(sum(map(len, chunks)))}
    return StreamingResponse(iter(chunks), response.status_code, headers)


class Through:
    """Lets a request go through the middleware that it asks for by name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._through = {f.__name__: BaseHTTPMiddleware(app, f) for f in (pass_on, hold_back)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope.get("headers", ())).get(b"through", b"").decode()
        await self._through.get(name, self._app)(scope, receive, send)


class Application:
    """The Ellar application, and a cue when it is done with a request, the tasks included."""

    def __init__(self, *modules: Any) -> None:
        stack = [Middleware(Through), Middleware(GZipMiddleware, minimum_size=1), *Config().MIDDLEWARE]
        config = {"MIDDLEWARE": stack}
        self._app = AppFactory.create_app(modules=[*modules, Feature], config_module=config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _, stage, name = scope["path"].split("/", 2)
        try:
            await self._app(scope, receive, send)
        except Exception:
            await cue(stage, f"{name} ended")
            raise
        await cue(stage, f"{name} ended")


def built_in() -> Application:
    """Without our module: Ellar's own feature."""
    return Application()


app = Application(BackgroundTasksModule)
