"""A backend in the process that holds what it has accepted, until a test lets it run."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from bg_di.backends import Accepted, Consumer, Counts, Delivery, Engine, Entry, Message, StoredState
from bg_di.backends.sessions import synchronous
from bg_di.backends.sqlite.session_tasks import SessionTask, SessionTasks
from bg_di.errors import BackendUnavailable
from bg_di.testing.clock import VirtualClock
from bg_di.testing.memory import Kept, Memory


class HoldingEngine(Engine):
    """Stands in the place of one engine of an application, and keeps its tasks by the clock of a test.

    Workers get nothing from it: the test runs what is due, where it waits for it.

    Args:
        clock: of the test.
        accepted: hears of each message what became of it.
        refusal: gives what the engine says of a message instead of accepting it, if anything.
    """

    def __init__(
        self,
        clock: VirtualClock,
        accepted: Callable[[Message, Accepted], None],
        refusal: Callable[[Message], BackendUnavailable | None],
    ) -> None:
        self._clock = clock
        self._accepted = accepted
        self._refusal = refusal
        self._memory = Memory(lambda: time.time() + clock.passed)
        self._sessions: WeakKeyDictionary[Any, SessionTasks] = WeakKeyDictionary()

    async def accept(self, messages: Sequence[Message]) -> Sequence[Accepted | BackendUnavailable]:
        return [self._refusal(message) or self._keep(message) for message in messages]

    def _keep(self, message: Message) -> Accepted:
        passed = self._clock.passed
        until = None if message.unique_until is None else message.unique_until + passed
        kept = replace(message, added_at=message.added_at + passed, due_at=message.due_at + passed, unique_until=until)
        accepted = self._memory.accept(kept)
        self._accepted(message, accepted)
        return accepted

    def waiting(self) -> Iterator[Kept]:
        """What has been accepted and is due, in that order."""
        for kept in list(self._memory.kept.values()):
            if kept.state == "accepted" and kept.due_at <= self._memory.now():
                yield kept

    def has_delivered(self, task_id: str) -> bool:
        """Whether a task was given to a worker, which has not said yet what became of it."""
        kept = self._memory.kept.get(task_id)
        return kept is not None and kept.state == "running"

    def meant(self, task_id: str) -> Kept | None:
        """The task of an id, or the one that stands for it."""
        return self._memory.meant(task_id)

    def deliver(self, kept: Kept) -> Delivery | None:
        """Give a task to a worker, which goes by the real time; None if it does not wait any more."""
        delivery, passed = self._memory.deliver(kept), self._clock.passed
        if delivery is None:
            return None
        return replace(delivery, added_at=delivery.added_at - passed, due_at=delivery.due_at - passed)

    def settled(self, delivery: Delivery, state: StoredState, /, **changes: Any) -> None:
        """Note what became of a delivery."""
        self._memory.change(delivery.task_id, state=state, **changes)

    async def consume(
        self, names: Collection[str], *, version: int = 1, lost: Callable[[str, str, str], None]
    ) -> "HoldingConsumer":
        return HoldingConsumer(self, self._memory.now)

    async def close(self) -> None:
        """There is nothing to end: it is the test's."""

    def abandon(self) -> None:
        """Likewise."""

    def cancel(self, task_id: str) -> bool:
        return self._memory.cancel(task_id)

    def show(self, task_id: str) -> Entry | None:
        kept = self._memory.meant(task_id)
        return None if kept is None else kept.entry()

    def entries(self, state: StoredState | None = None, *, limit: int) -> Sequence[Entry]:
        kept = reversed(list(self._memory.kept.values()))
        return [each.entry() for each in kept if state in {None, each.state}][:limit]

    def retry(self, task_ids: Collection[str] | None = None) -> Sequence[str]:
        wanted = list(self._memory.kept) if task_ids is None else task_ids
        return [task_id for task_id in wanted if self._memory.retry(task_id)]

    def prune(self, *, before: float, dead: bool = False) -> int:
        return self._memory.prune(before=before, dead=dead)

    def counts(self) -> Counts:
        return self._memory.counts()

    def write(self, session: Any, message: Message, ended: Callable[[Accepted | None], None]) -> Callable[[], bool]:
        """Accept a message with the commit of a session, whatever that is on: the test may have it elsewhere."""
        session = synchronous(session)
        tasks = self._sessions.get(session)
        if tasks is None:
            tasks = self._sessions[session] = SessionTasks(session, self._write_now, lambda: None)
        return tasks.add(session, SessionTask(message, partial(self._committed, message, ended)))

    def _write_now(self, session: Any, tasks: Sequence[SessionTask], taken_back: Sequence[str]) -> None:
        # Only what its commit has confirmed is kept; until then a task stands for itself.
        for task in tasks:
            task.outcome = Accepted(task_id=task.task_id, is_new=True)

    def _committed(self, message: Message, ended: Callable[[Accepted | None], None], outcome: Accepted | None) -> None:
        ended(None if outcome is None else self._keep(message))

    def refuse_behind(self, session: Any) -> None:
        """Nothing is locked here."""


class HoldingConsumer(Consumer):
    """A worker's side of it: nothing is delivered, and what the test runs is settled.

    Args:
        engine: whose tasks these are.
        now: tells the time.
    """

    def __init__(self, engine: HoldingEngine, now: Callable[[], float]) -> None:
        self._engine = engine
        self._now = now
        self._stopped = asyncio.Event()

    async def receive(self, slots: int) -> Sequence[Delivery]:
        await self._stopped.wait()
        return ()

    async def acknowledge(self, delivery: Delivery) -> bool:
        self._engine.settled(delivery, "succeeded", attempt=delivery.attempt + 1)
        return True

    async def reschedule(self, delivery: Delivery, *, delay: float, attempt: int, reason: str) -> bool:
        due_at = self._now() + delay
        self._engine.settled(delivery, "accepted", due_at=due_at, attempt=attempt, delivery=0, reason=reason)
        return True

    async def release(self, delivery: Delivery) -> bool:
        self._engine.settled(delivery, "accepted", delivery=delivery.delivery - 1)
        return True

    async def bury(self, delivery: Delivery, *, attempt: int, reason: str) -> bool:
        self._engine.settled(delivery, "dead", attempt=attempt, reason=reason)
        return True

    async def stop(self) -> None:
        self._stopped.set()
