"""Promise 7: inside the response, or after the whole middleware stack."""

from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest
from ellar.common import IHostContext, get, middleware
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import BackgroundTasks, BackgroundTasksModule
from tests.harness import Client, Log, application, module, wrap


def application_with_middleware(client: Client, run_after: str) -> Any:
    async def around(cls: Any, context: IHostContext, call_next: Callable[..., Any]) -> None:
        await call_next()
        client.timeline.append("module middleware left")

    class Outer:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            client.timeline.append("stack left")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")

    feature = module("Sessions", routers=[handler], body={"around": middleware()(around)})
    app = application(tasks=BackgroundTasksModule.setup(run_after=run_after), modules=[feature])
    wrap(app, Middleware(Outer))
    return app


async def test_response_runs_them_inside_the_response() -> None:
    """As Starlette does: while everything around the route is still open."""
    client = Client()
    await client.request(application_with_middleware(client, "response"), "/")
    assert client.timeline == ["start", "last byte", "task", "module middleware left", "stack left"]


async def test_request_runs_them_after_the_whole_middleware_stack() -> None:
    """What a middleware has opened is closed, the module's context is released."""
    client = Client()
    await client.request(application_with_middleware(client, "request"), "/")
    assert client.timeline == ["start", "last byte", "module middleware left", "stack left", "task"]


async def test_where_a_middleware_holds_the_last_byte_back_they_run_as_soon_as_it_has_gone() -> None:
    """In the outermost frame, before the middleware outside of the one that held it back goes on."""
    client = Client()

    class Holding(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    class Outer:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            client.timeline.append("stack left")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")

    app = application(handler)
    wrap(app, Middleware(Outer), Middleware(Holding))
    await client.request(app, "/")
    assert client.timeline == ["start", "last byte", "task", "stack left"]


@pytest.mark.parametrize("run_after", ["response", "request"])
def test_start_up_says_once_what_response_costs_with_module_middleware(run_after: str, log: Log) -> None:
    """Traps of Ellar: a shared module context, and sessions held by a long task."""
    application_with_middleware(Client(), run_after)
    if run_after == "request":
        assert log.messages == []
    else:
        [message] = log.messages
        assert "module middleware (Sessions)" in message
        assert "run_after='request'" in message


def test_without_module_middleware_start_up_says_nothing(log: Log) -> None:
    """There is nothing to warn of."""
    application()
    assert log.messages == []


async def test_a_middleware_that_leaves_early_costs_no_task(log: Log) -> None:
    """The frame is left while the route still runs in a task of its own; the route's end runs the tasks."""
    client = Client()
    release = anyio.Event()

    async with anyio.create_task_group() as outlives:

        class Early:
            def __init__(self, app: ASGIApp) -> None:
                self.app = app

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                outlives.start_soon(cast(Any, self.app), scope, receive, send)
                await entered.wait()

        entered = anyio.Event()

        @get("/{outcome}")
        async def handler(outcome: str, tasks: BackgroundTasks) -> None:
            tasks.add_task(client.timeline.append, "task")
            entered.set()
            await release.wait()

        app = application(handler)
        wrap(app, Middleware(Early))
        await client.request(app, "/x")
        client.timeline.append("frame left")
        release.set()
    assert client.timeline == ["frame left", "start", "last byte", "task"]
    assert log.messages == []
