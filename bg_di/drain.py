"""What waits in one request, and how it is run: in order, each task in its own context, until nothing waits."""

from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from threading import Lock
from time import time
from types import FunctionType
from typing import Any, Final, cast

import anyio

from bg_di.binding import name_of
from bg_di.departures import Departures
from bg_di.errors import BackgroundTasksNotAccepted
from bg_di.ledger import SUCCEEDED
from bg_di.plan import Plan
from bg_di.record import NotRun, State
from bg_di.runner import Runner
from bg_di.steps import DONE, is_failure, limited, on_asyncio, pending_cancellations, resumed, run_limited
from bg_di.task import Attempt, Origin, Task, Waiting, enter_origin, within

WEBSOCKET: Final = "WEBSOCKET"
NOTHING: Final = object()
# Threads of one task may be the first to add something at once.
_NAMING: Final = Lock()


class Drain(Origin):
    """Runs the tasks of one collection, when their time has come.

    Attributes:
        waiting: what has not started, in order.
        ending: whether the connection is over, so that what is added is refused once nothing waits any more.
        outgoing: what goes to engines; None as long as nothing does.
    """

    waiting: deque[Waiting]
    outgoing: Departures | None
    ending: bool
    _runner: Runner
    _scope: Mapping[str, Any]
    # The function that was added last, while nothing has happened that would change how it is to be added.
    _plain: Any
    # Since when plain calls wait.
    _since = 0.0
    # What runs only if the connection fails, while others run before it has ended.
    _undecided: deque[Waiting] | None = None
    # What runs; and what has suspended last, and when.
    _running: Waiting | None
    _seen: tuple[Coroutine[Any, Any, Any] | None, float] = None, 0.0
    _task: tuple[Waiting, Task] | None = None
    # An event, if somebody waits for the end.
    _draining: bool | anyio.Event
    # How what is left ends, and why, if it is not to run; and whether not even what runs always.
    _stopped: tuple[NotRun, str] | None
    _given_up = False
    _ended: bool

    @property
    def method(self) -> str:
        """The request's method; ``"WEBSOCKET"`` for a connection."""
        return str(self._scope.get("method", WEBSOCKET))

    @property
    def path(self) -> str:
        """The path of the request."""
        return str(self._scope["path"])

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
                        runner.cut_off(call, _ended_by(error))
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

    def release(self) -> None:
        """Hand over at once all that is released for engines by now."""
        # The last added comes first there.
        taken = [call for call in tuple(self.waiting) if _is_released(call) and self.withdraw(call)]
        if self.outgoing is not None and taken:
            # What a `TaskErrorHandler` adds is nobody's who has added these.
            within(self, partial(self.outgoing.hand_over, taken[::-1]))

    async def handed_over(self) -> BackgroundTasksNotAccepted | None:
        """Wait until everybody has heard what became of what goes to engines; return the first failure."""
        if self.outgoing is None:
            return None
        first = await self.outgoing.end()
        if self.ending:
            given_up = self._stopped[1] if self._stopped and self._given_up else None
            forgotten = await self.outgoing.in_sessions.end(given_up)
            first = first or forgotten
        return first

    def withdraw(self, call: Waiting) -> bool:
        """Do not run a call; return whether that was still to be had."""
        # Of both, one after the other: it may be in another thread that the ones become the others.
        withdrawn = [_removed(call, calls) for calls in (self._undecided, self.waiting) if calls]
        if not any(withdrawn):
            return self.outgoing is not None and self.outgoing.in_sessions.withdraw(call)
        call[0].close()
        return True

    def cancel(self, call: Waiting) -> bool:
        """Do not run a call, as somebody wishes; return whether it was still waiting."""
        withdrawn = self.withdraw(call)
        if withdrawn:
            self._runner.cancelled(call)
        return withdrawn

    async def wait(self) -> None:
        """Wait until what runs has ended, and what is behind it. It is for a moment in which something runs."""
        ended = self._draining
        if not isinstance(ended, anyio.Event):
            ended = self._draining = anyio.Event()
        await ended.wait()

    def cut_off(self, by: BaseException) -> None:
        """The connection has been given up: name what waits, and what is still added to it."""
        self._given_up = True
        self._stopped = "cancelled", _ended_by(by)
        self._abandon(by)

    def _abandon(self, by: BaseException) -> None:
        for call in _taken(self.waiting):
            self._end_unrun(call, "cancelled", _ended_by(by))

    def _end_unrun(self, call: Waiting, state: NotRun, reason: str) -> None:
        call[0].close()
        self._runner.not_run(call, state, reason)

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


def _is_released(call: Waiting) -> bool:
    """Whether a call goes to an engine, and its `when` is decided in its favour by now."""
    origin, plan = call[2], call[6]
    if plan is None or plan.outgoing is None:
        return False
    return plan.policy.when == "always" or (plan.policy.when == "success") is (origin.failure is None)


def _removed(call: Waiting, calls: deque[Waiting]) -> bool:
    try:
        calls.remove(call)
    except ValueError:
        return False
    return True


def _taken(calls: deque[Waiting]) -> Iterator[Waiting]:
    """Take one after another, until another thread or this one has taken the last."""
    while True:
        try:
            call = calls.popleft()
        except IndexError:
            return
        yield call


def _ended_by(error: BaseException) -> str:
    return f"its request was ended by {type(error).__name__}"
