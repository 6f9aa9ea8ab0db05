"""Step a coroutine in a context of its own, and tell whose an error is."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context
from types import coroutine
from typing import Any, Final

import anyio

from bg_di.errors import TaskTimedOut

DONE: Final = object()


async def run_in(context: Context, call: Coroutine[Any, Any, Any]) -> None:
    """Await a coroutine whose steps run in `context`."""
    steps = call.__await__()
    yielded = context.run(next, steps, DONE)
    if yielded is not DONE:
        await resumed(context, steps, yielded)


@coroutine
def resumed(context: Context, steps: Generator[Any, Any, Any], yielded: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that has suspended, each step in its own context.

    The event loop sees only the asyncio (or trio) task that drains: a task of its own for each background
    task would cost ten times as much.
    """
    try:
        while True:
            try:
                received = yield yielded
            except BaseException as error:  # noqa: BLE001  # thrown on into the coroutine
                yielded = context.run(steps.throw, error)
            else:
                try:
                    yielded = context.run(steps.send, received)
                finally:
                    # What trio sends may be an exception: in its own traceback it would be a cycle.
                    del received
    except StopIteration:
        return


async def limited(rest: Awaitable[None], seconds: float, name: str) -> None:
    """Await on asyncio, for so many seconds, the rest of what has suspended.

    It is no cancel scope of anyio: these must nest, and the code may have opened one and not left it yet.

    Raises:
        TaskTimedOut: naming the task.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            await rest
    except TimeoutError:
        if limit.expired():
            raise timed_out(name, seconds) from None
        raise


async def run_limited(context: Context, call: Coroutine[Any, Any, Any], seconds: float, name: str) -> None:
    """The same from the start and on any event loop, for a coroutine whose steps run in `context`."""
    with limited_by(seconds, name):
        await run_in(context, call)


def _nothing_more(scope: anyio.CancelScope, seconds: float) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def limited_by(
    seconds: float,
    name: str,
    passing: Callable[[anyio.CancelScope, float], AbstractContextManager[None]] = _nothing_more,
) -> Generator[None]:
    """Leave to what is awaited inside so many seconds, on any event loop.

    Args:
        seconds: of the event loop.
        name: of the task.
        passing: entered meanwhile, may cancel the scope when they are over on another clock.

    Raises:
        TaskTimedOut: naming the task.
    """
    with anyio.move_on_after(seconds) as scope, passing(scope, seconds):
        yield
    if scope.cancelled_caught:
        raise timed_out(name, seconds) from None


def timed_out(name: str, seconds: float) -> TaskTimedOut:
    """The error of a task that took too long."""
    return TaskTimedOut(f"{name} took longer than its timeout of {seconds} seconds")


def pending_cancellations() -> int:
    """How often the current asyncio task has been told to end; 0 under trio, whose own code cannot raise that."""
    current = _current_asyncio_task()
    return 0 if current is None else current.cancelling()


def on_asyncio() -> bool:
    """Whether an asyncio task is running, and not one of trio."""
    return _current_asyncio_task() is not None


def _current_asyncio_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def is_failure(error: BaseException, cancellations: int | None) -> bool:
    """Tell what a task's own code raised from the cancellation of its request, or a request to exit.

    Args:
        error: what was raised.
        cancellations: the `pending_cancellations` when the task first suspended; None if it did not: before that
            nobody could cancel it, and a `CancelledError` is the code's own.
    """
    if isinstance(error, asyncio.CancelledError):
        return cancellations is None or pending_cancellations() <= cancellations
    return isinstance(error, Exception)


def in_words(error: BaseException) -> str:
    """The type and the text of an error without its notes, also of one whose text cannot be made."""
    told = traceback.TracebackException(type(error), error, None, compact=True)
    told.__notes__ = None
    return list(told.format_exception_only())[-1].strip()
