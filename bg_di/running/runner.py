"""What runs in one application, and who hears how it ends."""

from collections.abc import Callable
from contextvars import Context
from typing import Any, cast

from anyio.lowlevel import checkpoint

from bg_di import log
from bg_di.backends import Accepted
from bg_di.calls.overlay import cover, overlay
from bg_di.calls.plan import Plan
from bg_di.calls.steps import in_words, is_failure, pending_cancellations, run_in
from bg_di.calls.task import Task, Waiting, enter_origin, origin_here
from bg_di.declaring.declare import Declaration
from bg_di.errors import BackgroundTasksNotAccepted, TaskTimedOut
from bg_di.handing_over.engines import Engines
from bg_di.observing.failure import TaskErrorHandler, TaskFailure
from bg_di.observing.ledger import Ledger
from bg_di.observing.observer import Event, Observers
from bg_di.record import NotRun, State
from bg_di.running.attempts import Attempts
from bg_di.running.planner import Planner
from bg_di.running.threads import Threads


class Runner:
    """Runs the tasks of one application, notes how they end, and reports those that fail.

    Args:
        threads: where sync tasks run.
        planner: plans the tasks that are more than a plain call.
        attempts: performs them.
        engines: take what is handed over.
        ledger: takes what goes on.
        observers: hear what goes on.
        error_handler: gives the handler that hears of failing tasks, from the container.
        stop_on_error: whether a failing task ends the rest of its request.
        accept_timeout: seconds that engines have to accept tasks.

    Attributes:
        known: async functions of modules whose calls the collection runs by itself, with what they were declared as.
    """

    def __init__(
        self,
        *,
        threads: Threads,
        planner: Planner,
        attempts: Attempts,
        engines: Engines,
        ledger: Ledger,
        observers: Observers,
        error_handler: Callable[[], TaskErrorHandler],
        stop_on_error: bool,
        accept_timeout: float,
    ) -> None:
        self.threads = threads
        self.planner = planner
        self.attempts = attempts
        self.engines = engines
        self.ledger = ledger
        self.observers = observers
        self.stop_on_error = stop_on_error
        self.accept_timeout = accept_timeout
        self.known: dict[Callable[..., Any], Declaration | None] = {}
        self._error_handler = error_handler
        cover(self)

    def overlaid(self) -> None:
        """Something was put over the application, or taken away: from now on that hears of all, or nothing."""
        self.observers.listen()
        # Whose calls nobody would hear of.
        self.known.clear()

    async def finish(self) -> None:
        """Wait for what runs when the server shuts down and has neither awaited nor cancelled it, as granian does.

        And for what is being handed over. What runs is named first: the server may kill the process instead of waiting.
        """
        await checkpoint()  # what the server has cancelled is named as cut off
        draining = self.ledger.draining()
        for collection in draining:
            for call, _, _ in collection.at_work():
                log.awaited(Task(call))
        while draining:
            await draining[0].wait()
            draining = self.ledger.draining()
        await self.engines.finish()

    def added(self, call: Waiting) -> None:
        """Say that a call was added."""
        over, plan = overlay(), call[6]
        if over is not None and isinstance(plan, Plan):
            over.added(self, plan)
        self._tell("added", call, "waiting")

    def released(self, call: Waiting) -> bool:
        """Say that a call is run next; return whether it is, and no test holds it."""
        over = overlay()
        if over is not None and over.holds(self, call):
            return False
        self._tell("released", call, "waiting")
        return True

    def not_run(self, call: Waiting, state: NotRun, reason: str) -> None:
        """Say that a call is not run, and why."""
        log.not_run(Task(call), state, reason)
        self._not_run(call, state, reason)

    def cancelled(self, call: Waiting) -> None:
        """Say that somebody wished that a call is not run."""
        log.cancelled(Task(call))
        self._not_run(call, "cancelled", "BackgroundTasksMonitor.cancel() was called")

    def cut_off(self, call: Waiting, reason: str) -> None:
        """Say that a call did not run to its end, and why."""
        log.cut_off(Task(call), reason)
        self.ledger.note(call, "cancelled", reason)

    def accepted(self, call: Waiting, accepted: Accepted) -> None:
        """Say that an engine has a call, or one that stands for it."""
        if not accepted.is_new:
            log.stood_for(Task(call), accepted.task_id)
            cast(Plan, call[6]).reference.stand_for(accepted.task_id)
        self.ledger.note(call, "accepted")
        self._tell("accepted", call, "accepted")

    async def not_accepted(self, call: Waiting, error: BackgroundTasksNotAccepted, reason: str) -> None:
        """Say that a call, among others, could not be handed over."""
        self._tell("refused", call, "failed", reason)
        await self.failed(call, Task(call), error)

    def undecided(self, call: Waiting) -> None:
        """Say that nobody will ever know whether an engine has a call."""
        reason = "its event loop ended while it was handed over: it may run all the same"
        log.undecided(Task(call), cast(Plan, call[6]).reference.task_id, reason)
        self.ledger.note(call, "cancelled", reason)
        self._tell("refused", call, "cancelled", reason)

    async def failed(self, call: Waiting, task: Task, error: BaseException, state: State | None = None) -> None:
        """Say that a call has failed, or is in another `state` by it."""
        failed: State = "timed_out" if isinstance(error, TaskTimedOut) else "failed"
        self.ledger.note(call, state or failed, in_words(error))
        where = task.collection
        failure = TaskFailure(error=error, name=task.name, method=where.method, path=where.path, task=task)
        await self.report(failure, call[1])

    async def report(self, failure: TaskFailure, context: Context | None = None) -> None:
        """Hand a failure to the error handler that the container has for `context`, in it; what that raises is logged.

        Args:
            failure: what is reported.
            context: the task's own context variables; None if it has none of its own.
        """
        cancellations = pending_cancellations()
        try:
            handled = self._handled(failure)
            if context is None:
                await handled
            else:
                # What it adds is no part of the task, which is over, and has its own place as before.
                context.run(enter_origin, origin_here())
                await run_in(context, handled)
        except BaseException as error:
            if not is_failure(error, cancellations):
                raise
            log.error_handler_failed(failure.name, failure.method, failure.path, failure.error)

    async def _handled(self, failure: TaskFailure) -> None:
        await self._error_handler().handle(failure)

    def _not_run(self, call: Waiting, state: NotRun, reason: str) -> None:
        self.ledger.note(call, state, reason, ran=False)
        self._tell(state, call, state, reason)

    def _tell(self, kind: Event, call: Waiting, state: State, reason: str | None = None) -> None:
        plan = call[6]
        if isinstance(plan, Plan):
            self.observers.event(kind, plan, state, reason)
