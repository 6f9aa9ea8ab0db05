"""One delivery: the attempt that it is, what that adds, and what becomes of the task."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from time import time
from typing import Final

from bg_di import log
from bg_di.backends import Consumer, Delivery
from bg_di.calls.plan import Plan
from bg_di.calls.steps import in_words, is_failure, pending_cancellations
from bg_di.calls.task import Task, Waiting, enter_origin
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.record import State
from bg_di.running.runner import Runner

# What stands in logs, failures and `TaskContext` where a request has its method.
METHOD: Final = "BACKEND"
# Seconds until a task runs again that has succeeded, but whose own tasks no engine has accepted.
_PAUSE: Final = 1.0
# What an engine keeps of an error: its text may be of any size.
_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Done:
    """The task has succeeded."""

    async def settle(self, consumer: Consumer, delivery: Delivery) -> bool:
        return await consumer.acknowledge(delivery)


@dataclass(frozen=True, slots=True)
class Again:
    """It is to run once more, after `delay` seconds; `attempt` have been made."""

    delay: float
    attempt: int
    reason: str

    async def settle(self, consumer: Consumer, delivery: Delivery) -> bool:
        return await consumer.reschedule(delivery, delay=self.delay, attempt=self.attempt, reason=self.reason)


@dataclass(frozen=True, slots=True)
class Dead:
    """It is kept with the reason."""

    attempt: int
    reason: str

    async def settle(self, consumer: Consumer, delivery: Delivery) -> bool:
        return await consumer.bury(delivery, attempt=self.attempt, reason=self.reason)


Verdict = Done | Again | Dead


class DeliveryTasks(RequestBackgroundTasks):
    """Runs one attempt of a task that an engine has delivered, and then what it added, as after a request.

    Args:
        runner: of the application.
        backend: the name of the engine.
        is_cut_off: tells whether what runs is being cut off: what it makes of that is not how the task ends.
    """

    # The task itself, while it runs and what it has added does.
    _itself: Sequence[tuple[Waiting, State, float]] = ()

    def __init__(self, runner: Runner, backend: str, is_cut_off: Callable[[], bool]) -> None:
        super().__init__(runner, {"type": "delivery", "method": METHOD, "path": backend})
        self._is_cut_off = is_cut_off

    def at_work(self) -> Iterator[tuple[Waiting, State, float]]:
        """What runs and what waits, and since when."""
        yield from self._itself
        yield from super().at_work()

    async def run(self, plan: Plan, number: int) -> Verdict:
        """Make one attempt, and run or hand over what it adds.

        Args:
            plan: the task. It runs in the current context.
            number: of the attempt, from 1.

        Raises:
            BaseException: it was cancelled, and what it added is named.
        """
        enter_origin(self)
        performing = self._runner.attempts.perform_one(plan, number)
        call: Waiting = performing, copy_context(), self, plan.func, plan.args, plan.kwargs, plan
        self._itself = [(call, "running", time())]
        with self._runner.ledger.open(self):
            try:
                verdict = await self._attempt(call, plan, number)
                self.ending = True
                await self.drain()
                not_accepted = await self.handed_over()
            except BaseException as error:
                self.cut_off(error)
                raise
            finally:
                self._itself = ()  # a cycle
        if isinstance(verdict, Done):
            if not_accepted is not None:
                return Again(_PAUSE, number - 1, reason_of(not_accepted))
            self._runner.ledger.note(call, "succeeded")
        return verdict

    async def _attempt(self, call: Waiting, plan: Plan, number: int) -> Verdict:
        cancellations = pending_cancellations()
        try:
            await call[0]
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError | KeyboardInterrupt) and not is_failure(error, cancellations):
                raise
            if self._is_cut_off():
                raise asyncio.CancelledError from error
            # Of all else, an exit included: it is not to come back for ever, nor to end the process each time.
            return await self._judge(call, plan, number, error)
        return Done()

    async def _judge(self, call: Waiting, plan: Plan, number: int, error: BaseException) -> Verdict:
        """What becomes of a task whose attempt has failed. If that was the last one, it is reported."""
        try:
            wait = _wait_after(plan, number, error)
        except Exception as broken:  # noqa: BLE001  # `Retry.on` is the user's own
            wait, error = None, broken
        reason = reason_of(error)
        if wait is None:
            await self._runner.failed(call, Task(call), error, "dead")
            log.buried(Task(call), plan.reference.task_id)
            return Dead(number, reason)
        log.again(Task(call), plan.reference.task_id, number, wait, reason)
        return Again(wait, number, reason)


def _wait_after(plan: Plan, number: int, error: BaseException) -> float | None:
    """Seconds until the next attempt; None if there is none."""
    retry = plan.policy.retry
    if retry is None:
        return None
    return retry.next_after(number, error, passed=time() - plan.due_at, limit=retry.timeout_or(None))


def reason_of(error: BaseException) -> str:
    """An error as an engine keeps it: short, and text that UTF-8 has."""
    return in_words(error)[:_LONGEST_REASON].encode(errors="backslashreplace").decode()
