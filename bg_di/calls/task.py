"""One bound call, and the place it was added in."""

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context, ContextVar
from typing import Any, TypeVar

from starlette.background import BackgroundTask, BackgroundTasks
from starlette.concurrency import run_in_threadpool

from bg_di.calls.plan import Plan
from bg_di.calls.protocols import Collection
from bg_di.declaring.binding import is_async, name_of
from bg_di.declaring.declare import Declaration
from bg_di.errors import BackgroundTasksUnavailable

T = TypeVar("T")


class Origin:
    """Where tasks are added: a connection, the route it reached, or a running task.

    An origin that failed takes the tasks with it that were added there and have not started. Which origin
    is current travels in a context variable, so it is right in threads, in child tasks and under middleware
    that runs the application in a task of its own.

    Attributes:
        collection: the collection that tasks added here go to.
        failure: why this origin failed, in words; None as long as it did not. Never the exception itself:
            its traceback would keep the whole request alive.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.failure: str | None = None


class Attempt(Origin):
    """One of several attempts of a task: how it ended is known when the turn of what it added comes."""


current_origin: ContextVar[Origin | None] = ContextVar("bg_di.current_origin", default=None)
# Looked up once: the interpreter looks a method of a built-in type up anew at each call, for more than the call costs.
origin_here, enter_origin, leave_origin = current_origin.get, current_origin.set, current_origin.reset


def collection_of(origin: Origin | None) -> Collection:
    """The collection that tasks added in `origin` go to.

    Raises:
        BackgroundTasksUnavailable: there is none.
    """
    if origin is None:
        raise BackgroundTasksUnavailable(
            "no request of an application that declares BackgroundTasksModule in its root module is current here, so "
            "nobody would run background tasks: declare it there, and add them inside a request or a WebSocket "
            "connection, or in a block of collect_background_tasks(app); a thread started by hand carries the request "
            "with threading.Thread(target=contextvars.copy_context().run, args=(func, ...))"
        )
    return origin.collection


def within(origin: Origin, call: Callable[[], T]) -> T:
    """Call with `origin` as the current one."""
    token = enter_origin(origin)
    try:
        return call()
    finally:
        leave_origin(token)


# A call that waits in a collection: the coroutine that makes it, its own copy of the context variables as they were
# when it was added, where that was, the function, args and kwargs, and its plan, if it has one. Each way out runs the
# coroutine or closes it.
Waiting = tuple[
    Coroutine[Any, Any, Any],
    Context,
    Origin,
    Callable[..., Any],
    tuple[Any, ...],
    Mapping[str, Any],
    Declaration | Plan | None,
]


class Task(BackgroundTask, Origin):
    """A call that runs, fails or is passed over, with a name.

    What waits is a bare `Waiting`, as most calls run and end without anybody asking for more, and an object would
    cost a third of `add_task`.

    Attributes:
        func, args, kwargs: the call.
        collection: of the request that it belongs to.
    """

    def __init__(self, call: Waiting) -> None:
        _, _, origin, self.func, self.args, self.kwargs, self._plan = call  # type: ignore[assignment]
        Origin.__init__(self, origin.collection)

    @property
    def is_async(self) -> bool:  # type: ignore[override]
        """Whether Starlette's task awaits it: whoever is given one may call it again."""
        return is_async(self.func)

    @property
    def name(self) -> str:
        """As it was declared, else ``module:qualname`` of the function."""
        return name_of(self.func) if self._plan is None else self._plan.name


class Call(BackgroundTask):
    """Starlette's task, but a keyword argument may have any name: Starlette hands on its own ``func`` so."""

    def __init__(self, func: Callable[..., Any], args: Any, kwargs: Any) -> None:
        super().__init__(func, *args)
        self.kwargs = kwargs

    async def __call__(self) -> None:
        call = functools.partial(self.func, *self.args, **self.kwargs)
        await (call() if self.is_async else run_in_threadpool(call))


def calls_in(background: Any, start: int = 0) -> Sequence[Callable[[], Any]]:
    """The calls of a background, from the one at `start`: one by one, unless it runs them in a way of its own."""
    if isinstance(background, BackgroundTasks) and type(background).__call__ is BackgroundTasks.__call__:
        return [task.__call__ for task in background.tasks[start:]]
    return [background.__call__ if isinstance(background, BackgroundTask) else background]
