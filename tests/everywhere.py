"""An application in which tasks for an engine are added wherever they can be."""

from typing import Any

from ellar.app import App
from ellar.common import (
    GuardCanActivate,
    IExecutionContext,
    IHostContext,
    UseGuards,
    exception_handler,
    get,
    head,
    middleware,
    post,
)
from ellar.core import mount
from ellar.di import injectable, singleton_scope
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import BackgroundTasks, current_background_tasks
from tests.handing_over import Engines, send
from tests.harness import module, wrap

# By path: the method, the status if all is accepted, and whom the tasks say that they were added by.
PLACES: dict[str, tuple[str, int, list[str]]] = {
    "/route": ("GET", 200, ["route"]),
    "/head": ("HEAD", 200, ["head"]),
    "/guarded": ("GET", 403, ["guard"]),
    "/raises": ("GET", 409, ["failure", "always"]),
    "/breaks": ("GET", 500, ["failure", "handler of 500"]),
    "/nowhere": ("GET", 404, ["handler of 404"]),
    "/posted": ("GET", 405, []),
    "/middled": ("GET", 200, ["module middleware", "middled"]),
    "/star/x": ("GET", 200, ["mounted"]),
}


def add(name: str) -> None:
    current_background_tasks().add_task(send, name)


class Adding:
    """A middleware that adds a task before it goes on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        add("middleware")
        await self.app(scope, receive, send)


async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    add("dispatch")
    return response


# What may stand around the application: middleware, and what it adds itself.
AROUND: dict[str, tuple[list[Middleware], list[str]]] = {
    "nothing": ([], []),
    "a middleware that adds": ([Middleware(Adding)], ["middleware"]),
    "BaseHTTPMiddleware": ([Middleware(BaseHTTPMiddleware, dispatch=dispatch)], ["dispatch"]),
    "GZipMiddleware": ([Middleware(GZipMiddleware, minimum_size=1)], []),
}


@injectable(scope=singleton_scope)
class AddsAndRefuses(GuardCanActivate):
    async def can_activate(self, context: IExecutionContext) -> bool:
        add("guard")
        return False


def everywhere(engines: Engines, around: str = "nothing", **options: Any) -> App:
    """The application."""

    @get("/route")
    async def route(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(send, "route")
        return {}

    @head("/head")
    async def headed(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "head")

    @get("/guarded")
    @UseGuards(AddsAndRefuses)
    async def guarded() -> None: ...

    @get("/raises")
    async def raises(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "dropped")
        tasks.using(when="failure").add_task(send, "failure")
        tasks.using(when="always").add_task(send, "always")
        raise HTTPException(409)

    @get("/breaks")
    async def breaks(tasks: BackgroundTasks) -> None:
        tasks.using(when="failure").add_task(send, "failure")
        raise ZeroDivisionError

    @post("/posted")
    async def posted() -> None: ...

    @get("/middled")
    async def middled() -> None:
        add("middled")

    async def around_module(cls: Any, ctx: IHostContext, call_next: Any) -> None:
        if ctx.switch_to_http_connection().get_request().url.path == "/middled":
            add("module middleware")
        await call_next()

    async def not_found(cls: Any, ctx: IHostContext, error: Exception) -> Response:
        add("handler of 404")
        return JSONResponse({}, status_code=404)

    async def server_error(cls: Any, ctx: IHostContext, error: Exception) -> Response:
        add("handler of 500")
        return JSONResponse({}, status_code=500)

    async def endpoint(request: Request) -> Response:
        add("mounted")
        return PlainTextResponse("mounted")

    body = {
        "around": middleware()(around_module),
        "not_found": exception_handler(404, app=True)(not_found),
        "server_error": exception_handler(500, app=True)(server_error),
    }
    star = mount("/star", Starlette(routes=[Route("/x", endpoint)]))
    feature = module(routers=[route, headed, guarded, raises, breaks, posted, middled, star], body=body)
    app = engines.application(modules=[feature], options={"run_after": "request", **options})
    return wrap(app, *AROUND[around][0])
