"""Promise 6: what a handler adds stands and falls with it; what is dropped is named, with the reason."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from ellar.common import (
    EllarInterceptor,
    GuardCanActivate,
    IExecutionContext,
    IHostContext,
    Inject,
    UseGuards,
    UseInterceptors,
    exception_handler,
    get,
    middleware,
)
from ellar.core import WebSocket
from ellar.di import injectable, singleton_scope
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.websockets import WebSocketDisconnect

from bg_di import BackgroundTasks, BackgroundTasksModule, Retry, current_background_tasks
from tests.harness import Client, Log, Socket, application, module, request, websocket, wrap

RUN_AFTER = pytest.mark.parametrize("run_after", ["response", "request"])


def named(into: list[str], name: str) -> Callable[[], Any]:
    async def task() -> None:
        into.append(name)

    task.__qualname__ = name
    return task


@RUN_AFTER
@pytest.mark.parametrize("status", [200, 204, 302, 404, 500])
async def test_a_returned_response_is_a_success_whatever_its_status(status: int, run_after: str) -> None:
    """The handler returned and its result became a response."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        tasks.add_task(named(ran, "task"))
        return Response(status_code=status)

    app = application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after))
    assert (await request(app, "/")).status == status
    assert ran == ["task"]


@RUN_AFTER
@pytest.mark.parametrize("error", [ZeroDivisionError("x"), HTTPException(409)], ids=["unexpected", "HTTPException"])
async def test_a_handler_that_raises_drops_its_tasks(error: Exception, run_after: str, log: Log) -> None:
    """Also if an exception handler makes a response of it."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(named(ran, "task"))
        raise error

    await request(application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after)), "/")
    assert ran == []
    assert log.messages == [
        f"background task {__name__}:task of GET / was dropped: its route failed with {type(error).__name__}"
    ]


async def test_a_result_that_cannot_become_a_response_drops_them_too(log: Log) -> None:
    """The handler returned, but its result did not become a response."""
    ran: list[str] = []

    @get("/", response={200: dict[str, int]})
    async def handler(tasks: BackgroundTasks) -> Any:
        tasks.add_task(named(ran, "task"))
        return {"not": "a number"}

    assert (await request(application(handler), "/")).status != 200
    assert ran == []
    assert len(log.messages) == 1


@RUN_AFTER
async def test_a_stream_that_breaks_by_its_own_error_drops_what_has_not_started(run_after: str, log: Log) -> None:
    """It is the handler's failure, though the status has gone out."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"x"
            tasks.add_task(named(ran, "from the stream"))
            raise ZeroDivisionError

        tasks.add_task(named(ran, "from the handler"))
        return StreamingResponse(body())

    client = await request(application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after)), "/")
    assert client.status == 200
    assert ran == []
    assert log.messages == [
        f"background task {__name__}:from the {where} of GET / was dropped: its route failed with ZeroDivisionError"
        for where in ("handler", "stream")
    ]


@RUN_AFTER
async def test_what_guards_middleware_and_exception_handlers_add_is_theirs(run_after: str, log: Log) -> None:
    """The handler fails, and only what it and its interceptors added is dropped."""
    ran: list[str] = []

    def add(name: str) -> None:
        current_background_tasks().add_task(named(ran, name))

    @injectable(scope=singleton_scope)
    class Guard(GuardCanActivate):
        async def can_activate(self, context: IExecutionContext) -> bool:
            add("guard")
            return True

    @injectable(scope=singleton_scope)
    class Interceptor(EllarInterceptor):
        async def intercept(self, context: IExecutionContext, next_interceptor: Callable[..., Any]) -> Any:
            add("interceptor")
            return await next_interceptor()

    @get("/")
    @UseGuards(Guard)
    @UseInterceptors(Interceptor)
    async def handler() -> None:
        add("handler")
        raise ZeroDivisionError

    async def around(cls: Any, context: IHostContext, call_next: Callable[..., Any]) -> None:
        add("before")
        await call_next()
        add("after")

    async def handle(cls: Any, ctx: IHostContext, error: Exception) -> JSONResponse:
        add("exception handler")
        return JSONResponse({}, status_code=400)

    body = {"around": middleware()(around), "handle": exception_handler(ZeroDivisionError, app=True)(handle)}
    feature = module(routers=[handler], body=body)
    app = application(tasks=BackgroundTasksModule.setup(run_after=run_after), modules=[feature])
    log.records.clear()
    assert (await request(app, "/")).status == 400
    assert ran == ["before", "guard", "exception handler"]
    assert [message.split()[2] for message in log.messages] == [f"{__name__}:interceptor", f"{__name__}:handler"]


async def test_a_guard_that_refuses_keeps_its_tasks() -> None:
    """The handler was never entered."""
    ran: list[str] = []

    @injectable(scope=singleton_scope)
    class Guard(GuardCanActivate):
        def __init__(self, tasks: BackgroundTasks) -> None:
            self.tasks = tasks

        async def can_activate(self, context: IExecutionContext) -> bool:
            self.tasks.add_task(named(ran, "audit"))
            return False

    @get("/")
    @UseGuards(Guard)
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(named(ran, "handler"))

    assert (await request(application(handler), "/")).status == 403
    assert ran == ["audit"]


async def test_what_middleware_adds_while_the_response_streams_is_its_own(log: Log) -> None:
    """Under `BaseHTTPMiddleware` the route still runs when the middleware has its response."""
    ran: list[str] = []

    class Auditing(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            response = await call_next(request)
            current_background_tasks().add_task(named(ran, "audit"))
            return response

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"x"
            raise ZeroDivisionError

        tasks.add_task(named(ran, "handler"))
        return StreamingResponse(body())

    await request(wrap(application(handler), Middleware(Auditing)), "/")
    assert ran == ["audit"]
    assert len(log.messages) == 1


@pytest.mark.parametrize("leaves", ["reading", "sending"])
async def test_a_client_that_leaves_is_no_failure(leaves: str) -> None:
    """Neither where the handler reads its body, nor where a response is sent to nobody."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks, ctx: IExecutionContext) -> dict[str, str]:
        tasks.add_task(named(ran, "task"))
        if leaves == "reading":
            await ctx.switch_to_http_connection().get_request().body()
        return {}

    await Client(spec="2.4", leaves_after=0).request(application(handler), "/")
    assert ran == ["task"]


async def test_an_os_error_of_the_handler_is_one() -> None:
    """Only the server's `send` says that the client has gone."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(named(ran, "task"))
        raise OSError("disk full")

    await Client(spec="2.4").request(application(handler), "/")
    assert ran == []


async def test_a_websocket_that_ends_by_disconnect_succeeded() -> None:
    """The client closed the connection, that is how it ends."""
    ran: list[str] = []

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await websocket.accept()
        tasks.add_task(named(ran, "task"))
        await websocket.receive_text()

    socket = Socket()
    await socket.close()
    error = await socket.run(application(handler), "/ws")
    assert error is None or isinstance(error, WebSocketDisconnect)
    assert ran == ["task"]


@pytest.mark.parametrize(
    "policy", [{}, {"when": "always"}, {"retry": Retry(on=OSError, attempts=2)}], ids=["plain", "always", "retry"]
)
async def test_what_a_failing_task_of_a_connection_has_added_does_not_wait_for_its_end(policy: Any) -> None:
    """How the task has ended is known by then."""
    ran: list[str] = []

    async def fails(tasks: BackgroundTasks) -> None:
        current_background_tasks().using(when="failure").add_task(named(ran, "failure"))
        raise ZeroDivisionError

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await websocket.accept()
        tasks.using(**policy).add_task(fails, tasks)
        await tasks()
        ran.append("the rest of the connection")

    app = application(handler, tasks=BackgroundTasksModule.setup(on_error="continue"))
    assert await Socket().run(app, "/ws") is None
    assert ran == ["failure", "the rest of the connection"]


async def test_a_websocket_handler_that_raises_drops_what_waits(log: Log) -> None:
    """What `await tasks()` has run by then has run."""
    ran: list[str] = []

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await websocket.accept()
        tasks.add_task(named(ran, "before"))
        await tasks()
        tasks.add_task(named(ran, "waiting"))
        raise ZeroDivisionError

    assert isinstance(await Socket().run(application(handler), "/ws"), ZeroDivisionError)
    assert ran == ["before"]
    assert log.messages == [
        f"background task {__name__}:waiting of WEBSOCKET /ws was dropped: its route failed with ZeroDivisionError"
    ]


async def test_a_handler_that_a_middleware_gives_up_on_drops_its_tasks(log: Log) -> None:
    """A middleware that answers by itself when the handler takes too long has cancelled it."""
    ran: list[str] = []
    entered = anyio.Event()

    async def impatient(cls: Any, context: IHostContext, call_next: Callable[..., Any]) -> Any:
        with anyio.CancelScope() as scope:

            async def give_up() -> None:
                await entered.wait()
                scope.cancel()

            async with anyio.create_task_group() as group:
                group.start_soon(give_up)
                await call_next()
        return JSONResponse({}, status_code=504)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(named(ran, "task"))
        entered.set()
        await anyio.sleep_forever()

    app = application(modules=[module(routers=[handler], body={"impatient": middleware(app=True)(impatient)})])
    assert (await request(app, "/")).status == 504
    assert ran == []
    assert len(log.messages) == 1
    assert "was dropped: its route was cancelled" in log.messages[0]
