"""What tests say of the tasks that were added: the same words for those that ran and for those of a fake."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from starlette.background import BackgroundTask

from bg_di.testing.added import FAILED, AddedTask
from bg_di.testing.matching import Wanted, error_types

_NOT_RUN: Final = frozenset({"dropped", "skipped", "cancelled"})


class AddedTasks(ABC):
    """Tasks that were added, in order, and what a test says of them.

    Arguments are matched as the signature binds them, so that ``f(1)`` is ``f(x=1)``. What is not given may be
    anything, and so may what is given as `unittest.mock.ANY`. What fails shows what was expected, what there was, and
    the nearest to it.
    """

    @property
    @abstractmethod
    def tasks_added(self) -> Sequence[AddedTask]:
        """What was added, in order."""

    def _settle(self) -> None:  # noqa: B027  # a fake has nothing to wait for
        """Wait for what runs elsewhere, if that is possible here."""

    @contextmanager
    def collect(self) -> Generator["CollectedTasks"]:
        """Look at one block: what is added in it answers to the same words, in the block and after it."""
        collected = CollectedTasks(self)
        try:
            yield collected
        finally:
            collected.close()

    def all(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> list[AddedTask]:
        """The calls of `func` that were added, in order.

        Args:
            func: the function that was added; bound methods are equal if instance and function are.
            *args: arguments that the calls must have.
            **kwargs: the same, by name.

        Raises:
            TypeError: it is no function, or no call of it could have these arguments.
        """
        return self._matching(Wanted(func, args, kwargs))

    def one(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AddedTask:
        """The only call of `func` that was added.

        Args:
            func: as for `all`.
            *args: likewise.
            **kwargs: likewise.

        Raises:
            AssertionError: there is none, or there are several.
            TypeError: it is no function, or no call of it could have these arguments.
        """
        __tracebackhide__ = True
        wanted = Wanted(func, args, kwargs)
        found = self._matching(wanted)
        if len(found) != 1:
            raise AssertionError(f"expected one {wanted}, found {len(found)}; {self._shown(wanted, found)}")
        return found[0]

    def assert_not_added(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Fail if a call of `func` was added.

        Args:
            func: as for `all`.
            *args: likewise.
            **kwargs: likewise.

        Raises:
            AssertionError: one was.
        """
        __tracebackhide__ = True
        if self.all(func, *args, **kwargs):
            raise AssertionError(f"{Wanted(func, args, kwargs)} was added; {self._shown()}")

    def assert_none(self) -> None:
        """Fail if anything was added.

        Raises:
            AssertionError: something was.
        """
        __tracebackhide__ = True
        if self.tasks_added:
            raise AssertionError(f"expected no background task; {self._shown()}")

    def assert_ran(self, task: AddedTask | Callable[..., Any], /) -> AddedTask:
        """Fail unless a task has run to its end, without an error.

        Args:
            task: from `one` or `all`, or the function, of which only one call was added.

        Raises:
            AssertionError: it has not.
        """
        __tracebackhide__ = True
        task = self._ended(task)
        if task.state != "succeeded":
            raise AssertionError(f"expected that it has run: {task}") from task.error
        return task

    def assert_failed(
        self, task: AddedTask | Callable[..., Any], error: type[BaseException] | tuple[type[BaseException], ...], /
    ) -> AddedTask:
        """Fail unless a task has failed, with an error of this type; for a timeout that is `bg_di.errors.TaskTimedOut`.

        Args:
            task: from `one` or `all`, or the function, of which only one call was added.
            error: a type or a tuple of types.

        Raises:
            AssertionError: it has not.
            TypeError: `error` is no type of errors.
        """
        __tracebackhide__ = True
        types = error_types(error)
        task = self._ended(task)
        if task.state not in FAILED or not isinstance(task.error, types):
            named = " or ".join(each.__name__ for each in types)
            raise AssertionError(f"expected that it has failed with {named}: {task}") from task.error
        return task

    def assert_skipped(self, task: AddedTask | Callable[..., Any], /, *, reason: str | None = None) -> AddedTask:
        """Fail unless a task was not run: dropped, as its ``when`` was decided against it; skipped; or cancelled.

        Args:
            task: from `one` or `all`, or the function, of which only one call was added.
            reason: what the reason must have in it; None: anything.

        Raises:
            AssertionError: it was run, or waits, or the reason is another one.
        """
        __tracebackhide__ = True
        task = self._ended(task)
        if task.state not in _NOT_RUN:
            raise AssertionError(f"expected that it was not run: {task}") from task.error
        if reason is not None and reason not in (task.reason or ""):
            raise AssertionError(f"expected that it was not run because of {reason!r}: {task}")
        return task

    def assert_accepted(self, task: AddedTask | Callable[..., Any], /) -> AddedTask:
        """Fail unless an engine had a task before the response started; outside of a request: unless one had it.

        Args:
            task: from `one` or `all`, or the function, of which only one call was added.

        Raises:
            AssertionError: no engine has it, or it had it only later.
        """
        __tracebackhide__ = True
        task = self._ended(task)
        if task.accepted_before_response is None:
            raise AssertionError(f"expected that an engine has accepted it: {task}")
        if not task.accepted_before_response:
            raise AssertionError(f"expected that it was accepted before the response started, and it was later: {task}")
        return task

    def _ended(self, task: AddedTask | Callable[..., Any]) -> AddedTask:
        __tracebackhide__ = True
        self._settle()
        return task if isinstance(task, AddedTask) else self.one(task)

    def _matching(self, wanted: Wanted) -> list[AddedTask]:
        return [task for task in self.tasks_added if wanted.matches(task)]

    def _why_nothing(self) -> str:
        return ""

    def _shown(self, wanted: Wanted | None = None, found: Sequence[BackgroundTask] = ()) -> str:
        tasks = self.tasks_added
        if not tasks:
            return f"nothing was added{self._why_nothing()}"
        nearest = wanted.nearest(tasks) if wanted is not None and not found else None
        lines = [
            f"\n  {task}{f'  <- the nearest: {nearest[1]}' if nearest is not None and task is nearest[0] else ''}"
            for task in tasks
        ]
        return f"added:{''.join(lines)}"


class CollectedTasks(AddedTasks):
    """The tasks that were added in one block.

    Args:
        tasks: those that are added in the block and around it.
    """

    def __init__(self, tasks: AddedTasks) -> None:
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
