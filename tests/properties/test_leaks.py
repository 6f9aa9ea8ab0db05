"""Promise 3, at its end: nothing of a request outlives it."""

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from ellar.app import App
from ellar.common import get
from ellar.core import Config
from ellar.core.exceptions import as_exception_handler
from ellar.core.middleware import Middleware
from ellar.di import ProviderConfig
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import TaskErrorHandler, TaskFailure, current_background_tasks
from bg_di.calls.task import Origin
from bg_di.edge.connection import ConnectionTasks
from tests.harness import Client, application, concurrently

serving: ContextVar[anyio.CancelScope] = ContextVar("serving")
carried: ContextVar[object] = ContextVar("carried")


class Handled(Exception):
    """What has an exception handler."""


class Witness:
    """Something of the request's own, in its context and in a frame of its middleware."""


@as_exception_handler(Handled)
async def exception_handler(context: Any, error: Exception) -> JSONResponse:
    current_background_tasks().add_task(works)
    return JSONResponse({}, status_code=418)


async def works() -> None: ...


async def suspends() -> None:
    await anyio.lowlevel.checkpoint()


def works_in_a_thread() -> None: ...


async def fails() -> None:
    current_background_tasks().add_task(works)
    raise ValueError


async def fails_suspended() -> None:
    await anyio.lowlevel.checkpoint()
    raise ValueError


def fails_in_a_thread() -> None:
    raise ValueError


async def adds_another(left: int) -> None:
    if left:
        current_background_tasks().add_task(adds_another, left - 1)


async def is_cancelled() -> None:
    serving.get().cancel()
    await anyio.sleep_forever()


class Chunks:
    """A stream; not a generator, which nobody closes when the client leaves."""

    def __init__(self, tasks: BackgroundTasks, *, breaks: bool = False) -> None:
        self.tasks = tasks
        self.breaks = breaks
        self.left = [b"two", b"one"]

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> bytes:
        self.tasks.add_task(works)
        if not self.left:
            raise ValueError if self.breaks else StopAsyncIteration
        return self.left.pop()


TASKS: dict[str, Callable[[BackgroundTasks], None]] = {
    "async": lambda tasks: tasks.add_task(works),
    "suspending": lambda tasks: tasks.add_task(suspends),
    "sync": lambda tasks: tasks.add_task(works_in_a_thread),
    "failing": lambda tasks: tasks.add_task(fails),
    "failing-suspended": lambda tasks: tasks.add_task(fails_suspended),
    "failing-sync": lambda tasks: tasks.add_task(fails_in_a_thread),
    "adding": lambda tasks: tasks.add_task(adds_another, 3),
    "cancelled": lambda tasks: tasks.add_task(is_cancelled),
}


def adding(name: str) -> Any:
    @get(f"/{name}")
    async def handler(tasks: BackgroundTasks) -> dict[str, bool]:
        TASKS[name](tasks)
        tasks.add_task(works)
        return {}

    return handler


@get("/handler-sync")
def sync_handler(tasks: BackgroundTasks) -> dict[str, bool]:
    tasks.add_task(works)
    return {}


@get("/handler-failing")
async def failing_handler(tasks: BackgroundTasks) -> None:
    tasks.add_task(works)
    raise ValueError


@get("/handler-handled")
async def handled(tasks: BackgroundTasks) -> None:
    tasks.add_task(works)
    raise Handled


@get("/handler-cancelled")
async def cancelled(tasks: BackgroundTasks) -> None:
    tasks.add_task(works)
    await is_cancelled()


@get("/stream")
async def stream(tasks: BackgroundTasks) -> StreamingResponse:
    return StreamingResponse(Chunks(tasks))


@get("/stream-broken")
async def broken_stream(tasks: BackgroundTasks) -> StreamingResponse:
    return StreamingResponse(Chunks(tasks, breaks=True))


@get("/background-failing")
async def failing_background(tasks: BackgroundTasks) -> JSONResponse:
    tasks.add_task(works)
    return JSONResponse({}, background=BackgroundTask(fails))


@get("/background-collection")
async def collection_as_background(tasks: BackgroundTasks) -> JSONResponse:
    tasks.add_task(works)
    return JSONResponse({}, background=tasks)


@get("/handler-failing-sync")
def failing_sync_handler(tasks: BackgroundTasks) -> None:
    tasks.add_task(works)
    raise ValueError


@get("/stream-sync")
async def sync_stream(tasks: BackgroundTasks) -> StreamingResponse:
    tasks.add_task(works)
    return StreamingResponse(iter([b"one", b"two"]))


class KeepsAWitness:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        witness = Witness()
        carried.set(witness)
        await self.app(scope, receive, send)


ROUTES = [
    *map(adding, TASKS),
    sync_handler,
    failing_handler,
    handled,
    cancelled,
    stream,
    broken_stream,
    failing_background,
    collection_as_background,
    failing_sync_handler,
    sync_stream,
]
PATHS = [
    *(f"/{name}" for name in TASKS),
    *("/handler-sync", "/handler-failing", "/handler-handled", "/handler-cancelled", "/stream"),
    *("/background-failing", "/background-collection"),
]
REQUESTS: list[tuple[str, Callable[[], Client]]] = [
    ("/stream-broken", partial(Client, spec="2.4")),
    *((path, Client) for path in PATHS),
    *((path, partial(Client, spec="2.4", leaves_after=1)) for path in PATHS),
]
# anyio (and trio) keep an exception of a thread in a cycle with the frame that awaited it, a finished sync iterator is
# one; Starlette keeps one out of a task group in a cycle with its group.
KEPT_BY_OTHERS = ["/handler-failing-sync", "/stream-sync", "/stream-broken"]


def alive(kind: type) -> list[object]:
    """The instances that there are. By their type, as Ellar's lazy objects claim to be what they stand for."""
    return [one for one in gc.get_objects() if issubclass(type(one), kind)]


def new(kind: type, known: list[object]) -> int:
    """How many instances there are that are not known; other tests may have left some."""
    return len({id(one) for one in alive(kind)} - {id(one) for one in known})


async def serve(app: App, path: str, make_client: Callable[[], Client]) -> None:
    """One request in its own task; its handler or a task of it may cancel it."""
    with anyio.CancelScope() as scope:
        serving.set(scope)
        client = make_client()
        await client.request(app, path)
        client.error = None


async def settle() -> None:
    """Let the event loop and the worker threads let go of what they have just run."""
    for _ in range(3):
        await anyio.to_thread.run_sync(works_in_a_thread)
        await suspends()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody keeps what is logged: a traceback would keep the request."""
    monkeypatch.setattr(logging.getLogger("bg_di"), "filters", [lambda record: False])


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def app() -> App:
    return application(
        *ROUTES,
        config={
            "EXCEPTION_HANDLERS": [exception_handler],
            "MIDDLEWARE": [Middleware(KeepsAWitness), *Config().MIDDLEWARE],
        },
    )


async def round_of_requests(app: App) -> None:
    await concurrently([partial(serve, app, path, client) for path, client in REQUESTS])


async def test_no_collection_outlives_its_request(app: App) -> None:
    """Whatever fails, leaves or is cancelled, nothing waits for the cycle collector."""
    known = alive(Origin)
    for _ in range(10):
        await round_of_requests(app)
    await settle()
    assert new(Origin, known) == 0


class Breaking(TaskErrorHandler):
    """Fails as soon as it has started, or after it was suspended."""

    async def handle(self, failure: TaskFailure) -> None:
        if failure.path == "/failing-suspended":
            await anyio.lowlevel.checkpoint()
        raise RuntimeError from failure.error


@pytest.mark.parametrize("path", ["/failing", "/failing-suspended", "/failing-sync"])
async def test_no_collection_outlives_an_error_handler_that_fails(path: str) -> None:
    """It runs in the context of the task, whose error it may have chained to its own."""
    app = application(*ROUTES, providers=[ProviderConfig(TaskErrorHandler, use_class=Breaking)])
    known = alive(Origin)
    await concurrently([partial(serve, app, path, Client)] * 3)
    await settle()
    assert new(Origin, known) == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_ten_thousand_requests_leave_nothing(app: App) -> None:
    """No collection is alive without the collector's help, and memory does not grow."""
    known, blocks = alive(Origin), list[int]()
    for _ in range(5):
        for _ in range(2_000 // len(REQUESTS) + 1):
            await round_of_requests(app)
        await settle()
        assert new(Origin, known) == 0
        # Ellar's own cycle of each request: the scope and the version resolver in it.
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert blocks[-1] - blocks[0] < 80, "a hundredth of an object for each of 8,000 requests"


@pytest.mark.parametrize("path", KEPT_BY_OTHERS)
async def test_what_others_keep_in_cycles_ends_with_the_request_itself(app: App, path: str) -> None:
    """Where anyio and Starlette keep a request in a cycle of their own, a collection is kept no longer than that."""
    known = alive(Origin)
    for _ in range(3):
        await concurrently([partial(serve, app, path, Client)])
    await settle()
    assert new(ConnectionTasks, known) <= len(alive(Witness))
    gc.collect()
    assert new(Origin, known) == 0
