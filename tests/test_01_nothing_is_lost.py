"""Promise 1: what was added runs exactly once, after the last byte, whatever the handler returns."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from ellar.common import Response, get
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bg_di import BackgroundTasks as OurBackgroundTasks
from bg_di import BackgroundTasksModule
from tests import results
from tests.harness import Client, application, concurrently, wrap

RUN_AFTER = pytest.mark.parametrize("run_after", ["response", "request"])


def app_with(*routes: Any, run_after: str = "response", middleware: list[Any] | None = None) -> Any:
    app = application(
        *routes, tasks=BackgroundTasksModule.setup(run_after=run_after), base_directory=results.DOCUMENT.parent
    )
    wrap(app, *(middleware or []))
    return app


@RUN_AFTER
@pytest.mark.parametrize("kind", results.KINDS)
async def test_tasks_run_once_in_order_after_the_last_byte(kind: str, run_after: str) -> None:
    """Whatever the handler returns, async and sync tasks run once, in order, when everything has been sent."""
    client = Client()

    async def task(name: str) -> None:
        client.timeline.append(name)

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, "first")
        tasks.add_task(client.timeline.append, "second")
        tasks.add_task(task, name="third")

    app = app_with(results.route(kind, add), run_after=run_after)
    await client.request(app, "/")
    assert client.error is None
    assert client.timeline == ["start", "last byte", "first", "second", "third"]


@RUN_AFTER
async def test_the_collection_as_background_of_the_response_runs_once(run_after: str) -> None:
    """A handler that hands the injected collection to its response changes nothing."""
    client = Client()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(client.timeline.append, "task")
        return JSONResponse({}, background=tasks)

    await client.request(app_with(handler, run_after=run_after), "/")
    assert client.timeline == ["start", "last byte", "task"]


@RUN_AFTER
async def test_the_own_background_of_a_response_runs_first(run_after: str) -> None:
    """What the response brings along runs before the collection."""
    client = Client()

    @get("/returned")
    async def returned(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(client.timeline.append, "collected")
        return JSONResponse({}, background=BackgroundTask(client.timeline.append, "own"))

    @get("/injected")
    async def injected(tasks: BackgroundTasks, res: Response) -> dict[str, str]:
        tasks.add_task(client.timeline.append, "collected")
        res.background = BackgroundTask(client.timeline.append, "own")
        return {}

    app = app_with(returned, injected, run_after=run_after)
    for path in ("/returned", "/injected"):
        client = Client()
        await client.request(app, path)
        assert client.timeline == ["start", "last byte", "own", "collected"]


async def test_a_shared_response_is_not_mutated() -> None:
    """Hundreds of requests answer with one response object, each runs its own tasks and none another's."""
    shared = JSONResponse({"shared": True})
    before = dict(vars(shared))
    ran: list[int] = []

    @get("/")
    async def handler(number: int, tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(ran.append, number)
        return shared

    app = application(handler)
    await concurrently([lambda n=n: Client().request(app, "/", query=f"number={n}") for n in range(200)])  # type: ignore[misc]
    assert sorted(ran) == list(range(200))
    assert vars(shared) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [([("range", "bytes=0-4")], 206), ([("range", "bytes=0-4,8-9")], 206), ([("range", "bytes=99999999-")], 416)],
)
async def test_ranges_of_a_file_cost_no_task(headers: list[tuple[str, str]], status: int) -> None:
    """Starlette does not run the background of an unsatisfiable range; the collected tasks run all the same."""
    client = Client()

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")

    await client.request(app_with(results.route("file", add)), "/", headers=headers)
    assert client.status == status
    assert client.timeline == ["start", "last byte", "task"]


async def test_a_file_handed_to_the_server_by_path_is_a_last_byte() -> None:
    """With ASGI's pathsend extension the file's path is the last message."""
    client = Client(extensions={"http.response.pathsend": {}})

    @get("/")
    async def handler(tasks: BackgroundTasks) -> FileResponse:
        tasks.add_task(client.timeline.append, "task")
        return FileResponse(results.DOCUMENT)

    await client.request(app_with(handler), "/")
    assert client.messages[-1]["type"] == "http.response.pathsend"
    assert client.timeline == ["start", "last byte", "task"]


async def test_trailers_come_before_the_tasks() -> None:
    """If the response has trailers, the last of them is the last byte."""
    client = Client()

    class WithTrailers(StarletteResponse):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b"x"})
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": True})
            await send({"type": "http.response.trailers", "headers": []})

    @get("/")
    async def handler(tasks: BackgroundTasks) -> StarletteResponse:
        tasks.add_task(client.timeline.append, "task")
        return WithTrailers()

    await client.request(app_with(handler), "/")
    assert client.timeline == ["start", "last byte", "task"]


async def test_what_a_streaming_generator_adds_runs_too() -> None:
    """Tasks are collected until the stream has ended."""
    client = Client()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            tasks.add_task(client.timeline.append, "before")
            yield b"chunk"
            tasks.add_task(client.timeline.append, "after")

        return StreamingResponse(body())

    await client.request(app_with(handler), "/")
    assert client.timeline == ["start", "last byte", "before", "after"]


async def test_what_a_task_adds_runs_behind_the_rest() -> None:
    """Tasks may add tasks, which may add tasks."""
    client = Client()

    @get("/")
    async def handler(tasks: OurBackgroundTasks) -> None:
        async def add(depth: int) -> None:
            client.timeline.append(depth)
            if depth < 3:
                tasks.add_task(add, depth + 1)

        tasks.add_task(add, 1)
        tasks.add_task(client.timeline.append, "second")

    await client.request(app_with(handler), "/")
    assert client.timeline[2:] == [1, "second", 2, 3]


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> StarletteResponse:
        return await call_next(request)


class Rewriting(BaseHTTPMiddleware):
    """Answers with a stream of its own, which listens for the client's leaving and stops then."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> StarletteResponse:
        response: Any = await call_next(request)
        return StreamingResponse(response.body_iterator, response.status_code)


class Buffering:
    """Holds everything back until the application has returned."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self.app(scope, receive, hold)
        for message in held:
            await send(message)


STACKS: dict[str, list[Any]] = {
    "nothing": [],
    "BaseHTTPMiddleware": [Middleware(Passing)],
    "two BaseHTTPMiddlewares": [Middleware(Passing), Middleware(Passing)],
    "rewriting": [Middleware(Rewriting)],
    "buffering": [Middleware(Buffering)],
    "gzip": [Middleware(GZipMiddleware, minimum_size=1)],
    "gzip in BaseHTTPMiddleware": [Middleware(Passing), Middleware(GZipMiddleware, minimum_size=1)],
}


@RUN_AFTER
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("kind", ["dict", "stream", "file", "sent by hand"])
async def test_a_slow_send_is_waited_for_under_any_middleware(kind: str, stack: str, run_after: str) -> None:
    """No task starts before the server has taken the last byte, however long that takes, and none is cancelled."""

    async def slowly(message: Message) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()

    client = Client(before_send=slowly)

    async def task(name: str) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        client.timeline.append(name)

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, "first")
        tasks.add_task(task, "second")

    app = app_with(results.route(kind, add), run_after=run_after, middleware=STACKS[stack])
    with anyio.fail_after(10):
        await client.request(app, "/", headers=[("accept-encoding", "gzip")])
    assert client.error is None
    assert client.timeline == ["start", "last byte", "first", "second"]


@RUN_AFTER
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("kind", ["dict", "stream"])
async def test_a_sender_that_is_told_the_client_has_gone_before_send_returns_costs_no_task(
    kind: str, stack: str, run_after: str
) -> None:
    """It is then about to be cancelled, so the tasks do not run there."""

    async def linger(message: Message) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()

    client = Client(after_send=linger)

    async def task(name: str) -> None:
        await linger({})
        client.timeline.append(name)

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, "first")
        tasks.add_task(task, "second")

    app = app_with(results.route(kind, add), run_after=run_after, middleware=STACKS[stack])
    with anyio.fail_after(10):
        await client.request(app, "/")
    assert client.error is None
    assert client.timeline == ["start", "last byte", "first", "second"]


@RUN_AFTER
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("leaves_after", [0, 1, 2])
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("kind", ["dict", "stream", "file"])
async def test_a_client_that_leaves_costs_no_task(
    kind: str, stack: str, leaves_after: int, spec: str, run_after: str
) -> None:
    """Before, during or after the response, on servers that say so by an `OSError` and on those that do not."""
    client = Client(spec=spec, leaves_after=leaves_after)
    ran: list[str] = []

    async def task(name: str) -> None:
        await anyio.lowlevel.checkpoint()
        ran.append(name)

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, "first")
        tasks.add_task(ran.append, "second")

    app = app_with(results.route(kind, add), run_after=run_after, middleware=STACKS[stack])
    with anyio.fail_after(10):
        await client.request(app, "/", headers=[("accept-encoding", "gzip")])
    assert ran == ["first", "second"]
