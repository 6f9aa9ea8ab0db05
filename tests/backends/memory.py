"""A backend that a team might write: it keeps tasks in the memory of the process, and fails when it is told to."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bg_di.backends import (
    Accepted,
    Backend,
    Capability,
    Consumer,
    Counts,
    Delivery,
    Engine,
    Entry,
    Message,
    StoredState,
)
from bg_di.errors import BackendUnavailable
from bg_di.testing.memory import Kept
from bg_di.testing.memory import Memory as Store
from bg_di.values import Seconds


@dataclass
class Memory:
    """What all handles of one backend share.

    Attributes:
        asked: every batch that an engine was asked to accept.
        answer: awaited before a batch is accepted, with its messages; what it returns for one, if not None, is its
            outcome. What it raises is the outcome of all.
        verdicts: awaited before a verdict on a delivery is taken.
        claims: awaited before deliveries are given.
        resting: awaited where a worker is told to take no more.
        ending: called where a handle is closed or a worker stops, with "close" or "stop".
        consuming: called where a worker begins.
        told: the verdicts that were taken, each with its task.
        stores: the tasks of each application.
        ahead: how many seconds its clock is.
        opened, closed, abandoned: how many handles.
    """

    stores: dict[str, Store] = field(default_factory=dict)
    asked: list[list[Message]] = field(default_factory=list)
    answer: Callable[[Sequence[Message]], Any] | None = None
    verdicts: Callable[[str, Delivery], Any] | None = None
    claims: Callable[[], Any] | None = None
    resting: Callable[[], Any] | None = None
    ending: Callable[[str], Any] | None = None
    consuming: Callable[[], Any] | None = None
    ahead: float = 0.0
    told: list[tuple[str, str]] = field(default_factory=list)
    consumers: list["MemoryConsumer"] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    abandoned: int = 0
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, application: str) -> Store:
        return self.stores.setdefault(application, Store(self.now))

    @property
    def kept(self) -> dict[tuple[str, str], Kept]:
        """All tasks, by application and id."""
        return {(name, task_id): kept for name, store in self.stores.items() for task_id, kept in store.kept.items()}

    def state(self, task_id: str) -> StoredState | None:
        return next((kept.state for (_, known), kept in self.kept.items() if known == task_id), None)

    def one(self) -> Kept:
        [kept] = self.kept.values()
        return kept

    def names(self) -> list[str]:
        return [kept.message.name for kept in self.kept.values()]

    def wake(self) -> None:
        for consumer in self.consumers:
            consumer.changed.set()

    def now(self) -> float:
        return time.time() + self.ahead

    def jump(self, seconds: float) -> None:
        """Let so many seconds pass on its clock."""
        self.ahead += seconds
        self.wake()

    async def until(self, *told: str) -> None:
        """Wait until so many verdicts have been taken, and see that they are these, in any order."""
        await self.until_told(len(told))
        assert sorted(verdict for verdict, _ in self.told) == sorted(told)

    async def until_told(self, count: int) -> None:
        """Wait until so many verdicts have been taken."""
        async with asyncio.timeout(30):
            while len(self.told) < count:
                self._heard = asyncio.Event()
                await self._heard.wait()

    def tell(self, verdict: str, task_id: str) -> None:
        self.told.append((verdict, task_id))
        self._heard.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBackend(Backend):
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"delay", "idempotent", "unique_key", "cancel", "listing", "dead", "counts"}
    )

    memory: Memory = field(default_factory=Memory)
    concurrency: int = 10
    embedded: bool = True
    max_deliveries: int = 5
    max_message_bytes: int = 256 * 1024
    unknown_after: Seconds = 3600.0

    def open(self, application: str) -> "MemoryEngine":
        self.memory.opened += 1
        return MemoryEngine(self, application)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleBackend(MemoryBackend):
    """One that can do nothing beyond what every backend must."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()


class MemoryEngine(Engine):
    def __init__(self, backend: MemoryBackend, application: str) -> None:
        self._backend = backend
        self._memory = backend.memory
        self._application = application
        self._store = backend.memory.of(application)

    async def accept(self, messages: Sequence[Message]) -> Sequence[Accepted | BackendUnavailable]:
        memory = self._memory
        memory.asked.append(list(messages))
        outcomes: Sequence[Any] = [None] * len(messages)
        if memory.answer is not None:
            outcomes = await memory.answer(messages) or outcomes
        return [outcome or self._keep(message) for message, outcome in zip(messages, outcomes, strict=True)]

    def _keep(self, message: Message) -> Accepted:
        accepted = self._store.accept(message)
        self._memory.wake()
        return accepted

    async def consume(
        self, names: Collection[str], *, version: int = 1, lost: Callable[[str, str, str], None]
    ) -> "MemoryConsumer":
        if self._memory.consuming is not None:
            self._memory.consuming()
        consumer = MemoryConsumer(self._backend, self._application, names, version, lost)
        self._memory.consumers.append(consumer)
        return consumer

    async def close(self) -> None:
        self._memory.closed += 1
        if self._memory.ending is not None:
            self._memory.ending("close")

    def abandon(self) -> None:
        self._memory.abandoned += 1

    def cancel(self, task_id: str) -> bool:
        return self._store.cancel(task_id)

    def show(self, task_id: str) -> Entry | None:
        kept = self._store.meant(task_id)
        return None if kept is None else kept.entry()

    def entries(self, state: StoredState | None = None, *, limit: int) -> list[Entry]:
        kept = reversed(self._store.kept.values())
        return [each.entry() for each in kept if state in {None, each.state}][:limit]

    def counts(self) -> Counts:
        return self._store.counts()

    def retry(self, task_ids: Collection[str] | None = None) -> list[str]:
        wanted = list(self._store.kept) if task_ids is None else task_ids
        retried = [task_id for task_id in wanted if self._store.retry(task_id)]
        self._memory.wake()
        return retried

    def prune(self, *, before: float, dead: bool = False) -> int:
        return self._store.prune(before=before, dead=dead)


class MemoryConsumer(Consumer):
    def __init__(
        self,
        backend: MemoryBackend,
        application: str,
        names: Collection[str],
        version: int,
        lost: Callable[[str, str, str], None],
    ) -> None:
        self.lost = lost
        self._memory = backend.memory
        self._store = backend.memory.of(application)
        self._names = set(names)
        self._version = version
        self._held: dict[str, Delivery] = {}
        self.changed = asyncio.Event()

    async def receive(self, slots: int) -> Sequence[Delivery]:
        while self in self._memory.consumers:
            self.changed.clear()
            if self._memory.claims is not None:
                await self._memory.claims()
            now = self._memory.now()
            mine = self._store.kept.values()
            waiting = [kept for kept in mine if kept.state == "accepted" and kept.message.name in self._names]
            due = [kept for kept in waiting if kept.due_at <= now and kept.message.version <= self._version][:slots]
            if due:
                return [self._claim(kept) for kept in due]
            later = min((kept.due_at - now for kept in waiting if kept.due_at > now), default=None)
            try:
                async with asyncio.timeout(later):
                    await self.changed.wait()
            except TimeoutError:
                pass
        return ()

    def _claim(self, kept: Kept) -> Delivery:
        delivery = self._store.deliver(kept)
        assert delivery is not None
        self._held[delivery.task_id] = delivery
        return delivery

    async def acknowledge(self, delivery: Delivery) -> bool:
        return await self._end("acknowledge", delivery, state="succeeded", attempt=delivery.attempt + 1)

    async def reschedule(self, delivery: Delivery, *, delay: float, attempt: int, reason: str) -> bool:
        due_at = self._memory.now() + delay
        return await self._end(
            "reschedule", delivery, state="accepted", due_at=due_at, attempt=attempt, delivery=0, reason=reason
        )

    async def release(self, delivery: Delivery) -> bool:
        return await self._end("release", delivery, state="accepted", delivery=delivery.delivery - 1)

    async def bury(self, delivery: Delivery, *, attempt: int, reason: str) -> bool:
        return await self._end("bury", delivery, state="dead", attempt=attempt, reason=reason)

    async def rest(self) -> None:
        if self._memory.resting is not None:
            await self._memory.resting()

    async def stop(self) -> None:
        if self not in self._memory.consumers:
            return
        for delivery in list(self._held.values()):
            await self.release(delivery)
        self._memory.consumers.remove(self)
        self.changed.set()
        if self._memory.ending is not None:
            self._memory.ending("stop")

    async def _end(self, verdict: str, delivery: Delivery, /, **changes: Any) -> bool:
        if self._memory.verdicts is not None:
            await self._memory.verdicts(verdict, delivery)
        kept = self._store.kept[delivery.task_id]
        if self._held.get(delivery.task_id) is not delivery or kept.token != delivery.token:
            return False
        del self._held[delivery.task_id]
        self._store.change(delivery.task_id, **changes)
        self._memory.tell(verdict, delivery.task_id)
        self._memory.wake()
        return True
