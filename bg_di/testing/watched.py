"""The background tasks of all applications, as a test watches them: what runs, what is held, and how each ended."""

import gc
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, cast
from weakref import WeakSet

import anyio
import anyio.lowlevel
import anyio.to_thread
from ellar.app import App

from bg_di.backends import Backend, Engine
from bg_di.calls.overlay import covered
from bg_di.calls.plan import Plan
from bg_di.calls.task import Waiting
from bg_di.declaring.retry import Retry
from bg_di.errors import BackendUnavailable, BackgroundTasksUnavailable, OutcomeUnknown
from bg_di.handing_over.engines import Engines
from bg_di.module import BackgroundTasksModule
from bg_di.running.runner import Runner
from bg_di.testing.clock import VirtualClock
from bg_di.testing.heard import Heard
from bg_di.testing.held import HeldTask, add_outside
from bg_di.testing.stand_ins import StandIns
from bg_di.testing.words import FAILED, AddedTask, AddedTasks

Only = Callable[..., Any] | Iterable[Callable[..., Any]] | None
"""Of whose calls: of a function, or of several; None: of all."""

# Seconds that what still runs in another thread has to end, where somebody asks how it did.
SOON: Final = 5.0


class WatchedBackgroundTasks(AddedTasks):
    """All background tasks that are added while a test runs, in every application of the process.

    In mode *run* they run as always: by the real runner, in the time of the request. In mode *hold* they are kept back
    until `drain`. In both, what goes to an engine is accepted by one that stands in its place, in memory, and is run
    from the very message that a worker would have got, when the response has been sent.

    Args:
        before: what `bg_di.calls.overlay.covered` gave before the test has built anything; None: what it gives now.

    Attributes:
        clock: on which delays, timeouts and the waits between attempts pass.
    """

    def __init__(self, before: Iterable[Any] | None = None) -> None:
        self.clock = VirtualClock()
        self.observer = Heard()
        self._stand_ins = StandIns(self.clock, self.observer)
        self._held: list[HeldTask] = []
        self._holding: list[Only] = []
        self._allowed: tuple[type[BaseException], ...] = ()
        self._known = WeakSet(covered() if before is None else before)
        self._heard_from: list[Runner] = []

    # What a test says.

    @property
    def tasks_added(self) -> Sequence[AddedTask]:
        """What was added, in order."""
        return self.observer.added

    @contextmanager
    def collect(self) -> Generator["CollectedTasks"]:
        """Look at one block: what is added in it answers to the same words."""
        collected = CollectedTasks(self)
        try:
            yield collected
        finally:
            collected.close()

    @contextmanager
    def held(self, only: Only = None) -> Generator[None]:
        """Hold what is released in a block, until `drain`.

        Args:
            only: a function, or several, of whose calls; None: all.
        """
        self._holding.append(only)
        try:
            yield
        finally:
            self._holding.remove(only)

    @contextmanager
    def refusing(self, why: str = "is refused by the test", *, unknown: bool = False) -> Generator[None]:
        """Let engines refuse in a block what is handed over to them, as one does that cannot be reached.

        The task has failed then, with `BackendUnavailable`, or with `OutcomeUnknown`, which is one.

        Args:
            why: what the engine says.
            unknown: whether it may have accepted it all the same; here it has not.
        """
        kind = OutcomeUnknown if unknown else BackendUnavailable
        self._stand_ins.refusal = kind("the backend", why)
        try:
            yield
        finally:
            self._stand_ins.refusal = None

    def allow_failures(self, *errors: type[BaseException]) -> None:
        """Let tasks fail in this test, also if nobody looks at them.

        Args:
            *errors: of which types; none: of any.
        """
        self._allowed = (*self._allowed, *(errors or (BaseException,)))

    async def drain(self, *, only: Only = None) -> None:
        """Run what is held, in order, with what that adds; and what is due on an engine. Wait for what runs elsewhere.

        Args:
            only: a function, or several, of whose calls; None: all.

        Raises:
            BaseException: what a task raised. It is reported to the `TaskErrorHandler`, too, and what is behind it is
                still held.
        """
        while task := self._next(only):
            await self._let_go(task)
            _raise(task)
        await anyio.to_thread.run_sync(self.wait)

    def wait(self, timeout: float = SOON) -> None:
        """Wait until what was added has ended, as it does by itself: on a live server, after the response has come.

        Args:
            timeout: seconds, of real time.

        Raises:
            AssertionError: it has not ended by then.
        """
        if not self.observer.wait(lambda: not self._under_way(), timeout):
            raise AssertionError(f"background tasks run on after {timeout} seconds:{_lines(self._under_way())}")

    async def perform(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AddedTask:
        """Run one task alone, with its real scope, policies and attempts; through its message, if it goes to an engine.

        Args:
            func: what is run, in the only application that this test knows; see `of`.
            *args: what it is called with, without what the container supplies.
            **kwargs: the same, by name.

        Returns:
            The task, which has succeeded.

        Raises:
            BaseException: what it raised.
            LookupError: there is no application, or there are several.
        """
        return await self._perform(self._only_runner(), func, args, kwargs)

    def of(self, app: App) -> "TasksOf":
        """The same for one of several applications, whose `perform` runs a task there.

        Args:
            app: that application.

        Raises:
            BackgroundTasksUnavailable: it does not have the module.
        """
        module: Any = app.injector.get_module(BackgroundTasksModule)
        if module is None:
            raise BackgroundTasksUnavailable(
                "background_tasks.of() got an application without background tasks: declare BackgroundTasksModule in "
                "its root module"
            )
        return TasksOf(self, module.get(Runner))

    def check(self) -> None:
        """Fail if a task has failed that nobody looked at, or is held or due and was never run, or has not ended.

        Raises:
            AssertionError: naming them.
        """
        self._settle()
        failed = [task for task in self.tasks_added if self._is_unseen(task)]
        held = [task for task in self.tasks_added if self._is_left(task)]
        wrong = (
            ("failed, and nobody looked at it (assert_failed, allow_failures)", failed),
            ("held or due, and never run (drain)", held),
            ("not ended when the test had (wait, drain)", self._under_way()),
        )
        said = [f"{what}:{_lines(tasks)}" for what, tasks in wrong if tasks]
        if said:
            raise AssertionError("background tasks of this test\n" + "\n".join(said))

    # What every application asks, as `bg_di.overlay` has it.

    def added(self, runner: Runner, plan: Plan) -> None:
        """A call was added."""
        if runner not in self._heard_from:
            self._heard_from.append(runner)
        self.observer.add(runner, plan)

    def holds(self, runner: Runner, call: Waiting) -> bool:
        """Whether a call is held instead of being run."""
        plan = call[6]
        if not isinstance(plan, Plan):  # it was added before the test
            return False
        is_held = self._is_to_hold(plan.func)
        if is_held:
            self._held.append(HeldTask(runner, call, plan))
            self.observer.hold(self.observer.of(plan.reference.task_id))
        return is_held

    def engine(self, engines: Engines, name: str, backend: Backend) -> Engine:
        """What stands in the place of an engine."""
        return self._stand_ins.engine(engines, name)

    async def deliver(self, runner: Runner) -> None:
        """Run what was accepted, unless it is held."""
        await self._stand_ins.deliver(runner, self._may_run)

    def passing(self, scope: anyio.CancelScope, seconds: float) -> AbstractContextManager[None]:
        """Let a timeout pass on the clock."""
        return self.clock.passing(scope, seconds)

    def attempts(self, retry: Retry, limit: float | None) -> AsyncIterable[Any]:
        """Let the waits between attempts pass on the clock."""
        return self.clock.attempts(retry, limit)

    def _may_run(self, task_id: str) -> bool:
        task = self.observer.of(task_id)
        if self._is_to_hold(task.func):
            self.observer.hold(task)
        return not task.is_held

    def _is_to_hold(self, func: Callable[..., Any]) -> bool:
        return any(_is_meant(func, only) for only in tuple(self._holding))

    def _settle(self) -> None:
        try:
            anyio.lowlevel.current_token()
        except RuntimeError:  # no event loop runs here, so others go on while this thread waits
            self.observer.wait(lambda: not self._under_way(), SOON)

    def _under_way(self) -> list[AddedTask]:
        return [task for task in self.tasks_added if self._is_under_way(task)]

    def _is_under_way(self, task: AddedTask) -> bool:
        state, _, _ = task.peek()
        if task.is_held:
            return False
        return state in {"waiting", "running"} or (self._is_due(task) and self.observer.is_in_flight(task))

    def _is_unseen(self, task: AddedTask) -> bool:
        state, error, _ = task.peek()
        is_allowed = isinstance(error, self._allowed) if error is not None else BaseException in self._allowed
        return state in FAILED and not task.is_looked_at and not is_allowed

    def _is_left(self, task: AddedTask) -> bool:
        state, _, _ = task.peek()
        return (task.is_held and state == "waiting") or (self._is_due(task) and not self.observer.is_in_flight(task))

    def _is_due(self, task: AddedTask) -> bool:
        return self._stand_ins.is_due(task.task_id)

    def _next(self, only: Only) -> AddedTask | None:
        return next(
            (task for task in self.tasks_added if _is_meant(task.func, only) and self._is_left(task)),
            None,
        )

    async def _let_go(self, task: AddedTask) -> None:
        task.is_held = False
        held = next((held for held in self._held if held.plan.reference.has(task.task_id)), None)
        if held is None:
            await self._stand_ins.run(task.task_id)
        else:
            self._held.remove(held)
            await held.run()

    async def _perform(
        self, runner: Runner, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AddedTask:
        with self.held():
            task = self.observer.of(await add_outside(runner, func, args, kwargs))
        await self._let_go(task)
        _raise(task)
        return task

    def _only_runner(self) -> Runner:
        near = [each for each in covered() if each not in self._known or each in self._heard_from]
        if len(near) != 1:
            gc.collect()  # what is left of other tests
            near = near or covered()
        if len(near) != 1:
            raise LookupError(
                f"perform() runs a task in the only application of the test, and there are {len(near)}: build one, or "
                "say background_tasks.of(app).perform(...)"
            )
        return cast(Runner, near[0])


class CollectedTasks(AddedTasks):
    """The tasks that were added in one block."""

    def __init__(self, tasks: WatchedBackgroundTasks) -> None:
        self._tasks = tasks
        self._start = len(tasks.tasks_added)
        self._end: int | None = None

    @property
    def tasks_added(self) -> Sequence[AddedTask]:
        """What was added in the block, in order."""
        return self._tasks.tasks_added[self._start : self._end]

    def close(self) -> None:
        """The block has ended."""
        self._end = len(self._tasks.tasks_added)

    def _settle(self) -> None:
        self._tasks._settle()  # noqa: SLF001  # the same words


class TasksOf:
    """The background tasks of one application."""

    def __init__(self, tasks: WatchedBackgroundTasks, runner: Runner) -> None:
        self._tasks = tasks
        self._runner = runner

    async def perform(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AddedTask:
        """As `WatchedBackgroundTasks.perform`, in this application.

        Args:
            func: what is run.
            *args: what it is called with, without what the container supplies.
            **kwargs: the same, by name.

        Returns:
            The task, which has succeeded.

        Raises:
            BaseException: what it raised.
        """
        return await self._tasks._perform(self._runner, func, args, kwargs)  # noqa: SLF001  # one of two ways to say it


def _is_meant(func: Callable[..., Any], only: Only) -> bool:
    if only is None:
        return True
    return any(func == each for each in ([only] if callable(only) else only))


def _raise(task: AddedTask) -> None:
    state, error, reason = task.peek()
    if state not in FAILED:
        return
    task.is_looked_at = True
    raise error if error is not None else AssertionError(f"{task.name} has failed: {reason}")


def _lines(tasks: Iterable[AddedTask]) -> str:
    return "".join(f"\n  {task}" for task in tasks)
