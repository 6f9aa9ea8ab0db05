"""The same sign-up in every stack: one route in an application of its own, driven over ASGI without a socket."""

import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from types import CodeType, FrameType
from typing import Any

from ellar.app import AppFactory
from ellar.common import Module, ModuleRouter
from ellar.core import ModuleBase
from starlette.background import BackgroundTasks
from starlette.types import ASGIApp, Message

from benchmarks.subjects import Subject
from bg_di import BackgroundTasksModule, background_task

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


_TASKS: dict[str, Any] = {"declared": declared_welcome, "timed": timed_welcome}


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


def ellar_application(routers: list[Any], *, with_bg_di: bool) -> ASGIApp:
    """An application as users write it: the routes in a feature module, bg_di at the root."""
    feature = Module(routers=routers)(type("UserModule", (ModuleBase,), {}))
    return AppFactory.create_app(modules=[*([BackgroundTasksModule] if with_bg_di else []), feature])


def _handler(subject: Subject) -> Callable[..., Any]:
    count, task = subject.tasks, _TASKS.get(subject.stack, welcome)

    async def bare(username: str, password: str, email: str) -> dict[str, str]:
        return _ANSWER

    async def sign_up(username: str, password: str, email: str, tasks: BackgroundTasks) -> dict[str, str]:
        for _ in range(count):
            tasks.add_task(task, email, subject="Welcome")
        return _ANSWER

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


_APPLICATIONS: dict[str, Callable[[Callable[..., Any]], ASGIApp]] = {
    "ellar": lambda handler: ellar_application(_signup_router(handler), with_bg_di=False),
    **dict.fromkeys(
        ("bg_di", "declared", "timed"), lambda handler: ellar_application(_signup_router(handler), with_bg_di=True)
    ),
    "fastapi": _fastapi_application,
}
