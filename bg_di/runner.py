"""Run one task: in its own context, on its own threads, isolated from everybody else."""

import asyncio
import inspect
from collections.abc import Callable, Generator
from contextvars import Context
from functools import partial
from types import coroutine
from typing import Any, Final, Protocol

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar, checkpoint

from bg_di import log
from bg_di.binding import name_of
from bg_di.failure import TaskErrorHandler, TaskFailure
from bg_di.task import Task

DONE: Final = object()


class Threads:
    """The threads of an application's sync tasks, apart from those of sync handlers.

    A limiter of anyio belongs to one event loop, and a test client makes a loop for each request: the limiter
    is made where it is first needed in a loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._limiter: RunVar[CapacityLimiter] = RunVar("bg_di.threads")

    async def run(self, func: Callable[[], Any]) -> Any:
        """Call `func` in a thread; wait for one as long as `limit` of them are busy."""
        outcome = await anyio.to_thread.run_sync(_outcome, func, limiter=self._of_this_loop())
        result, error = outcome
        outcome.clear()
        if error is not None:
            try:
                raise error
            finally:
                # The error's traceback has this frame, which must not have the error.
                del error
        return result

    def _of_this_loop(self) -> CapacityLimiter:
        try:
            return self._limiter.get()
        except LookupError:
            limiter = CapacityLimiter(self._limit)
            self._limiter.set(limiter)
            return limiter


def _outcome(func: Callable[[], Any]) -> list[Any]:
    """What `func` returns and what it raises, one of them None, to be taken out of the list.

    Raised through anyio, an error would stay in a cycle with the future that carried it; returned as it is, trio
    would take a coroutine for a mistake, and its idle thread would keep it.
    """
    try:
        return [func(), None]
    except BaseException as error:  # noqa: BLE001  # raised again in the event loop
        return [None, error]


class Draining(Protocol):
    """What is known here of a collection whose tasks run."""

    def name_what_is_left(self) -> None: ...


class Runner:
    """Runs the tasks of one application, and reports those that fail.

    Args:
        threads: where sync tasks run.
        error_handler: gives the handler that hears of failing tasks, from the container.
        stop_on_error: whether a failing task ends the rest of its request.
    """

    def __init__(self, *, threads: Threads, error_handler: Callable[[], TaskErrorHandler], stop_on_error: bool) -> None:
        self.stop_on_error = stop_on_error
        self._threads = threads
        self._error_handler = error_handler
        self.draining: set[Draining] = set()
        self._idle: anyio.Event | None = None

    def drained(self, collection: Draining) -> None:
        """Know that the tasks of a request do not run any more."""
        self.draining.discard(collection)
        if self._idle is not None and not self.draining:
            self._idle.set()

    async def finish(self) -> None:
        """Wait for what runs when the server shuts down and has neither awaited nor cancelled it, as granian does.

        It is named first: the server may kill the process instead of waiting.
        """
        await checkpoint()  # what the server has cancelled is named as cut off
        if not self.draining:
            return
        for collection in self.draining:
            collection.name_what_is_left()
        self._idle = anyio.Event()
        await self._idle.wait()

    async def in_thread(self, call: partial[Any]) -> None:
        """Make a call in a thread; if it returns an awaitable, await that."""
        result = await self._threads.run(call)
        if inspect.isawaitable(result):
            await result
        elif inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError(f"{name_of(call)} returned a generator, which nobody iterates: none of its code has run")

    async def report(self, failure: TaskFailure, context: Context | None = None) -> None:
        """Hand a failure to the error handler that the container has for `context`; what that raises is logged."""
        cancellations = pending_cancellations()
        try:
            handler = self._error_handler() if context is None else context.run(self._error_handler)
            await handler.handle(failure)
        except BaseException as error:
            if not is_failure(error, cancellations):
                raise
            log.error_handler_failed(failure)


def pending_cancellations() -> int:
    """How often the current asyncio task has been told to end; 0 under trio, whose own code cannot raise that."""
    try:
        current = asyncio.current_task()
    except RuntimeError:
        return 0
    return 0 if current is None else current.cancelling()


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


def failure_of(task: Task, error: BaseException) -> TaskFailure:
    """What a task that raised is reported as."""
    where = task.collection
    return TaskFailure(error=error, name=task.name, method=where.method, path=where.path, task=task)


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
