"""What runs in one application, and who hears when it fails."""

from collections.abc import Callable
from contextvars import Context
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint

from bg_di import log
from bg_di.attempts import Attempts
from bg_di.failure import TaskErrorHandler, TaskFailure
from bg_di.steps import is_failure, pending_cancellations
from bg_di.task import Task
from bg_di.threads import Threads


class Draining(Protocol):
    """What is known here of a collection whose tasks run."""

    def name_what_is_left(self) -> None: ...


class Runner:
    """Runs the tasks of one application, and reports those that fail.

    Args:
        threads: where sync tasks run.
        attempts: performs the tasks that are more than a plain call.
        error_handler: gives the handler that hears of failing tasks, from the container.
        stop_on_error: whether a failing task ends the rest of its request.
    """

    def __init__(
        self,
        *,
        threads: Threads,
        attempts: Attempts,
        error_handler: Callable[[], TaskErrorHandler],
        stop_on_error: bool,
    ) -> None:
        self.threads = threads
        self.attempts = attempts
        self.stop_on_error = stop_on_error
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


def failure_of(task: Task, error: BaseException) -> TaskFailure:
    """What a task that raised is reported as."""
    where = task.collection
    return TaskFailure(error=error, name=task.name, method=where.method, path=where.path, task=task)
