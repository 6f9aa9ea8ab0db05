"""What goes on in one application and what has ended: noted in passing, put into words when somebody asks."""

from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from inspect import CORO_CLOSED, getcoroutinestate
from threading import Lock
from time import time
from typing import Any, Final, Protocol

from bg_di.calls.context import TaskReference
from bg_di.calls.plan import Plan
from bg_di.calls.task import Task, Waiting
from bg_di.declaring.binding import name_of
from bg_di.record import State, TaskRecord

# What is kept of an error: its text may be of any size.
_LONGEST_REASON: Final = 500

# How a task ended: the state, why, what stands for it if somebody has that, and its last attempt.
End = tuple[State, str | None, TaskReference | None, int]
# What ended one after another: the functions or their names, the request's method and path, and when.
Ended = tuple[list[Callable[..., Any] | str], str, str, float, End]

SUCCEEDED: Final[End] = ("succeeded", None, None, 1)


class Watched(Protocol):
    """What is known here of a collection."""

    @property
    def is_draining(self) -> bool: ...

    def at_work(self) -> Iterable[tuple[Waiting, State, float]]: ...

    async def wait(self) -> None: ...

    def cancel(self, call: Waiting) -> bool: ...


class Ledger:
    """What one application has to do and has done.

    Most tasks run and end without anybody looking. So what is noted of them is a tuple for a whole row of calls, and
    ids, times and names are made when somebody reads.

    Args:
        history: how many ended tasks are remembered.

    Attributes:
        collections: of the requests that are open, and of what collects outside of any.
        asked: what stands for the plain calls that somebody has asked about, until they end.
        ended: what ended and nobody has read yet.
    """

    def __init__(self, history: int) -> None:
        self.collections: set[Watched] = set()
        self.asked: dict[Coroutine[Any, Any, Any], TaskReference] = {}
        self.ended: deque[Ended] = deque(maxlen=history)
        self._history: deque[TaskRecord] = deque(maxlen=history)
        self._reading = Lock()

    def note(self, call: Waiting, state: State, reason: str | None = None, *, ran: bool = True) -> None:
        """Note how one call ended, and why, if it did not succeed or was not even run."""
        coroutine, _, origin, func, _, _, plan = call
        name = name_of(func) if plan is None else plan.name
        reference = plan.reference if isinstance(plan, Plan) else self.asked.pop(coroutine, None)
        end: End = (state, reason and reason[:_LONGEST_REASON], reference, _attempt(plan, ran=ran))
        self.ended.append(([name], origin.collection.method, origin.collection.path, time(), end))

    def forget(self, call: Waiting) -> None:
        """Keep nothing of a call that was refused, but may have been seen."""
        self.asked.pop(call[0], None)

    @contextmanager
    def open(self, collection: Watched) -> Generator[None]:
        """Watch a collection in a block of code."""
        self.collections.add(collection)
        try:
            yield
        finally:
            self.collections.discard(collection)

    def draining(self) -> list[Watched]:
        """The collections whose tasks are being run."""
        return [collection for collection in tuple(self.collections) if collection.is_draining]

    def history(self) -> tuple[TaskRecord, ...]:
        """What has ended, in order."""
        with self._reading:
            while self.ended:
                self._history.extend(_records(self.ended.popleft(), self._history.maxlen))
            return tuple(self._history)

    def at_work(self) -> Iterable[tuple[Watched, Waiting, State, float]]:
        """What waits and runs, a request after another."""
        for collection in tuple(self.collections):
            for call, state, since in collection.at_work():
                yield collection, call, state, since

    def record(self, call: Waiting, state: State, since: float) -> TaskRecord:
        """What is told of a call that has not ended."""
        plan, task = call[6], Task(call)
        return TaskRecord(
            task_id=self._reference(call).task_id,
            name=task.name,
            method=task.collection.method,
            path=task.collection.path,
            state=state,
            since=_utc(since),
            attempt=_attempt(plan, ran=state == "running"),
        )

    def is_called(self, call: Waiting, task_id: str) -> bool:
        """Whether that is the id of a call, as it was told to somebody."""
        plan = call[6]
        reference = plan.reference if isinstance(plan, Plan) else self.asked.get(call[0])
        return reference is not None and reference.known == task_id

    def _reference(self, call: Waiting) -> TaskReference:
        coroutine, plan = call[0], call[6]
        if isinstance(plan, Plan):
            return plan.reference
        reference = self.asked.setdefault(coroutine, TaskReference())
        if getcoroutinestate(coroutine) == CORO_CLOSED:  # it has ended meanwhile, in the thread of its event loop
            self.asked.pop(coroutine, None)
        return reference


def _attempt(plan: object, *, ran: bool) -> int:
    return plan.attempt if isinstance(plan, Plan) else int(ran)


def _records(ended: Ended, at_most: int | None) -> Iterable[TaskRecord]:
    ran, method, path, at, (state, reason, reference, attempt) = ended
    for what in ran[-(at_most or 1) :]:
        yield TaskRecord(
            task_id=(reference or TaskReference()).task_id,
            name=what if isinstance(what, str) else name_of(what),
            method=method,
            path=path,
            state=state,
            since=_utc(at),
            attempt=attempt,
            reason=reason,
        )


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
