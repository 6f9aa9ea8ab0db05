"""Promise 5: a failing task reaches the `TaskErrorHandler`, and nobody else.

What it means on the connection of a real server is in ``tests/servers``.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from ellar.common import APIException, Inject, Response, exception_handler, get, middleware
from ellar.core import mount
from ellar.di import ProviderConfig, injectable, singleton_scope
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from bg_di import BackgroundTasks, BackgroundTasksModule, TaskErrorHandler, TaskFailure, current_background_tasks
from tests.harness import Client, Log, application, module, request


class Registered(Exception): ...


class Odd(BaseException): ...


class Recorder(TaskErrorHandler):
    """A handler as a user would bind it; each application gets a class of its own, as it is a singleton."""

    failures: list[TaskFailure]

    async def handle(self, failure: TaskFailure) -> None:
        self.failures.append(failure)


def recorder() -> tuple[type[Recorder], list[TaskFailure]]:
    failures: list[TaskFailure] = []
    return type("Bound", (Recorder,), {"failures": failures}), failures


ERRORS: list[BaseException] = [
    ValueError("x"),
    HTTPException(404),
    APIException("api"),
    Registered(),
    StopIteration(),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("run_after", ["response", "request"])
async def test_a_failing_task_reaches_only_the_error_handler(run_after: str, sync: bool, error: BaseException) -> None:
    """Whatever it raises, no exception handler of the application hears of it, and the server sees nothing."""
    heard: list[str] = []
    Handler, failures = recorder()

    def of(name: str) -> Any:
        async def handle(cls: Any, ctx: Any, exc: Exception) -> JSONResponse:
            heard.append(name)
            return JSONResponse({})

        return handle

    def raise_sync() -> None:
        raise error

    async def raise_async() -> None:
        raise error

    @get("/")
    async def handler(tasks: BackgroundTasks) -> dict[str, bool]:
        tasks.add_task(raise_sync if sync else raise_async)
        return {"ok": True}

    feature = module(
        routers=[handler],
        body={
            "a": exception_handler(Registered)(of("module")),
            "b": exception_handler(500, app=True)(of("500")),
            "c": exception_handler(404, app=True)(of("404")),
        },
    )
    app = application(
        tasks=BackgroundTasksModule.setup(run_after=run_after),
        modules=[feature],
        providers=[ProviderConfig(TaskErrorHandler, use_class=Handler)],
    )
    client = await request(app, "/")
    assert (client.status, client.json(), client.error, heard) == (200, {"ok": True}, None, [])
    [failure] = failures
    caught = failure.error.__cause__ if isinstance(error, StopIteration) else failure.error
    assert caught is error
    assert failure.name.endswith("raise_sync" if sync else "raise_async")
    assert (failure.method, failure.path) == ("GET", "/")
    assert isinstance(failure.task, BackgroundTask)


async def test_the_default_logs_once_without_the_arguments(log: Log) -> None:
    """At ERROR on the logger bg_di, with traceback, name, method and path."""

    async def send_mail(address: str) -> None:
        raise ConnectionError("no server")

    @get("/signup")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send_mail, "ada@example.org")

    await request(application(handler), "/signup")
    [record] = log.records
    assert (record.name, record.levelno) == ("bg_di", logging.ERROR)
    assert record.getMessage().endswith("send_mail of GET /signup failed")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ConnectionError)
    assert "ada@example.org" not in log.text


async def test_the_error_handler_of_a_feature_hears_of_what_it_added() -> None:
    """As any provider: a module's own beats the root's."""
    Own, own = recorder()
    Roots, roots = recorder()

    async def fail() -> None:
        raise ValueError

    def feature(path: str, **more: Any) -> Any:
        @get(path)
        async def handler(tasks: BackgroundTasks) -> None:
            tasks.add_task(fail)

        return module(routers=[handler], **more)

    app = application(
        modules=[feature("/own", providers=[ProviderConfig(TaskErrorHandler, use_class=Own)]), feature("/other")],
        providers=[ProviderConfig(TaskErrorHandler, use_class=Roots)],
    )
    await request(app, "/own")
    await request(app, "/other")
    assert ([f.path for f in own], [f.path for f in roots]) == (["/own"], ["/other"])


@pytest.mark.parametrize("shared", ["the route", "the module"])
async def test_a_route_in_two_applications_reports_to_the_one_that_served_it(shared: str) -> None:
    """Ellar runs such a route with the injector of the application that was built last."""

    async def fail() -> None:
        raise ValueError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)

    feature = module(routers=[handler])
    apps, heard = [], []
    for _ in range(2):
        Handler, failures = recorder()
        provided: list[Any] = [ProviderConfig(TaskErrorHandler, use_class=Handler)]
        modules = [feature] if shared == "the module" else [module(routers=[handler])]
        apps.append(application(modules=modules, providers=provided))
        heard.append(failures)
    for app in apps:
        await request(app, "/")
    assert [len(failures) for failures in heard] == [1, 1]


async def test_an_error_in_the_error_handler_is_logged_and_stops_nothing(log: Log) -> None:
    """Neither the tasks after it nor the request."""
    ran: list[str] = []

    class Broken(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            raise RuntimeError("broken handler")

    async def fail() -> None:
        raise ValueError("the task's")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)
        tasks.add_task(ran.append, "after")

    app = application(
        handler,
        tasks=BackgroundTasksModule.setup(on_error="continue"),
        providers=[ProviderConfig(TaskErrorHandler, use_class=Broken)],
    )
    assert (await request(app, "/")).error is None
    assert ran == ["after"]
    [record] = log.records
    assert "TaskErrorHandler failed on background task" in record.getMessage()
    assert 'ValueError("the task\'s")' in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


@pytest.mark.parametrize("sync", [True, False])
async def test_an_error_handler_may_call_the_task_again(sync: bool) -> None:
    """What it is given is a task of Starlette's, which can be awaited."""
    ran: list[str] = []

    def fail_once(name: str) -> None:
        ran.append(name)
        if len(ran) == 1:
            raise ValueError

    async def fail_once_async(name: str) -> None:
        fail_once(name)

    class Again(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            await failure.task()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail_once if sync else fail_once_async, "ada")

    await request(application(handler, providers=[ProviderConfig(TaskErrorHandler, use_class=Again)]), "/")
    assert ran == ["ada", "ada"]


async def test_an_error_handler_that_cannot_be_built_is_logged_too(log: Log) -> None:
    """The failure is not lost with it."""

    class Unbuildable(TaskErrorHandler):
        def __init__(self) -> None:
            raise RuntimeError("no")

        async def handle(self, failure: TaskFailure) -> None: ...

    async def fail() -> None:
        raise ValueError("lost?")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)

    app = application(handler, providers=[ProviderConfig(TaskErrorHandler, use_class=Unbuildable)])
    assert (await request(app, "/")).error is None
    assert "ValueError('lost?')" in log.text


async def boom() -> None:
    raise ValueError("own background")


def sync_boom() -> None:
    raise ValueError("own background")


async def body() -> AsyncIterator[bytes]:
    yield b"x"


RESPONSES: dict[str, Any] = {
    "async": lambda: JSONResponse({}, background=BackgroundTask(boom)),
    "sync": lambda: JSONResponse({}, background=BackgroundTask(sync_boom)),
    "several": lambda: JSONResponse({}, background=StarletteBackgroundTasks([BackgroundTask(boom)])),
    "stream": lambda: StreamingResponse(body(), background=BackgroundTask(boom)),
}


@pytest.mark.parametrize("kind", RESPONSES)
async def test_the_own_background_of_a_response_hurts_nobody_either(kind: str, log: Log) -> None:
    """It goes to the error handler, under its own name, and the collected tasks run all the same."""
    client = Client()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        tasks.add_task(client.timeline.append, "collected")
        response: Response = RESPONSES[kind]()
        return response

    await client.request(application(handler), "/")
    assert client.error is None
    assert client.timeline == ["start", "last byte", "collected"]
    [record] = log.records
    name = "sync_boom" if kind == "sync" else "boom"
    assert record.getMessage() == f"background task {__name__}:{name} of GET / failed"


async def test_a_background_set_on_the_injected_response_hurts_nobody_either(log: Log) -> None:
    """As the documentation of Ellar sets it."""

    @get("/")
    async def handler(res: Response) -> dict[str, str]:
        res.background = BackgroundTask(boom)
        return {}

    assert (await request(application(handler), "/")).error is None
    assert log.messages == [f"background task {__name__}:boom of GET / failed"]


async def test_the_own_background_outside_of_routes_does_not_reach_the_server(log: Log) -> None:
    """Of a mounted application's response and of an exception handler's."""

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(boom))

    @get("/fails")
    async def fails() -> None:
        raise Registered

    async def handle(cls: Any, ctx: Any, exc: Exception) -> JSONResponse:
        return JSONResponse({}, status_code=400, background=BackgroundTask(boom))

    star = Starlette(routes=[Route("/x", endpoint)])
    feature = module(routers=[mount("/star", star), fails], body={"handle": exception_handler(Registered)(handle)})
    app = application(modules=[feature])
    for path, status in (("/star/x", 200), ("/fails", 400)):
        log.records.clear()
        client = await request(app, path)
        assert (client.status, client.error) == (status, None)
        assert log.messages == [f"background task {__name__}:boom of GET {path} failed"]


async def test_a_response_that_breaks_is_no_background(log: Log) -> None:
    """Its exception goes where it always went."""

    class Broken(PlainTextResponse):
        async def __call__(self, *args: Any) -> None:
            raise ValueError("the response itself")

    @get("/")
    async def handler() -> Response:
        return Broken("x", background=BackgroundTask(boom))

    client = await request(application(handler), "/")
    assert client.status == 500
    assert isinstance(client.error, ValueError)
    assert log.messages == []


async def test_a_task_awaited_in_the_handler_is_no_background() -> None:
    """Who runs a `BackgroundTask` by hand before the response hears of its failure."""

    @get("/")
    async def handler() -> None:
        await BackgroundTask(boom)()

    client = await request(application(handler), "/")
    assert client.status == 500
    assert isinstance(client.error, ValueError)


async def test_a_request_to_exit_is_no_failure() -> None:
    """`SystemExit` and `KeyboardInterrupt` go to the server, and what is left is named."""

    async def leave() -> None:
        raise Odd

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(leave)

    with pytest.raises(Odd):
        await request(application(handler), "/")


async def test_a_service_of_the_container_can_be_the_handlers_dependency() -> None:
    """The handler is built by the container."""
    heard: list[str] = []

    @injectable(scope=singleton_scope)
    class Pager:
        def page(self, name: str) -> None:
            heard.append(name)

    @injectable(scope=singleton_scope)
    class Paging(TaskErrorHandler):
        def __init__(self, pager: Pager) -> None:
            self.pager = pager

        async def handle(self, failure: TaskFailure) -> None:
            self.pager.page(failure.name)

    @get("/")
    async def handler(tasks: BackgroundTasks, pager: Inject[Pager]) -> None:
        tasks.add_task(boom)

    app = application(handler, providers=[Pager, ProviderConfig(TaskErrorHandler, use_class=Paging)])
    await request(app, "/")
    assert heard == [f"{__name__}:boom"]


def test_a_failure_is_frozen() -> None:
    """It is handed to code of users."""
    failure = TaskFailure(error=ValueError(), name="n", method="GET", path="/", task=BackgroundTask(boom))
    with pytest.raises(AttributeError):
        failure.name = "other"  # type: ignore[misc]


class Decorated(BackgroundTask):
    """A task of the user's own, whose call a decorator hides."""

    @functools.wraps(BackgroundTask.__call__)
    async def __call__(*args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise ValueError("own background")


OWN: dict[str, Any] = {
    "a subclass": lambda: Decorated(boom),
    "a function": lambda: boom,
    "a sync function": lambda: sync_boom,
}


@pytest.mark.parametrize("kind", OWN)
async def test_any_own_background_is_isolated(kind: str, log: Log) -> None:
    """However it is called, the collected tasks run and no exception handler hears of it."""
    client = Client()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        tasks.add_task(client.timeline.append, "collected")
        return JSONResponse({}, background=OWN[kind]())

    await client.request(application(handler), "/")
    assert client.error is None
    assert client.timeline == ["start", "last byte", "collected"]
    assert len(log.records) == 1


async def test_the_rest_of_an_own_background_that_failed_is_named(log: Log) -> None:
    """As the rest of a request is."""

    @get("/")
    async def handler() -> Response:
        own = StarletteBackgroundTasks([BackgroundTask(boom), BackgroundTask(print, "never")])
        return JSONResponse({}, background=own)

    await request(application(handler), "/")
    assert ["boom of GET / failed" in log.messages[0], "builtins:print of GET / was skipped" in log.messages[1]] == [
        True,
        True,
    ]


async def test_a_failing_own_background_keeps_the_others_inside_of_the_response() -> None:
    """With `run_after="response"` the collected tasks run where they always do."""
    client = Client()

    async def around(cls: Any, context: Any, call_next: Any) -> None:
        await call_next()
        client.timeline.append("middleware left")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        tasks.add_task(client.timeline.append, "collected")
        return JSONResponse({}, background=BackgroundTask(boom))

    feature = module(routers=[handler], body={"around": middleware(app=True)(around)})
    await client.request(application(modules=[feature]), "/")
    assert client.timeline == ["start", "last byte", "collected", "middleware left"]


async def test_a_handler_that_fails_by_anothers_background_has_failed() -> None:
    """It called an application in the process, whose response's background failed: that is its own error."""
    ran: list[str] = []

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(boom))

    inner = Starlette(routes=[Route("/", endpoint)])

    @get("/{how}")
    async def handler(how: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(ran.append, "task")
        called = await Client().request(inner, "/")
        assert called.error is not None
        if how == "wrapped":
            raise RuntimeError("the inner application failed") from called.error
        raise called.error

    for how in ("wrapped", "as it is"):
        client = await request(application(handler), f"/{how}")
        assert client.status == 500
        assert client.error is not None
    assert ran == []


async def test_a_callable_without_a_module_has_a_name() -> None:
    """Naming must never fail: C descriptors have no module."""
    ran: list[str] = []
    Handler, failures = recorder()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(str.encode, "é", "ascii")
        tasks.add_task(ran.append, "after")

    app = application(
        handler,
        tasks=BackgroundTasksModule.setup(on_error="continue"),
        providers=[ProviderConfig(TaskErrorHandler, use_class=Handler)],
    )
    assert (await request(app, "/")).error is None
    assert ran == ["after"]
    assert [failure.name for failure in failures] == ["builtins:str.encode"]


async def test_a_cancelled_error_of_the_error_handlers_own_stops_nothing(log: Log) -> None:
    """It is the handler's failure, as it would be a task's."""
    ran: list[str] = []

    class Broken(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            raise asyncio.CancelledError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(boom)
        tasks.add_task(ran.append, "after")

    app = application(
        handler,
        tasks=BackgroundTasksModule.setup(on_error="continue"),
        providers=[ProviderConfig(TaskErrorHandler, use_class=Broken)],
    )
    assert (await request(app, "/")).error is None
    assert ran == ["after"]


async def test_an_error_handler_that_is_cancelled_with_the_request_stops(log: Log) -> None:
    """The cancellation goes where it belongs: it is no failure of the handler's, and nothing else runs."""
    handling = anyio.Event()
    ran: list[str] = []

    async def after() -> None:
        ran.append("after")

    class Waiting(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            handling.set()
            await anyio.sleep_forever()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(boom)
        tasks.add_task(after)

    app = application(
        handler,
        tasks=BackgroundTasksModule.setup(on_error="continue"),
        providers=[ProviderConfig(TaskErrorHandler, use_class=Waiting)],
    )
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(request, app, "/")
            await handling.wait()
            group.cancel_scope.cancel()
    assert ran == []
    assert not any("TaskErrorHandler" in message for message in log.messages)


REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="none")
STEP: ContextVar[str] = ContextVar("step", default="none")


async def test_the_error_handler_sees_the_context_variables_of_the_task() -> None:
    """As they were when it was added, with what it has set since; and what the handler sets stays in there too."""
    seen: list[tuple[str, str]] = []

    class Logging(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            await anyio.lowlevel.checkpoint()
            seen.append((REQUEST_ID.get(), STEP.get()))
            REQUEST_ID.set("the handler's")

    async def fail() -> None:
        STEP.set("first")
        await anyio.lowlevel.checkpoint()
        STEP.set("second")
        raise ValueError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        REQUEST_ID.set("ada's")
        tasks.add_task(fail)
        REQUEST_ID.set("grace's")
        tasks.add_task(boom)

    app = application(
        handler,
        tasks=BackgroundTasksModule.setup(on_error="continue"),
        providers=[ProviderConfig(TaskErrorHandler, use_class=Logging)],
    )
    await request(app, "/")
    assert seen == [("ada's", "second"), ("grace's", "none")]
    assert REQUEST_ID.get() == "grace's", "the request's own context"


@pytest.mark.parametrize("run_after", ["response", "request"])
async def test_what_the_error_handler_adds_is_not_the_failed_tasks(run_after: str) -> None:
    """It runs, although that task takes with it what it has added itself."""
    ran: list[str] = []

    class Compensating(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            await anyio.lowlevel.checkpoint()
            current_background_tasks().add_task(ran.append, "compensation")

    async def fail() -> None:
        current_background_tasks().add_task(ran.append, "follow-up")
        raise ValueError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)

    app = application(
        handler,
        tasks=BackgroundTasksModule.setup(on_error="continue", run_after=run_after),
        providers=[ProviderConfig(TaskErrorHandler, use_class=Compensating)],
    )
    await request(app, "/")
    assert ran == ["compensation"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_wrapper_that_returns_a_generator_has_failed(kind: str) -> None:
    """A decorator hid the generator function; nobody would iterate it, so it is no success."""
    Handler, failures = recorder()

    def generator() -> Any:
        yield

    async def async_generator() -> Any:
        yield

    def wrapper() -> Any:
        return generator() if kind == "sync" else async_generator()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(wrapper)

    await request(application(handler, providers=[ProviderConfig(TaskErrorHandler, use_class=Handler)]), "/")
    assert "returned a generator, which nobody iterates" in str(failures[0].error)
