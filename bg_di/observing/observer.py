"""Who watches tasks: around each of them, around each attempt, and when something happens to one."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal

from bg_di import log
from bg_di.calls.overlay import overlay
from bg_di.calls.plan import Plan
from bg_di.calls.steps import is_failure
from bg_di.record import State, TaskRecord

Event = Literal["added", "released", "dropped", "skipped", "cancelled", "accepted", "refused"]
"""What `TaskObserver.event` hears of a task."""


class TaskObserver:
    """Watches the tasks of an application. Override what you want to hear of; the rest costs nothing.

    Give it to the option ``observers``, as an instance, or as a class that the container builds when the application
    is ready. The hooks are called where the task is added or run, in its context variables, so what they do should be
    quick. What they raise is logged and changes nothing, neither for the task nor for other observers.
    """

    def task(self, record: TaskRecord) -> AbstractContextManager[Any] | None:
        """A task runs: what is returned is entered before its first attempt, and left when it has ended.

        Args:
            record: its state is ``"running"``, its attempt 0.

        Returns:
            A context manager, which sees how the task ends: by no error, by its last one
            (`bg_di.errors.TaskTimedOut` if it took too long), or by cancellation. It is left in the context in which
            it was entered, so context variables may be set and reset. None if there is nothing to leave.
        """
        return None

    def attempt(self, record: TaskRecord) -> AbstractContextManager[Any] | None:
        """One attempt of a task runs: as `task`, around each, in its own context variables.

        Args:
            record: its attempt counts from 1.

        Returns:
            As `task`.
        """
        return None

    def event(self, kind: Event, record: TaskRecord) -> None:
        """Something happened to a task.

        Args:
            kind: ``"added"``; ``"released"``, it runs next; or it will not run: it was ``"dropped"``, as its ``when``
                was decided against it, ``"skipped"``, as an earlier failure ended the rest, or ``"cancelled"``, as its
                request ended or somebody cancelled it in the process before it started. Of tasks that go to an engine:
                it was ``"accepted"``, or ``"refused"``, or may have been either, as the reason says.
            record: as it stands now. If the task will not run, it has the reason.
        """


class Observers:
    """The observers of one application, each kept from hurting anybody else.

    Attributes:
        listening: whether there is anybody to be told of anything.
    """

    def __init__(self) -> None:
        self._given: tuple[TaskObserver, ...] = ()
        self.listen()

    def watch(self, observers: Iterable[TaskObserver]) -> None:
        """Call from now on the hooks that `observers` override."""
        self._given = (*self._given, *observers)
        self.listen()

    def listen(self) -> None:
        """Call from now on also those of what a test has put over the application."""
        over = overlay()
        observers = self._given if over is None else (*self._given, over.observer)
        self._tasks, self._attempts, self._events = (
            _overridden(hook, observers) for hook in ("task", "attempt", "event")
        )
        self.listening = bool(self._tasks or self._attempts or self._events)

    def around_task(self, plan: Plan) -> AbstractContextManager[None]:
        """What is entered while a task runs."""
        return _Around(self._tasks, plan.record("running")) if self._tasks else NOBODY

    def around_attempt(self, plan: Plan) -> AbstractContextManager[None]:
        """What is entered while an attempt runs."""
        return _Around(self._attempts, plan.record("running")) if self._attempts else NOBODY

    def event(self, kind: Event, plan: Plan, state: State, reason: str | None = None) -> None:
        """Tell what happened to a task."""
        if not self._events:
            return
        record = plan.record(state, reason)
        for hook in self._events:
            try:
                hook(kind, record)
            except BaseException as error:  # noqa: BLE001  # it is judged there
                _excuse(hook, error)


def _overridden(hook: str, observers: Iterable[TaskObserver]) -> list[Callable[..., Any]]:
    hooks = (getattr(observer, hook) for observer in observers)
    return [own for own in hooks if getattr(own, "__func__", None) is not getattr(TaskObserver, hook)]


class _Around(AbstractContextManager[None]):
    """All that some hooks return for one record, entered and left whatever that makes of it."""

    def __init__(self, hooks: list[Callable[..., Any]], record: TaskRecord) -> None:
        self._hooks = hooks
        self._record = record
        self._entered: list[tuple[Callable[..., Any], AbstractContextManager[Any]]] = []

    def __enter__(self) -> None:
        for hook in self._hooks:
            try:
                entered = hook(self._record)
                if entered is not None:
                    entered.__enter__()
                    self._entered.append((hook, entered))
            except BaseException as error:  # noqa: BLE001  # it is judged there
                _excuse(hook, error)

    def __exit__(self, *error: Any) -> None:
        while self._entered:
            hook, entered = self._entered.pop()
            try:
                entered.__exit__(*error)
            except BaseException as failed:  # noqa: BLE001  # it is judged there
                _excuse(hook, failed)


def _excuse(hook: Callable[..., Any], error: BaseException) -> None:
    # An observer is not to be noticed. A `CancelledError` is its own: nothing is awaited here.
    if not is_failure(error, None):
        raise error
    log.observer_failed(hook)


NOBODY: Final = nullcontext()
