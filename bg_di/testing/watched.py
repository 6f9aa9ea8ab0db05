"""The background tasks of all applications, as a test watches them: what runs, what is held, and how each ended."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
from ellar.app import App

from bg_di.calls.overlay import covered
from bg_di.errors import BackendUnavailable, BackgroundTasksUnavailable, OutcomeUnknown
from bg_di.module import BackgroundTasksModule
from bg_di.running.runner import Runner
from bg_di.testing.added import AddedTask
from bg_di.testing.matching import Only, chosen, error_types
from bg_di.testing.stage import SOON, Stage, lines
from bg_di.testing.words import AddedTasks


class WatchedBackgroundTasks(AddedTasks):
    """All background tasks that are added while a test runs, in every application of the process.

    In mode *run* they run as always: by the real runner, in the time of the request. In mode *hold* they are kept back
    until `drain`. In both, what goes to an engine is accepted by one that stands in its place, in memory, and is run
    from the very message that a worker would have got, when the response has been sent.

    Args:
        stage: what is put over the applications.

    Attributes:
        clock: on which delays, timeouts and the waits between attempts pass.
    """

    def __init__(self, stage: Stage) -> None:
        self.clock = stage.clock
        self._stage = stage

    @property
    def tasks_added(self) -> Sequence[AddedTask]:
        """What was added, in order."""
        return self._stage.observer.added

    @contextmanager
    def held(self, only: Only = None) -> Generator[None]:
        """Hold what is released in a block, until `drain`.

        Args:
            only: a function, or several, of whose calls; None: all.

        Raises:
            TypeError: it is no function.
        """
        with self._stage.held(only):
            yield

    @contextmanager
    def refusing(self, why: str = "is refused by the test", *, unknown: bool = False) -> Generator[None]:
        """Let engines refuse in a block what is handed over to them, as one does that cannot be reached.

        The task has failed then, with `BackendUnavailable`, or with `OutcomeUnknown`, which is one.

        Args:
            why: what the engine says.
            unknown: whether it may have accepted it all the same; here it has not.
        """
        kind = OutcomeUnknown if unknown else BackendUnavailable
        self._stage.stand_ins.refusal = kind("the backend", why)
        try:
            yield
        finally:
            self._stage.stand_ins.refusal = None

    def allow_failures(self, *errors: type[BaseException]) -> None:
        """Let tasks fail in this test, also if nobody looks at them.

        Args:
            *errors: of which types; none: of any.

        Raises:
            TypeError: one is no type of errors.
        """
        self._stage.allowed = (*self._stage.allowed, *(error_types(errors) or (BaseException,)))

    async def drain(self, *, only: Only = None) -> None:
        """Run what is held, in order, with what that adds; and what is due on an engine. Wait for what runs elsewhere.

        Args:
            only: a function, or several, of whose calls; None: all.

        Raises:
            BaseException: what a task raised. It is reported to the `TaskErrorHandler`, too, and what is behind it is
                still held.
            TypeError: `only` is no function.
        """
        functions = chosen(only)
        while task := self._stage.next(functions):
            await self._stage.let_go(task)
        await anyio.to_thread.run_sync(self.wait)

    def wait(self, timeout: float = SOON) -> None:
        """Wait until what was added has ended, as it does by itself: on a live server, after the response has come.

        Not in a coroutine, whose event loop would stand still: there `drain` waits.

        Args:
            timeout: seconds, of real time.

        Raises:
            AssertionError: it has not ended by then.
        """
        stage = self._stage
        if not stage.observer.wait(lambda: not stage.under_way(), timeout):
            raise AssertionError(f"background tasks run on after {timeout} seconds:{lines(stage.under_way())}")

    async def perform(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AddedTask:
        """Run one task alone, with its real scope, policies and attempts; through its message, if it goes to an engine.

        Args:
            func: what is run, in the only application that this test has built or added to; else in the only one that
                tests share. See `of`.
            *args: what it is called with, without what the container supplies.
            **kwargs: the same, by name.

        Returns:
            The task, which has succeeded.

        Raises:
            BaseException: what it raised.
            LookupError: there is no application, or there are several.
        """
        return await self._stage.perform(self._stage.only_runner(), func, args, kwargs)

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
        return TasksOf(self._stage, module.get(Runner))

    def _settle(self) -> None:
        self._stage.settle()

    def _why_nothing(self) -> str:
        return "" if covered() else ": no application here has BackgroundTasksModule; declare it in the root module"


class TasksOf:
    """The background tasks of one application."""

    def __init__(self, stage: Stage, runner: Runner) -> None:
        self._stage = stage
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
        return await self._stage.perform(self._runner, func, args, kwargs)
