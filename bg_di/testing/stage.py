"""What is put over every application while a test runs: what it holds, what it lets run, and what is left."""

import gc
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, cast
from weakref import WeakSet

import anyio
import anyio.lowlevel

from bg_di.backends import Backend, Engine
from bg_di.calls.overlay import covered
from bg_di.calls.plan import Plan
from bg_di.calls.task import Waiting
from bg_di.declaring.retry import Retry
from bg_di.handing_over.engines import Engines
from bg_di.running.runner import Runner
from bg_di.testing.added import FAILED, AddedTask
from bg_di.testing.clock import VirtualClock
from bg_di.testing.heard import Heard
from bg_di.testing.held import HeldTask, add_outside
from bg_di.testing.matching import Chosen, Only, chosen, is_meant
from bg_di.testing.stand_ins import StandIns

# Seconds that what still runs in another thread has to end, where somebody asks how it did.
SOON: Final = 5.0


class Stage:
    """What one test has put over every application, as `bg_di.calls.overlay.Overlay` has it.

    Args:
        before: what `bg_di.calls.overlay.covered` gave before the test has built anything; None: what it gives now.
        shared: what of it was built for several tests, which may become more; None: all.

    Attributes:
        clock: of the test.
        observer: knows every task, and how it stands.
        stand_ins: stand in the place of engines.
        allowed: the errors that tasks may fail with, also if nobody looks at them.
    """

    def __init__(self, before: Iterable[Any] | None = None, shared: WeakSet[Any] | None = None) -> None:
        self.clock = VirtualClock()
        self.observer = Heard()
        self.stand_ins = StandIns(self.clock, self.observer)
        self.allowed: tuple[type[BaseException], ...] = ()
        self._held: list[HeldTask] = []
        self._holding: list[Chosen] = []
        self._known = WeakSet(covered() if before is None else before)
        self._shared = self._known if shared is None else shared
        self._heard_from: list[Runner] = []

    def added(self, runner: Runner, plan: Plan) -> None:
        """A call was added."""
        if runner not in self._heard_from:
            self._heard_from.append(runner)
        self.observer.add(runner, plan)

    def holds(self, runner: Runner, call: Waiting) -> bool:
        """Whether a call is held instead of being run."""
        plan = call[6]
        if not isinstance(plan, Plan) or not self._is_to_hold(plan.reference.task_id):
            return False
        self._held.append(HeldTask(runner, call, plan))
        self.observer.hold(self.observer.of(plan.reference.task_id))
        return True

    def engine(self, engines: Engines, name: str, backend: Backend) -> Engine:
        """What stands in the place of an engine."""
        return self.stand_ins.engine(engines, name)

    async def deliver(self, runner: Runner) -> None:
        """Run what was accepted, unless it is held."""
        await self.stand_ins.deliver(runner, self._may_run)

    def passing(self, scope: anyio.CancelScope, seconds: float) -> AbstractContextManager[None]:
        """Let a timeout pass on the clock."""
        return self.clock.passing(scope, seconds)

    def attempts(self, retry: Retry, limit: float | None) -> AsyncIterable[Any]:
        """Let the waits between attempts pass on the clock."""
        return self.clock.attempts(retry, limit)

    @contextmanager
    def held(self, only: Only) -> Generator[None]:
        """Hold in a block what is released of these functions; None: of all."""
        functions = chosen(only)
        self._holding.append(functions)
        try:
            yield
        finally:
            self._holding.remove(functions)

    def next(self, functions: Chosen) -> AddedTask | None:
        """The first task of these functions that is held, or due on an engine; None if there is none."""
        return next(
            (task for task in self.observer.added if is_meant(task.func, functions) and self._is_left(task)),
            None,
        )

    async def let_go(self, task: AddedTask) -> None:
        """Run what is held, or due on an engine.

        Raises:
            BaseException: what it has raised.
        """
        task.is_held = False
        held = next((held for held in self._held if held.plan.reference.known == task.task_id), None)
        if held is None:
            await self.stand_ins.run(task.task_id)
        else:
            self._held.remove(held)
            await held.run()
        _raise(task)

    async def perform(
        self, runner: Runner, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AddedTask:
        """Run one task alone, in one application.

        Raises:
            BaseException: what it has raised.
        """
        with self.held(None):
            task = self.observer.of(await add_outside(runner, func, args, kwargs))
        await self.let_go(task)
        return task

    def only_runner(self) -> Runner:
        """That of the only application that the test has built or added to; else of the only one that tests share.

        Raises:
            LookupError: there is none, or there are several.
        """
        whose, near = "that this test has built or added to", [each for each in covered() if self._is_near(each)]
        if not near:
            gc.collect()  # what is left of fixtures that have ended
            whose, near = "that tests share, if a test has none of its own", list(self._shared)
        if len(near) != 1:
            raise LookupError(
                f"perform() runs a task in the only application {whose}, and there are {len(near)}: build one, or say "
                "background_tasks.of(app).perform(...)"
            )
        return cast(Runner, near[0])

    def _is_near(self, runner: Runner) -> bool:
        return runner in self._heard_from or (runner not in self._known and runner not in self._shared)

    def settle(self) -> None:
        """Wait for what runs elsewhere, if that is possible here."""
        try:
            anyio.lowlevel.current_token()
        except RuntimeError:  # no event loop runs here, so others go on while this thread waits
            self.observer.wait(lambda: not self.under_way(), SOON)

    def under_way(self) -> list[AddedTask]:
        """What runs, or will by itself."""
        return [task for task in self.observer.added if self._is_under_way(task)]

    def _is_under_way(self, task: AddedTask) -> bool:
        state, _, _ = task.peek()
        if task.is_held:
            return False
        is_to_run = self._is_due(task) and self.observer.is_in_flight(task)
        return state in {"waiting", "running"} or is_to_run or self.stand_ins.is_delivered(task.task_id)

    def check(self) -> None:
        """Fail if a task has failed that nobody looked at, or is held or due and was never run, or has not ended.

        Raises:
            AssertionError: naming them.
        """
        self.settle()
        failed = [task for task in self.observer.added if self._is_unseen(task)]
        held = [task for task in self.observer.added if self._is_left(task)]
        wrong = (
            ("failed, and nobody looked at it (assert_failed, allow_failures)", failed),
            ("held or due, and never run (drain)", held),
            ("not ended when the test had (wait, drain)", self.under_way()),
        )
        said = [f"{what}:{lines(tasks)}" for what, tasks in wrong if tasks]
        if said:
            raise AssertionError("background tasks of this test\n" + "\n".join(said))

    def _may_run(self, task_id: str) -> bool:
        task = self.observer.of(task_id)
        if self._is_to_hold(task_id):
            self.observer.hold(task)
        return not task.is_held

    def _is_to_hold(self, task_id: str) -> bool:
        task = self.observer.of(task_id)
        if not task.task_id:  # it was added before the test, which would never run it
            return False
        return any(is_meant(task.func, functions) for functions in tuple(self._holding))

    def _is_unseen(self, task: AddedTask) -> bool:
        state, error, _ = task.peek()
        is_allowed = isinstance(error, self.allowed) if error is not None else BaseException in self.allowed
        return state in FAILED and not task.is_looked_at and not is_allowed

    def _is_left(self, task: AddedTask) -> bool:
        state, _, _ = task.peek()
        return (task.is_held and state == "waiting") or (self._is_due(task) and not self.observer.is_in_flight(task))

    def _is_due(self, task: AddedTask) -> bool:
        return self.stand_ins.is_due(task.task_id)


def _raise(task: AddedTask) -> None:
    state, error, reason = task.peek()
    if state not in FAILED:
        return
    task.is_looked_at = True
    raise error if error is not None else AssertionError(f"{task.name} has failed: {reason}")


def lines(tasks: Iterable[AddedTask]) -> str:
    """Tasks, each in a line of its own."""
    return "".join(f"\n  {task}" for task in tasks)
