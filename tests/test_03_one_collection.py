"""Promise 3: one collection per request, the same for everyone who asks in it, never visible to another."""

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import anyio
import pytest
from ellar.app import App
from ellar.common import (
    Controller,
    ControllerBase,
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
from ellar.core import WebSocket, mount
from ellar.core.middleware import Middleware
from ellar.di import ProviderConfig, injectable, request_scope, singleton_scope, transient_scope
from starlette.applications import Starlette
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import BackgroundTasks, BackgroundTasksUnavailable, current_background_tasks
from tests.harness import Client, Socket, application, concurrently, module, request, websocket

KEYS = pytest.mark.parametrize("key", [BackgroundTasks, StarletteBackgroundTasks])


class Seen:
    """What was collected, where, in one application."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.objects: set[int] = set()

    def add(self, tasks: StarletteBackgroundTasks, name: str) -> None:
        self.objects.add(id(tasks))
        tasks.add_task(self.ran.append, name)


@KEYS
async def test_every_place_of_a_request_gets_the_same_collection(key: Any) -> None:
    """Handler parameters, services of every scope, guards, interceptors, controllers, middleware, threads."""
    seen = Seen()

    @injectable(scope=transient_scope)
    class Transient:
        def __init__(self, tasks: key) -> None:
            self.tasks = tasks

        def add(self, name: str) -> None:
            seen.add(self.tasks, name)

    @injectable(scope=request_scope)
    class Scoped(Transient): ...

    @injectable(scope=singleton_scope)
    class Singleton(Transient): ...

    @injectable(scope=singleton_scope)
    class Guard(GuardCanActivate):
        def __init__(self, tasks: key) -> None:
            self.tasks = tasks

        async def can_activate(self, context: IExecutionContext) -> bool:
            seen.add(self.tasks, "guard")
            return True

    @injectable(scope=singleton_scope)
    class Interceptor(EllarInterceptor):
        def __init__(self, tasks: key) -> None:
            self.tasks = tasks

        async def intercept(self, context: IExecutionContext, next_interceptor: Callable[..., Any]) -> Any:
            seen.add(self.tasks, "interceptor")
            return await next_interceptor()

    class AsgiMiddleware:
        def __init__(self, app: ASGIApp, tasks: key) -> None:
            self.app = app
            self.tasks = tasks

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.tasks.add_task(seen.ran.append, "ASGI middleware")
            await self.app(scope, receive, send)

    @Controller("/c")  # pyright: ignore[reportCallIssue]
    class Users(ControllerBase):
        def __init__(self, tasks: key, a: Transient, b: Scoped, c: Singleton) -> None:
            self.tasks = tasks
            self.services = {"transient": a, "request": b, "singleton": c}

        @get("/")
        @UseGuards(Guard)
        @UseInterceptors(Interceptor)
        async def users(self, tasks: key, injected: Inject[key], named: Inject[BackgroundTasks]) -> None:
            seen.add(self.tasks, "controller")
            seen.add(tasks, "parameter")
            seen.add(injected, "Inject")
            seen.add(named, "Inject ours")
            for name, service in self.services.items():
                service.add(name)
            await anyio.to_thread.run_sync(partial(seen.add, current_background_tasks(), "thread"))

    @middleware()
    async def of_module(cls: Any, context: IHostContext, call_next: Callable[..., Any]) -> None:
        seen.add(current_background_tasks(), "module middleware")
        await call_next()

    @middleware(app=True)
    async def of_app(cls: Any, context: IHostContext, call_next: Callable[..., Any]) -> None:
        seen.add(current_background_tasks(), "application middleware")
        await call_next()

    feature = module(
        controllers=[Users],
        providers=[Transient, Scoped, Singleton],
        body={"of_module": of_module, "of_app": of_app},
    )
    app = application(modules=[feature])
    app.config.MIDDLEWARE = [*app.config.MIDDLEWARE, Middleware(AsgiMiddleware)]
    client = await request(app, "/c/")
    assert client.error is None
    assert seen.ran == [
        "application middleware",
        "ASGI middleware",
        "module middleware",
        "guard",
        "interceptor",
        "controller",
        "parameter",
        "Inject",
        "Inject ours",
        "transient",
        "request",
        "singleton",
        "thread",
    ]
    assert len(seen.objects) == 1


@KEYS
async def test_a_sync_handler_gets_it_too(key: Any) -> None:
    """It runs in a thread, with the request's context."""
    seen = Seen()

    @get("/")
    def handler(tasks: key, injected: Inject[key]) -> None:
        seen.add(tasks, "parameter")
        seen.add(injected, "Inject")
        seen.add(current_background_tasks(), "current")

    await request(application(handler), "/")
    assert seen.ran == ["parameter", "Inject", "current"]
    assert len(seen.objects) == 1


async def test_exception_handlers_get_it() -> None:
    """Of the module, of the application, for 404 and for errors that nobody expected."""
    seen = Seen()

    class Expected(Exception): ...

    def handler_of(name: str, status: int) -> Any:
        async def handle(cls: Any, ctx: IHostContext, error: Exception) -> JSONResponse:
            seen.add(current_background_tasks(), name)
            return JSONResponse({}, status_code=status)

        return handle

    @get("/expected")
    async def expected() -> None:
        raise Expected

    @get("/unexpected")
    async def unexpected() -> None:
        raise ZeroDivisionError

    feature = module(
        routers=[expected, unexpected],
        body={
            "of_module": exception_handler(Expected)(handler_of("module", 400)),
            "not_found": exception_handler(404, app=True)(handler_of("404", 404)),
            "server_error": exception_handler(500, app=True)(handler_of("500", 500)),
        },
    )
    app = application(modules=[feature])
    assert [(await request(app, path)).status for path in ("/expected", "/nowhere", "/unexpected")] == [400, 404, 500]
    assert seen.ran == ["module", "404", "500"]


async def test_a_mounted_starlette_application_gets_it() -> None:
    """There the container builds nothing; `current_background_tasks` gives the request's collection."""
    client = Client()

    async def endpoint(request: Request) -> JSONResponse:
        current_background_tasks().add_task(client.timeline.append, "task")
        return JSONResponse({})

    app = application(modules=[module(routers=[mount("/star", Starlette(routes=[Route("/x", endpoint)]))])])
    await client.request(app, "/star/x")
    assert client.timeline == ["start", "last byte", "task"]


async def test_a_singleton_reaches_the_current_request_while_its_first_one_is_open() -> None:
    """It keeps the object of the request that built it; what it adds goes to whichever request is current."""
    entered, leave = anyio.Event(), anyio.Event()
    ran: list[str] = []

    @injectable(scope=singleton_scope)
    class Mailer:
        def __init__(self, tasks: BackgroundTasks) -> None:
            self.tasks = tasks

    @get("/{name}")
    async def handler(name: str, mailer: Inject[Mailer]) -> None:
        mailer.tasks.add_task(ran.append, name)
        if name == "first":
            entered.set()
            await leave.wait()

    app = application(handler, services=[Mailer])
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/first")
        await entered.wait()
        await request(app, "/second")
        assert ran == ["second"]
        leave.set()
    assert ran == ["second", "first"]


async def test_a_singleton_built_outside_of_any_request_reaches_each() -> None:
    """Also one that is built at start-up, where Ellar's request scope is not available."""
    ran: list[int] = []

    @injectable(scope=singleton_scope)
    class Mailer:
        def __init__(self, tasks: StarletteBackgroundTasks) -> None:
            self.tasks = tasks

    @get("/")
    async def handler(number: int, mailer: Inject[Mailer]) -> None:
        mailer.tasks.add_task(ran.append, number)

    app = application(handler, providers=[ProviderConfig(Mailer)])
    mailer = app.injector.get(Mailer)
    with pytest.raises(
        BackgroundTasksUnavailable, match="declares BackgroundTasksModule in its root module is current here"
    ):
        mailer.tasks.add_task(ran.append, 0)
    for number in (1, 2):
        await request(app, "/", query=f"number={number}")
    assert ran == [1, 2]


async def test_hundreds_of_requests_at_once_keep_their_tasks_apart() -> None:
    """Each collects from the handler, a service of its own and a singleton, with others in between."""
    ran: dict[int, list[str]] = {}

    @injectable(scope=singleton_scope)
    class Shared:
        def __init__(self, tasks: BackgroundTasks) -> None:
            self.tasks = tasks

    @injectable(scope=request_scope)
    class Own(Shared): ...

    async def task(number: int, name: str) -> None:
        await anyio.lowlevel.checkpoint()
        ran.setdefault(number, []).append(name)

    @get("/")
    async def handler(number: int, tasks: BackgroundTasks, shared: Inject[Shared], own: Inject[Own]) -> None:
        for name, collected in (("a", tasks), ("b", shared.tasks), ("c", own.tasks)):
            collected.add_task(task, number, name)
            await anyio.lowlevel.checkpoint()

    app = application(handler, services=[Shared, Own])
    await concurrently([partial(request, app, "/", query=f"number={number}") for number in range(300)])
    assert ran == {number: ["a", "b", "c"] for number in range(300)}


async def test_threads_that_carry_the_context_add_to_the_request() -> None:
    """64 at once in one request: one collection, nothing lost."""
    ran: list[int] = []
    objects = set()

    def add(number: int) -> None:
        tasks = current_background_tasks()
        objects.add(id(tasks))
        tasks.add_task(ran.append, number)

    @get("/")
    def handler() -> None:
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(contextvars.copy_context().run, add, number) for number in range(64)]
        for job in jobs:
            job.result()

    await request(application(handler), "/")
    assert sorted(ran) == list(range(64))
    assert len(objects) == 1


async def test_a_bare_thread_is_told_how_to_carry_the_context() -> None:
    """It does not see the request; the error names the remedy."""
    errors: list[BaseException] = []

    @get("/")
    def handler(tasks: BackgroundTasks) -> None:
        def add() -> None:
            try:
                tasks.add_task(print)
            except BackgroundTasksUnavailable as error:
                errors.append(error)

        thread = threading.Thread(target=add)
        thread.start()
        thread.join()

    await request(application(handler), "/")
    [error] = errors
    assert "contextvars.copy_context().run" in str(error)


async def test_after_the_end_of_a_request_adding_is_refused() -> None:
    """Never a silent no-op, neither through the object nor from a context that was carried away."""
    kept: list[Any] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        kept.append((tasks, contextvars.copy_context()))

    await request(application(handler), "/")
    [(tasks, context)] = kept
    for add in (tasks.add_task, tasks.using(when="always").add_task):
        with pytest.raises(BackgroundTasksUnavailable, match="of GET /, which has ended, and no request is current"):
            add(print)
    with pytest.raises(BackgroundTasksUnavailable, match="GET / after its background tasks had run"):
        context.run(tasks.add_task, print)


def test_outside_of_a_request_nothing_can_be_added() -> None:
    """`current_background_tasks` raises as well."""
    with pytest.raises(BackgroundTasksUnavailable):
        current_background_tasks()


async def test_a_collection_built_by_hand_works_as_starlettes() -> None:
    """It runs when it is awaited, in order, and its first error is raised."""
    ran: list[str] = []

    async def fail() -> None:
        raise ValueError("by hand")

    tasks = BackgroundTasks()
    tasks.add_task(ran.append, "a")
    tasks.add_task(lambda **kwargs: ran.append(kwargs["func"]), func="keyword")
    tasks.add_task(fail)
    tasks.add_task(ran.append, "never")
    with pytest.raises(ValueError, match="by hand"):
        await tasks()
    assert ran == ["a", "keyword"]
    assert len(tasks.tasks) == 4


@KEYS
async def test_a_websocket_has_one_collection_a_connection(key: Any) -> None:
    """`await tasks()` runs what was collected so far; the rest runs at the connection's end."""
    ran: list[Any] = []

    @injectable(scope=request_scope)
    class Service:
        def __init__(self, tasks: key) -> None:
            self.tasks = tasks

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: key, service: Inject[Service]) -> None:
        assert service.tasks is tasks
        await websocket.accept()
        tasks.add_task(ran.append, "a")
        service.tasks.add_task(ran.append, "b")
        await tasks()
        assert ran == ["a", "b"]
        tasks.add_task(ran.append, "c")
        await websocket.send_text("done")
        assert ran == ["a", "b"]

    socket = Socket()
    assert await socket.run(application(handler, services=[Service]), "/ws") is None
    assert ran == ["a", "b", "c"]


async def test_a_singleton_awaits_the_collection_of_the_current_websocket() -> None:
    """Awaiting goes to the current connection as adding does."""
    ran: list[str] = []

    @injectable(scope=singleton_scope)
    class Service:
        def __init__(self, tasks: BackgroundTasks) -> None:
            self.tasks = tasks

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], service: Inject[Service]) -> None:
        await websocket.accept()
        service.tasks.add_task(ran.append, "task")
        await service.tasks()
        ran.append("handler")

    app = application(handler, services=[Service])
    for _ in range(2):
        assert await Socket().run(app, "/ws") is None
    assert ran == ["task", "handler"] * 2


async def test_awaiting_it_in_a_request_waits_for_nothing_and_loses_nothing() -> None:
    """In a request the tasks wait for the last byte, whoever awaits the collection before."""
    client = Client()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")
        await tasks()
        client.timeline.append("handler")

    await client.request(application(handler), "/")
    assert client.timeline == ["handler", "start", "last byte", "task"]


async def test_what_waits_can_be_looked_at_but_not_be_changed_past_add_task() -> None:
    """A task appended to a copy would be lost, so there is nothing to append to."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> dict[str, Any]:
        tasks.add_task(print, "x", sep="")
        [task] = tasks.tasks
        assert isinstance(tasks.tasks, tuple)
        return {"name": task.func.__name__, "args": task.args, "kwargs": task.kwargs}

    client = await request(application(handler), "/")
    assert client.json() == {"name": "print", "args": ["x"], "kwargs": {"sep": ""}}


async def test_our_parameter_in_an_application_without_the_module_says_what_is_missing() -> None:
    """Nobody would run the tasks there."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None: ...

    app: App = application(handler, tasks=None)
    assert isinstance((await request(app, "/")).error, BackgroundTasksUnavailable)


async def test_a_task_that_awaits_its_own_collection_goes_on() -> None:
    """What waits behind it runs when it has ended: waiting for that inside of it would be for ever."""
    ran: list[str] = []

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        async def awaits() -> None:
            await tasks()
            ran.append("first")

        tasks.add_task(awaits)
        tasks.add_task(ran.append, "second")

    with anyio.fail_after(10):
        await Socket().run(application(handler), "/ws")
    assert ran == ["first", "second"]


async def test_a_thread_that_adds_in_the_moment_the_request_ends_is_not_refused_for_what_runs() -> None:
    """Between the two steps of adding the request may drain and end: the task has run, so there is no error."""
    appended, ended = threading.Event(), threading.Event()
    ran: list[str] = []
    errors: list[BaseException] = []

    class Held(deque[Any]):
        """Gives the event loop time to drain, after the task is in."""

        def append(self, task: Any, /) -> None:
            super().append(task)
            appended.set()
            ended.wait(10)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        def add() -> None:
            try:
                tasks.add_task(ran.append, "task")
            except BackgroundTasksUnavailable as error:
                errors.append(error)

        cast(Any, tasks).waiting = Held()
        threads.append(threading.Thread(target=contextvars.copy_context().run, args=(add,)))
        threads[0].start()
        await anyio.to_thread.run_sync(appended.wait)

    threads: list[threading.Thread] = []
    await request(application(handler), "/")
    ended.set()
    await anyio.to_thread.run_sync(threads[0].join)
    assert ran == ["task"]
    assert errors == []
