"""Bad input gets an error at once, in the stack of who gave it, that says what failed, why, and what to do."""

import functools
from collections.abc import AsyncIterator, Iterator
from types import coroutine
from typing import Any

import anyio
import pytest
from ellar.common import get
from starlette.background import BackgroundTask

from bg_di import BackgroundTasks, BackgroundTasksMonitor, background_task
from tests.harness import application, request


async def send_mail(address: str, *, subject: str = "hello") -> None: ...


def send_sync(address: str, *, subject: str = "hello") -> None: ...


class Mailer:
    async def send(self, address: str) -> None: ...

    def send_sync(self, address: str) -> None: ...

    @classmethod
    async def of_class(cls, address: str) -> None: ...

    @staticmethod
    async def of_nothing(address: str) -> None: ...


class Sender:
    async def __call__(self, address: str) -> None: ...


class SyncSender:
    def __call__(self, address: str) -> None: ...


async def refusal(*call: Any, **kwargs: Any) -> BaseException | None:
    """What `add_task` raises in a handler; what it accepts is run, and has to succeed."""
    caught: list[BaseException] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        try:
            tasks.add_task(*call, **kwargs)
        except TypeError as error:
            caught.append(error)

    client = await request(application(handler), "/")
    assert client.status == 200
    return caught[0] if caught else None


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (send_mail, "send_mail(address: str, *, subject: str = 'hello')"),
        (send_sync, "send_sync(address: str, *, subject: str = 'hello')"),
        (Mailer().send, "Mailer.send(address: str)"),
        (Mailer().send_sync, "Mailer.send_sync(address: str)"),
        (Mailer.of_class, "Mailer.of_class(address: str)"),
        (Mailer.of_nothing, "Mailer.of_nothing(address: str)"),
        (functools.partial(send_mail, subject="x"), "(address: str, *, subject: str = 'x')"),
        (Sender(), "(address: str)"),
        (SyncSender(), "(address: str)"),
        (functools.partial(Sender(), *"ab"), "test_12_refuse:Sender"),
    ],
    ids=repr,
)
async def test_wrong_arguments_are_refused_with_name_and_signature(func: Any, name: str) -> None:
    """Missing, too many, unknown: in the handler's own stack, where the interpreter would refuse a call."""
    for args, kwargs in (((), {}), (("a", "b", "c"), {}), (("a",), {"unknown": 1})):
        error = await refusal(func, *args, **kwargs)
        assert isinstance(error, TypeError)
        assert name in str(error)
        assert "add_task() cannot call" in str(error)


@pytest.mark.parametrize("what", [None, 3, "send_mail", ["send_mail"]], ids=repr)
async def test_what_is_not_callable_is_refused(what: Any) -> None:
    """Naming its type."""
    error = await refusal(what)
    assert f"not {type(what).__name__!r}: pass a callable, not its name or what it returned" in str(error)


async def test_a_coroutine_is_refused_with_what_to_pass_instead() -> None:
    """Somebody called the function; a coroutine can run once, and binds nothing that could be checked."""
    made = send_mail("a")
    error = await refusal(made)
    made.close()
    assert "pass add_task(send_mail, ...) without calling the function" in str(error)


async def test_a_task_is_refused_with_what_to_pass_instead() -> None:
    """A `BackgroundTask` belongs into a response or a collection built by hand."""
    error = await refusal(BackgroundTask(send_mail, "a"))
    assert "pass add_task(task.func, *task.args, **task.kwargs)" in str(error)
    assert "not a BackgroundTasks: add its tasks one by one" in str(await refusal(BackgroundTasks()))


async def test_a_collection_built_by_hand_takes_tasks_as_starlettes_does() -> None:
    """There a task is a callable like any other."""
    ran: list[str] = []
    tasks = BackgroundTasks()
    tasks.add_task(BackgroundTask(ran.append, "inner"))
    await tasks()
    assert ran == ["inner"]


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("func", [generator, async_generator, functools.partial(generator)], ids=repr)
async def test_generator_functions_are_refused(func: Any) -> None:
    """Nobody would iterate them, and none of their code would run."""
    assert "generator" in str(await refusal(func))


async def test_a_generator_based_coroutine_is_none() -> None:
    """`types.coroutine` makes a generator function awaitable."""
    ran: list[str] = []

    @coroutine
    def old_style() -> Iterator[None]:
        yield from anyio.lowlevel.checkpoint().__await__()
        ran.append("old style")

    assert await refusal(old_style) is None
    assert ran == ["old style"]


class Unreadable:
    """A callable whose signature cannot be read."""

    __signature__ = "no signature"

    def __call__(self, *args: Any) -> None:
        RAN.append(args)


RAN: list[Any] = []


@pytest.mark.parametrize(
    "func",
    [dict.fromkeys, type("Opaque", (), {"__call__": lambda self, *args: RAN.append(args)})(), Unreadable(), getattr],
    ids=["builtin", "opaque", "unreadable", "getattr"],
)
async def test_callables_without_a_readable_signature_are_accepted(func: Any) -> None:
    """Whether they take the arguments shows when they run."""
    assert await refusal(func, "ab", "__len__") is None


async def test_every_kind_of_callable_runs() -> None:
    """Functions, methods of every kind, partials, callables, classes, and what returns an awaitable."""
    ran: list[str] = []

    class Service:
        async def method(self, name: str) -> None:
            ran.append(name)

        def sync_method(self, name: str) -> None:
            ran.append(name)

        @classmethod
        async def class_method(cls, name: str) -> None:
            ran.append(name)

        @staticmethod
        def static_method(name: str) -> None:
            ran.append(name)

        async def __call__(self, name: str) -> None:
            ran.append(name)

    class Made:
        def __init__(self, name: str) -> None:
            ran.append(name)

    async def task(name: str) -> None:
        ran.append(name)

    @functools.wraps(task)
    def decorated(*args: Any) -> Any:
        return task("decorated")

    class Awaitable:
        def __await__(self) -> Any:
            yield from anyio.lowlevel.checkpoint().__await__()
            ran.append("awaitable")

    calls: list[tuple[Any, ...]] = [
        (task, "function"),
        (Service().method, "method"),
        (Service().sync_method, "sync method"),
        (Service.class_method, "class method"),
        (Service.static_method, "static method"),
        (Service(), "callable"),
        (functools.partial(Service(), "partial callable"),),
        (functools.partial(functools.partial(task), "partial of partial"),),
        (Made, "class"),
        (decorated,),
        (lambda name: task(name), "lambda"),
        (Awaitable,),
        (ran.append, "builtin"),
    ]

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for func, *args in calls:
            tasks.add_task(func, *args)

    await request(application(handler), "/")
    assert ran == [args[0] if args else "" for _, *args in calls[:6]] + [
        "partial callable",
        "partial of partial",
        "class",
        "decorated",
        "lambda",
        "awaitable",
        "builtin",
    ]


async def test_no_user_code_runs_at_add_task() -> None:
    """Neither the function's nor a decorator's, and no callable's `__call__`."""
    ran: list[str] = []

    async def task() -> None:
        ran.append("task")

    def decorated() -> Any:
        ran.append("decorator")
        return task()

    class Callable:
        def __call__(self) -> None:
            ran.append("callable")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for func in (task, decorated, Callable()):
            tasks.add_task(func)
        assert ran == []

    assert (await request(application(handler), "/")).status == 200
    assert ran == ["task", "decorator", "task", "callable"]


@pytest.mark.parametrize("sync", [True, False])
async def test_a_tasks_keyword_may_have_any_name(sync: bool) -> None:
    """Also those of our own parameters."""
    seen: dict[str, Any] = {}

    async def task(**kwargs: Any) -> None:
        seen.update(kwargs)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(seen.update if sync else task, func=1, self=2, origin=3, args=4, kwargs=5)

    await request(application(handler), "/")
    assert seen == {"func": 1, "self": 2, "origin": 3, "args": 4, "kwargs": 5}


async def of_a_module(address: str) -> None: ...


@background_task(when="always")
async def declared_in_a_module(address: str) -> None: ...


@pytest.mark.parametrize("func", [of_a_module, declared_in_a_module])
async def test_a_function_that_was_added_before_is_checked_again(func: Any) -> None:
    """Each call by itself, however often it was right, in this request and in earlier ones."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for _ in range(2):
            tasks.add_task(func, "ada")
            with pytest.raises(TypeError, match=rf"cannot call .*{func.__name__}.*missing"):
                tasks.add_task(func)

    app = application(handler)
    for _ in range(2):
        assert (await request(app, "/")).status == 200
    monitor = app.injector.get(BackgroundTasksMonitor)
    assert [record.state for record in monitor.history()] == ["succeeded"] * 4
