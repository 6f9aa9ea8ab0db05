"""The functions that become background tasks: plain ones, declared ones, and what the container supplies to these."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from inspect import iscoroutinefunction
from types import FunctionType
from typing import Any

import anyio.lowlevel
from ellar.common import Inject
from ellar.di import injectable, request_scope

from bg_di import BackgroundTasks, Retry, background_task
from tests.properties.script import Call


class TaskError(Exception):
    """What a failing task raises."""


@injectable(scope=request_scope)
class Worker:
    """The service of service tasks, and what others ask for by parameter."""

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._tasks = tasks
        self._used = False

    def use(self) -> BackgroundTasks:
        """The collection it was built with."""
        assert not self._used, "each attempt has a scope of its own"
        self._used = True
        return self._tasks


Perform = Callable[[Worker | None], None]
RETRY = Retry(on=TaskError, attempts=2, wait_initial=0, wait_jitter=0, wait_max=0)


async def works(*, perform: Perform) -> None:
    perform(None)


async def suspends(*, perform: Perform) -> None:
    await anyio.lowlevel.checkpoint()
    perform(None)


def works_in_a_thread(*, perform: Perform) -> None:
    perform(None)


OF_A_MODULE: dict[str, Any] = {"async": works, "suspending": suspends, "sync": works_in_a_thread}


def policy(call: Call) -> dict[str, Any]:
    """What is to be declared of a task, or given by `using`."""
    return {"when": call.when, "retry": RETRY if call.attempts > 1 else None}


def function_of(call: Call, name: str) -> Any:
    """The function of a task. But for closures, all requests share it, as they do what a module has."""
    return _closure(call.how, name) if call.kind == "closure" else _kept(call, name)


@cache
def _kept(call: Call, name: str) -> Any:
    if call.kind in ("function", "declared"):
        function = FunctionType(OF_A_MODULE[call.how].__code__, globals())
    else:
        function = _closure(call.how, "task")
    if call.kind == "function":
        function.__qualname__ = name
        return function
    # What `using` says counts instead of what was declared.
    other = replace(call, when="failure" if call.when == "success" else "success", attempts=1)
    options = policy(other if call.using else call)
    if call.kind == "inject":
        function.__annotations__["worker"] = Inject[Worker]
    if call.kind != "service":
        return background_task(name=name, **options)(function)
    function.__name__ = f"task_{len(vars(Worker))}"
    function.__qualname__ = f"Worker.{function.__name__}"
    setattr(Worker, function.__name__, background_task(name=name, **options)(function))
    return getattr(Worker, function.__name__)


def _closure(how: str, name: str) -> FunctionType:
    work = OF_A_MODULE[how]

    async def task(worker: Worker | None = None, *, perform: Perform) -> None:
        await work(perform=lambda _: perform(worker))

    def sync_task(worker: Worker | None = None, *, perform: Perform) -> None:
        perform(worker)

    function: Any = task if iscoroutinefunction(work) else sync_task
    function.__qualname__ = name
    assert isinstance(function, FunctionType)
    return function
