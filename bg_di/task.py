"""One bound call, and the place it was added in."""

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol

from starlette.background import BackgroundTask, BackgroundTasks
from starlette.concurrency import run_in_threadpool

from bg_di.binding import bind, name_of


class Collection(Protocol):
    """What is known here of the collection that tasks are added to."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    def add_task(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None: ...

    async def __call__(self) -> None: ...


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

    failure: str | None = None

    def __init__(self, collection: Collection) -> None:
        self.collection = collection


current_origin: ContextVar[Origin | None] = ContextVar("bg_di.current_origin", default=None)
_set_current_origin = current_origin.set


class Task(BackgroundTask, Origin):
    """A call that waits in the collection of a request, bound when it was added.

    Attributes:
        func, args, kwargs: the call.
        origin: where it was added; None once it has started, so that a chain of tasks that add tasks does
            not keep its past alive.
        context: the context variables as they were when it was added (its own copy); None once it has ended.
        cancellations: how often the asyncio task that runs it had been told to end when it first suspended; None
            as long as it has not.
        coroutine: the call itself if `func` is an ``async def``: the interpreter has bound its arguments.
            Each way out must run it or close it.
    """

    context: Context | None
    coroutine: Coroutine[Any, Any, Any] | None
    origin: Origin | None
    cancellations: int | None = None

    def __init__(
        self, origin: Origin, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self.coroutine = bind(func, args, kwargs)
        self.func = func
        self.args = args  # type: ignore[assignment]  # Starlette declares them by a ParamSpec of a method
        self.kwargs = kwargs  # type: ignore[assignment]
        self.origin = origin
        self.collection = origin.collection
        self.context = context = copy_context()
        context.run(_set_current_origin, self)

    @property
    def name(self) -> str:
        """``module:qualname`` of the function."""
        return name_of(self.func)

    def close(self) -> None:
        """Let go of what was made at `add_task`; a call that has not run will not run any more."""
        if self.coroutine is not None:
            self.coroutine.close()
        self.coroutine = self.context = self.origin = None


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
