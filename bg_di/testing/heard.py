"""What is heard of the tasks of a test, from whatever thread they run in."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from bg_di.backends import Accepted, Message
from bg_di.calls.plan import Plan
from bg_di.edge.connection import ConnectionTasks
from bg_di.errors import BackendUnavailable
from bg_di.observers.outcome import Outcome
from bg_di.observing.observer import Event, TaskObserver
from bg_di.record import State, TaskRecord
from bg_di.running.runner import Runner
from bg_di.testing.added import AddedTask

_NOT_RUN: Final = frozenset({"dropped", "skipped", "cancelled", "refused"})


class Heard(TaskObserver):
    """Keeps every task that was added, and how it stands."""

    def __init__(self) -> None:
        self._by_id: dict[str, AddedTask] = {}
        self._added: list[AddedTask] = []
        # What hands a task over, and all that is open in its application.
        self._handing: dict[str, tuple[Any, set[Any]]] = {}
        self._changed = threading.Condition()

    @property
    def added(self) -> Sequence[AddedTask]:
        """What was added, in order."""
        with self._changed:
            return tuple(self._added)

    def of(self, task_id: str) -> AddedTask:
        """The task of an id. It may be heard of before it is said to have been added, by another thread."""
        with self._changed:
            return self._by_id.setdefault(task_id, AddedTask(_unknown, (), {}))

    def add(self, runner: Runner, plan: Plan) -> None:
        """A call was added."""
        task = self.of(plan.reference.task_id)
        task.func, task.args, task.kwargs = plan.func, plan.args, dict(plan.kwargs)  # type: ignore[assignment]
        task.task_id, task.name = plan.reference.task_id, plan.name
        task.method, task.path = plan.collection.method, plan.collection.path
        task.backend = None if plan.outgoing is None else plan.outgoing.backend
        with self._changed:
            self._added.append(task)
            if plan.outgoing is not None:
                self._handing[task.task_id] = plan.collection, runner.ledger.collections

    def accept(self, message: Message, accepted: Accepted) -> None:
        """An engine has a task, or one that stands for it."""
        task = self.of(message.task_id)
        collection, _ = self._handing.get(message.task_id, (None, ()))
        task.accepted_before_response = not (isinstance(collection, ConnectionTasks) and collection.has_started)
        stands_for_it = None if accepted.is_new else f"{accepted.task_id} stands for it, by its unique key"
        self.stands(task, "accepted", reason=stands_for_it)

    def refuse(self, message: Message, error: BackendUnavailable) -> None:
        """An engine does not take a task, as the test wants it; so it has been looked at."""
        task = self.of(message.task_id)
        task.is_looked_at = True
        self.stands(task, "waiting", error=error)

    def is_in_flight(self, task: AddedTask) -> bool:
        """Whether the request goes on that has handed a task over: at its end it is run."""
        collection, open_ones = self._handing.get(task.task_id, (None, ()))
        return collection in open_ones

    def stands(
        self, task: AddedTask, state: State, *, error: BaseException | None = None, reason: str | None = None
    ) -> None:
        """Note how a task stands, and tell who waits for it."""
        with self._changed:
            task.stands(state, error=error, reason=reason)
            self._changed.notify_all()

    def hold(self, task: AddedTask) -> None:
        """Note that a task is held, which nobody has to wait for."""
        with self._changed:
            task.is_held = True
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until that is so; return whether it is."""
        with self._changed:
            return self._changed.wait_for(until, timeout)

    @contextmanager
    def task(self, record: TaskRecord) -> Generator[None]:
        task, outcome = self.of(record.task_id), Outcome()
        self.stands(task, "running")
        try:
            with outcome:
                yield
        except BaseException as error:
            self.stands(task, outcome.state, error=error)
            raise
        self.stands(task, "succeeded")

    def attempt(self, record: TaskRecord) -> None:
        self.of(record.task_id).attempt = record.attempt

    def event(self, kind: Event, record: TaskRecord) -> None:
        if kind in _NOT_RUN:
            task = self.of(record.task_id)
            _, error, _ = task.peek()
            self.stands(task, record.state, error=error, reason=record.reason)


def _unknown() -> None: ...  # until it is said what was added
