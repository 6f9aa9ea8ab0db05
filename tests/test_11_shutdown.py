"""Promise 11: what runs is awaited as long as the server allows; what is cut off is logged by name.

With SIGTERM to a real server it is shown in ``tests/servers``.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from ellar.common import IHostContext, Inject, get, middleware
from ellar.core import WebSocket
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from bg_di import (
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksUnavailable,
    collect_background_tasks,
    current_background_tasks,
)
from tests.harness import Client, Log, Socket, application, module, request, websocket, wrap

RUN_AFTER = pytest.mark.parametrize("run_after", ["response", "request"])


async def nothing() -> None: ...


async def second() -> None:
    raise AssertionError("never runs")


def third() -> None:
    raise AssertionError("never runs")


@RUN_AFTER
async def test_a_cancelled_request_names_what_was_cut_off_and_what_never_started(run_after: str, log: Log) -> None:
    """The error handler is not called for it: nothing failed."""
    running = anyio.Event()

    async def first() -> None:
        running.set()
        await anyio.sleep_forever()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for task in (first, second, third):
            tasks.add_task(task)

    app = application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after))
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await running.wait()
        group.cancel_scope.cancel()
    by = f"its request was ended by {anyio.get_cancelled_exc_class().__name__}"
    assert [message.split(":", 1)[1] for message in log.messages] == [
        f"{first.__qualname__} of GET / was cut off while it ran: {by}",
        f"second of GET / never started: {by}",
        f"third of GET / never started: {by}",
    ]


async def test_a_request_cancelled_before_its_answer_names_what_it_had_collected(log: Log) -> None:
    """Nothing of it can run any more."""
    entered = anyio.Event()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(second)
        entered.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(request, application(handler), "/")
        await entered.wait()
        group.cancel_scope.cancel()
    [message] = log.messages
    assert message.startswith(f"background task {__name__}:second of GET / never started: its request was ended by")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@RUN_AFTER
async def test_asyncios_own_cancellation_is_named_too(run_after: str, log: Log) -> None:
    """That is how uvicorn ends requests when its graceful timeout is over."""
    running = asyncio.Event()

    async def first() -> None:
        running.set()
        await asyncio.sleep(3600)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(first)
        tasks.add_task(second)

    app = application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after))
    serving = asyncio.create_task(request(app, "/"))
    await running.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert len(log.messages) == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_error_of_the_tasks_own_is_its_failure(log: Log) -> None:
    """It awaited something that somebody else had cancelled."""
    ran: list[str] = []

    async def awaits_what_is_cancelled() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(awaits_what_is_cancelled)
        tasks.add_task(ran.append, "after")

    app = application(handler, tasks=BackgroundTasksModule.setup(on_error="continue"))
    assert (await request(app, "/")).error is None
    assert ran == ["after"]
    [record] = log.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], asyncio.CancelledError)


async def test_a_websocket_that_is_cancelled_names_its_tasks(log: Log) -> None:
    """Also in the middle of an `await tasks()`."""
    running = anyio.Event()

    async def first() -> None:
        running.set()
        await anyio.sleep_forever()

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await websocket.accept()
        tasks.add_task(first)
        tasks.add_task(second)
        await tasks()

    async with anyio.create_task_group() as group:
        group.start_soon(Socket().run, application(handler), "/ws")
        await running.wait()
        group.cancel_scope.cancel()
    assert ["cut off" in log.messages[0], "never started" in log.messages[1]] == [True, True]


async def test_what_outlives_its_request_cannot_add_any_more() -> None:
    """A child task of the handler that goes on is told so, in its own stack."""
    refused: list[BaseException] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(nothing)

        async def late() -> None:
            with anyio.CancelScope(shield=True):
                await over.wait()
                for task in (second, nothing):
                    try:
                        tasks.add_task(task)
                    except BackgroundTasksUnavailable as error:
                        refused.append(error)

        outlives.start_soon(late)
        await anyio.lowlevel.checkpoint()

    over = anyio.Event()
    async with anyio.create_task_group() as outlives:
        await request(application(handler), "/")
        over.set()
    assert len(refused) == 2


async def test_coroutines_that_never_run_are_closed() -> None:
    """No "coroutine was never awaited" is left behind; warnings are errors here."""

    @get("/{how}")
    async def handler(how: str, tasks: BackgroundTasks) -> None:
        async def fail() -> None:
            raise ValueError

        tasks.add_task(fail)
        tasks.add_task(second)
        if how == "raises":
            raise ValueError

    app = application(handler)
    for how in ("raises", "returns"):
        await Client().request(app, f"/{how}")


async def test_a_cancellation_comes_through_where_tasks_run_inside_of_send(log: Log) -> None:
    """Behind a middleware that held the last byte back they run there, and are cut off as anywhere."""
    running = anyio.Event()

    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    async def first() -> None:
        running.set()
        await anyio.sleep_forever()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(first)
        tasks.add_task(second)

    app = wrap(application(handler), Middleware(Passing))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(request, app, "/")
            await running.wait()
            group.cancel_scope.cancel()
    assert ["cut off" in log.messages[0], "never started" in log.messages[1]] == [True, True]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_group_that_fails_in_one_task_does_not_blur_the_next(log: Log) -> None:
    """On Python 3.11 it leaves its mark on the asyncio task that drains."""
    ran: list[str] = []

    async def fails() -> None:
        raise ValueError

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            await asyncio.sleep(3600)

    async def awaits_what_is_cancelled() -> None:
        await asyncio.sleep(0)
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(grouped)
        tasks.add_task(awaits_what_is_cancelled)
        tasks.add_task(ran.append, "after")

    app = application(handler, tasks=BackgroundTasksModule.setup(on_error="continue"))
    assert (await request(app, "/")).error is None
    assert ran == ["after"]
    assert len(log.messages) == 2


async def test_middleware_that_gave_up_on_the_tasks_may_still_add_its_own(log: Log) -> None:
    """The request is open: what was cut off is named, what is added then runs."""
    ran: list[str] = []
    running = anyio.Event()

    async def impatient(cls: Any, context: IHostContext, call_next: Callable[..., Any]) -> None:
        async def give_up() -> None:
            await running.wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            await call_next()
        current_background_tasks().add_task(ran.append, "audit")

    async def first() -> None:
        running.set()
        await anyio.sleep_forever()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(first)
        tasks.add_task(second)

    feature = module(routers=[handler], body={"impatient": middleware(app=True)(impatient)})
    await request(application(modules=[feature]), "/")
    assert ran == ["audit"]
    assert ["cut off" in log.messages[0], "never started" in log.messages[1]] == [True, True]


async def test_a_server_that_does_not_wait_hears_of_the_shutdowns_end_when_the_tasks_have_ended(log: Log) -> None:
    """granian is one: what is not done is named, and what it uses is still there when it runs."""
    running, release = anyio.Event(), anyio.Event()
    heard: list[str] = []
    to_app, from_server = anyio.create_memory_object_stream[Message](2)

    async def first() -> None:
        running.set()
        await release.wait()
        heard.append("first")

    async def send(message: Message) -> None:
        heard.append(message["type"])

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(first)
        tasks.add_task(heard.append, "second")

    async def tell_what_is_left() -> None:
        while len(log.messages) < 2:
            await anyio.lowlevel.checkpoint()
        release.set()

    app = application(handler)
    with anyio.fail_after(10), to_app, from_server:
        async with anyio.create_task_group() as group:
            group.start_soon(app, {"type": "lifespan", "state": {}}, from_server.receive, send)
            await to_app.send({"type": "lifespan.startup"})
            group.start_soon(request, app, "/")
            await running.wait()
            await to_app.send({"type": "lifespan.shutdown"})
            group.start_soon(tell_what_is_left)
    assert heard == ["lifespan.startup.complete", "first", "second", "lifespan.shutdown.complete"]
    assert [message.split(" of GET / ")[1][:36] for message in log.messages] == [
        "is not done while the server shuts d"
    ] * 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_the_server_cancels_when_it_has_told_the_shutdown_is_not_waited_for(log: Log) -> None:
    """It is named once, as cut off."""
    running = anyio.Event()
    to_app, from_server = anyio.create_memory_object_stream[Message](2)

    async def first() -> None:
        running.set()
        await anyio.sleep_forever()

    async def send(message: Message) -> None: ...

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(first)

    app = application(handler)
    with anyio.fail_after(10), to_app, from_server:
        async with anyio.create_task_group() as group:
            group.start_soon(app, {"type": "lifespan", "state": {}}, from_server.receive, send)
            await to_app.send({"type": "lifespan.startup"})
            served = asyncio.create_task(request(app, "/"))
            await running.wait()
            to_app.send_nowait({"type": "lifespan.shutdown"})
            served.cancel()
    await asyncio.wait([served])
    [message] = log.messages
    assert "was cut off" in message


async def test_a_thread_and_what_was_collected_outside_of_requests_are_named_at_the_shutdown(log: Log) -> None:
    """Nothing of a server waits for them; the application does, however often it is told."""
    running, release = threading.Event(), threading.Event()
    started = anyio.Event()

    def in_a_thread() -> None:
        running.set()
        assert release.wait(10)

    async def behind_it() -> None:
        started.set()

    async def block() -> None:
        async with collect_background_tasks(app) as tasks:
            tasks.add_task(in_a_thread)
            tasks.add_task(behind_it)

    async def shut_down() -> None:
        await app({"type": "lifespan", "state": {}}, receive(), send)

    def receive() -> Callable[[], Any]:
        messages = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

        async def receive() -> Message:
            return messages.pop()

        return receive

    async def send(message: Message) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            assert started.is_set()

    app = application()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(block)
            while not running.is_set():
                await anyio.lowlevel.checkpoint()
            group.start_soon(shut_down)
            group.start_soon(shut_down)
            while len(log.messages) < 4:
                await anyio.lowlevel.checkpoint()
            release.set()
    assert [
        message.partition(" of COLLECT outside is not done while")[0].rpartition(".")[2] for message in log.messages
    ] == [
        "in_a_thread",
        "behind_it",
    ] * 2
