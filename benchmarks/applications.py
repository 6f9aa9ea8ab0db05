"""The same sign-up in every stack: one route in an application of its own, driven over ASGI without a socket."""

import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from types import CodeType, FrameType
from typing import Any

from ellar.app import AppFactory
from ellar.common import Inject, Module, ModuleRouter
from ellar.core import ModuleBase
from ellar.di import injectable, request_scope
from starlette.background import BackgroundTasks
from starlette.types import ASGIApp, Message

from benchmarks.subjects import Subject
from bg_di import BackgroundTasksModule, TaskObserver, TaskRecord, background_task
from bg_di.backends.sqlite import SqliteBackend

Once = Callable[[], Coroutine[Any, Any, None]]

_PATH = "/user/sign-up"
_ANSWER = {"status": "Signup successful"}


def has_fastapi() -> bool:
    return find_spec("fastapi") is not None


async def welcome(address: str, *, subject: str) -> None:
    """The task: it does nothing, so that what is measured is all around it."""
    return


@background_task
async def declared_welcome(address: str, *, subject: str) -> None:
    """The same, declared."""
    return


@background_task(timeout=30)
async def timed_welcome(address: str, *, subject: str) -> None:
    """The same, with a timeout that does not fire."""
    return


@background_task(backend="durable")
async def durable_welcome(address: str, *, subject: str) -> None:
    """What the engine would be for; the requests that are measured do without it."""
    return


class Settings:
    """A singleton that the service needs."""

    host = "localhost"


@injectable(scope=request_scope)
class Mailer:
    """A service of the request, or of the task."""

    def __init__(self, settings: Settings) -> None:
        self.host = settings.host

    @background_task
    async def welcome(self, address: str, *, subject: str) -> None:
        """The same, as a method of a service."""
        return


class Idle(TaskObserver):
    """An observer that hears nothing."""


class Listening(TaskObserver):
    """An observer that hears everything, and does nothing."""

    def task(self, record: TaskRecord) -> None: ...

    def attempt(self, record: TaskRecord) -> None: ...

    def event(self, kind: str, record: TaskRecord) -> None: ...


# The file is not opened before something is handed over.
_ENGINED = BackgroundTasksModule.setup(
    name="benchmarks", tasks=[durable_welcome], backends={"durable": SqliteBackend("never-opened.db", embedded=False)}
)
# What is done in each request so many times, where that is not the plain task.
_TASKS: dict[str, Any] = {
    "declared": declared_welcome,
    "timed": timed_welcome,
    "service": Mailer.welcome,
    "resolving": Mailer.__init__,
}
_OBSERVERS: dict[str, list[TaskObserver]] = {"idle": [Idle()], "listening": [Listening()]}


def prepared(subject: Subject) -> Once:
    """Build the application of `subject`; what is returned does its work once."""
    if subject.stack == "starlette":
        return _collection_alone(subject.tasks)
    return sender(_APPLICATIONS[subject.stack](_handler(subject)), "POST", _PATH)


async def checked(subject: Subject, once: Once) -> None:
    """Do it once and make sure that it was done: a stack that loses its tasks would look fast."""
    ran = 0
    code = _code_of(_TASKS.get(subject.stack, welcome))

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal ran
        # One that is closed unrun does not get past its first line.
        ran += event == "return" and frame.f_code is code and frame.f_lineno > code.co_firstlineno

    sys.setprofile(count)
    try:
        await once()
    finally:
        sys.setprofile(None)
    assert ran == subject.tasks, f"{subject} ran {ran} tasks"


def sender(app: ASGIApp, method: str, path: str) -> Once:
    """Something that sends a request and waits until the application is done with it, tasks included."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"username=ann&password=secret&email=ann%40example.org",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200, message

    async def once() -> None:
        await app(dict(scope), receive, send)

    return once


def ellar_application(routers: list[Any], tasks: Any = None) -> ASGIApp:
    """An application as users write it: the routes and their services in a feature module, `tasks` at the root."""
    feature = Module(routers=routers, providers=[Settings, Mailer])(type("UserModule", (ModuleBase,), {}))
    return AppFactory.create_app(modules=[*([tasks] if tasks else []), feature])


def _handler(subject: Subject) -> Callable[..., Any]:
    count, task = subject.tasks, _TASKS.get(subject.stack, welcome)

    async def bare(username: str, password: str, email: str) -> dict[str, str]:
        return _ANSWER

    async def sign_up(username: str, password: str, email: str, tasks: BackgroundTasks) -> dict[str, str]:
        for _ in range(count):
            tasks.add_task(task, email, subject="Welcome")
        return _ANSWER

    async def resolving(username: str, password: str, email: str, mailer: Inject[Mailer]) -> dict[str, str]:
        return _ANSWER

    if subject.stack == "resolving":
        return resolving
    return sign_up if count else bare


def _collection_alone(count: int) -> Once:
    async def once() -> None:
        tasks = BackgroundTasks()
        for _ in range(count):
            tasks.add_task(welcome, "ann@example.org", subject="Welcome")
        await tasks()

    return once


def _signup_router(handler: Callable[..., Any]) -> list[Any]:
    router = ModuleRouter("/user")
    router.post("/sign-up")(handler)
    return [router]


def _fastapi_application(handler: Callable[..., Any]) -> ASGIApp:
    app: Any = import_module("fastapi").FastAPI()
    app.post(_PATH)(handler)
    return app  # type: ignore[no-any-return]


def _code_of(func: Any) -> CodeType:
    code: CodeType = func.__code__
    return code


def _in_ellar(tasks: Any = None) -> Callable[[Callable[..., Any]], ASGIApp]:
    return lambda handler: ellar_application(_signup_router(handler), tasks)


_APPLICATIONS: dict[str, Callable[[Callable[..., Any]], ASGIApp]] = {
    **dict.fromkeys(("ellar", "resolving"), _in_ellar()),
    **dict.fromkeys(("bg_di", "declared", "timed", "service"), _in_ellar(BackgroundTasksModule)),
    "engined": _in_ellar(_ENGINED),
    **{stack: _in_ellar(BackgroundTasksModule.setup(observers=observers)) for stack, observers in _OBSERVERS.items()},
    "fastapi": _fastapi_application,
}
