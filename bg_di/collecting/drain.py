"""How what waits in one request is run: in order, each task in its own context, until nothing waits."""

from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from threading import Lock
from time import time
from types import FunctionType
from typing import Any, Final, cast

import anyio

from bg_di.calls.plan import Plan
from bg_di.calls.steps import DONE, is_failure, limited, on_asyncio, pending_cancellations, resumed, run_limited
from bg_di.calls.task import Attempt, Task, Waiting, enter_origin
from bg_di.collecting.pending import WEBSOCKET, Pending, ended_by
from bg_di.declaring.binding import name_of
from bg_di.observing.ledger import SUCCEEDED
from bg_di.record import NotRun, State

NOTHING: Final = object()
# Threads of one task may be the first to add something at once.
_NAMING: Final = Lock()


class Drain(Pending):
    """Runs the tasks of one collection, when their time has come."""

    # The function that was added last, while nothing has happened that would change how it is to be added.
    _plain: Any
    # Since when plain calls wait.
    _since = 0.0
    # What runs; and what has suspended last, and when.
    _running: Waiting | None
    _seen: tuple[Coroutine[Any, Any, Any] | None, float] = None, 0.0
    _task: tuple[Waiting, Task] | None = None
    # An event, if somebody waits for the end.
    _draining: bool | anyio.Event
    _ended: bool

    @property
    def is_draining(self) -> bool:
        """Whether its tasks are being run."""
        return bool(self._draining)

    # One coroutine for all tasks of a request: another one for each would cost as much as the task.
    async def drain(self, *, decided: bool = True) -> None:  # noqa: C901
        """Run what waits, and what that adds, in order, until nothing does.

        Args:
            decided: whether it is known if what added the tasks fails. If not, those that run only then wait on.

        Raises:
            BaseException: the cancellation of the request, or a request to exit. What was cut off and what never
                started is named.
        """
        if self._draining:
            return
        self._draining = True
        waiting, runner = self.waiting, self._runner
        stop_on_error, ledger = runner.stop_on_error, runner.ledger
        asked = ledger.asked
        # What runs without suspending, one after another, is noted as a row.
        row: list[Callable[..., Any] | str] = []
        last: object = NOTHING
        name: Callable[..., Any] | str = ""
        try:
            while waiting or self._last_look():
                try:
                    call = waiting.popleft()
                except IndexError:  # another thread has taken it back since
                    continue
                coroutine, context, origin, func, _, _, plan = call
                if (self._stopped or origin.failure or plan) and not self._starts(call, decided, row):
                    continue
                self._running = call
                # What is added where this task was, while it runs, is taken for its own. Only if what is behind it may
                # run although it fails does its context have to tell it from what else goes on there.
                if not stop_on_error:
                    context.run(enter_origin, self._named(call))
                cancellations = None
                try:
                    if plan is not None and plan.limit is not None and not on_asyncio():
                        cancellations = self._suspended(coroutine, row)
                        await run_limited(context, coroutine, plan.limit, plan.name)
                    else:
                        # Most tasks never suspend: one call then is all of it. A coroutine around it would add as much
                        # as half of what the task costs from `add_task` to its end.
                        steps = coroutine.__await__()
                        yielded = context.run(next, steps, DONE)
                        if yielded is not DONE:
                            cancellations = self._suspended(coroutine, row)
                            rest = resumed(context, steps, yielded)
                            await (rest if plan is None or plan.limit is None else limited(rest, plan.limit, plan.name))
                        elif (plan is None or plan.is_plain) and not asked:
                            if func is not last:
                                last = func
                                # It may stand for itself when the request is over if its module keeps it anyway.
                                name = func if type(func) is FunctionType and func in runner.known else name_of(func)
                            row.append(name)
                            continue
                    if row:
                        self._note(row)
                    ledger.note(call, "succeeded")
                except BaseException as error:
                    self._note(row)
                    if not is_failure(error, cancellations):
                        runner.cut_off(call, ended_by(error))
                        raise
                    await self._fail(call, error)
        except BaseException as error:
            self._abandon(error)
            raise
        finally:
            if row:  # as `_note` does, in place
                scope = self._scope
                ledger.ended.append((row, scope.get("method", WEBSOCKET), scope["path"], time(), SUCCEEDED))
            self._running = self._task = None
            self._plain = NOTHING
            if not decided and self._undecided is not None:
                self.waiting.extendleft(reversed(self._undecided))
                # Another thread may still have it: what it takes from there is not to be taken for cancelled.
                self._undecided.clear()
            if self.ending:
                ledger.collections.discard(self)
            awaited, self._draining = self._draining, False
            if awaited is not True:
                cast(anyio.Event, awaited).set()

    def _note(self, row: list[Callable[..., Any] | str]) -> None:
        if row:
            self._runner.ledger.ended.append((row.copy(), self.method, self.path, time(), SUCCEEDED))
            row.clear()

    def at_work(self) -> Iterator[tuple[Waiting, State, float]]:
        """What runs and what waits, and since when."""
        # In this order, and at once: what starts meanwhile, in another thread, is found twice and not missed.
        waiting = (*(self._undecided or ()), *self.waiting, *(self.outgoing.calls if self.outgoing else ()))
        running, (seen, since) = self._running, self._seen
        if running is not None:
            yield running, "running", since if seen is running[0] else time()
        for call in (each for each in waiting if each is not running):
            plan = call[6]
            yield call, "waiting", plan.added_at if isinstance(plan, Plan) else self._since

    async def wait(self) -> None:
        """Wait until what runs has ended, and what is behind it. It is for a moment in which something runs."""
        ended = self._draining
        if not isinstance(ended, anyio.Event):
            ended = self._draining = anyio.Event()
        await ended.wait()

    def _starts(self, call: Waiting, decided: bool, row: list[Any]) -> bool:
        """Whether it is the turn of a call that something is to be said of; if not, say it."""
        _, _, origin, _, _, _, plan = call
        when, outgoing = ("success", None) if plan is None else (plan.policy.when, plan.outgoing)
        if when == "failure" and not decided and not isinstance(origin, Task | Attempt):
            if self._undecided is None:
                self._undecided = deque()
            self._undecided.append(call)
            return False
        if when == "success" and origin.failure is not None:
            end: tuple[NotRun, str] = "dropped", origin.failure
        elif when == "failure" and origin.failure is None:
            end = "dropped", "what added it did not fail and when is 'failure'"
        elif self._stopped is not None and (self._given_up or (when != "always" and outgoing is None)):
            end = self._stopped
        else:
            if outgoing is not None:
                self.waiting.appendleft(call)
                self.release()
                return False
            if self._runner.observers.listening:
                self._running = call
                if not self._runner.released(call):
                    self._running = None
                    call[0].close()
                    return False
            return True
        self._note(row)
        self._end_unrun(call, *end)
        return False

    def _last_look(self) -> bool:
        # In this order: a thread that adds a task now sees the end, or is seen here.
        self._ended = self.ending
        if not self.waiting:
            return False
        self._ended = False
        return True

    def _suspended(self, coroutine: Coroutine[Any, Any, Any], row: list[Callable[..., Any] | str]) -> int:
        # Before that nobody could see it run, nor cancel it. What is added from now on waits since another time, and
        # what ran before it is not to wait for its end.
        self._note(row)
        self._seen = coroutine, time()
        self._plain = NOTHING
        return pending_cancellations()

    def _named(self, running: Waiting) -> Task:
        with _NAMING:
            if self._task is None or self._task[0] is not running:
                self._task = running, Task(running)
            return self._task[1]

    async def _fail(self, call: Waiting, error: BaseException) -> None:
        task = self._named(call)
        task.failure = f"{task.name}, which added it, failed"
        if self._runner.stop_on_error:
            self._stopped = "skipped", f"{task.name} failed before it and on_error is 'stop'"
        self._running = None
        await self._runner.failed(call, task, error)
