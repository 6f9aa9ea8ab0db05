"""What a test holds back, and how it is run when the test says so."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bg_di.calls.plan import Plan
from bg_di.calls.steps import is_failure, pending_cancellations, run_in
from bg_di.calls.task import Task, Waiting, enter_origin, within
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.running.runner import Runner

# What stands in records where a request has its method and path.
_OUTSIDE: Final = {"type": "perform", "method": "PERFORM", "path": "outside"}


@dataclass(frozen=True, slots=True, eq=False)
class HeldTask:
    """A call that its request would have run, and the test has held.

    Attributes:
        runner: of its application.
        call: as it waited.
        plan: of it.
    """

    runner: Runner
    call: Waiting
    plan: Plan

    async def run(self) -> None:
        """Run it and what it adds, as after a request, in the context variables of where it was added.

        That it fails is reported to the `TaskErrorHandler` of its application.
        """
        where = self.plan.collection
        await _HeldTasks(self.runner, {"type": "held", "method": where.method, "path": where.path}).run(self)


class _HeldTasks(RequestBackgroundTasks):
    """The collection of one held task: its request is over."""

    async def run(self, held: HeldTask) -> None:
        _, context, _, func, args, kwargs, _ = held.call
        held.plan.collection = self
        performing = self._runner.attempts.perform(held.plan)
        call: Waiting = performing, context, self, func, args, kwargs, held.plan
        task, cancellations = Task(call), pending_cancellations()
        context.run(enter_origin, task)
        with self._runner.ledger.open(self):
            try:
                await run_in(context, performing)
            except BaseException as error:
                if not is_failure(error, cancellations):
                    self.cut_off(error)
                    raise
                task.failure = f"{task.name}, which added it, failed"
                await self._runner.failed(call, task, error)
            else:
                self._runner.ledger.note(call, "succeeded")
            self.ending = True
            await self.drain()
            await self.handed_over()


async def add_outside(runner: Runner, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Add a call outside of any request, as a block of `bg_di.collect_background_tasks` does; return its id.

    Args:
        runner: of the application that it is added in.
        func, args, kwargs: the call.

    Raises:
        BackgroundTasksNotAccepted: its engine has not accepted it.
        TypeError: it cannot be called so.
    """
    tasks = RequestBackgroundTasks(runner, _OUTSIDE)
    reference = within(tasks, partial(tasks.add_with, {}, func, args, kwargs))
    tasks.ending = True
    with runner.ledger.open(tasks):
        await tasks.drain()
        not_accepted = await tasks.handed_over()
    if not_accepted is not None:
        raise not_accepted
    return reference.task_id
