"""A worker's side of a file: deliveries under a lease, which a heartbeat keeps until they end."""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bg_di import log
from bg_di.backends.backend import Consumer
from bg_di.backends.messages import Delivery, Entry
from bg_di.backends.sqlite.file import TaskFile
from bg_di.backends.sqlite.heartbeat import Heartbeat, Knowledge
from bg_di.backends.sqlite.in_hand import InHand, Receipt
from bg_di.backends.sqlite.owner import Owner
from bg_di.backends.sqlite.pulse import Pulse
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.terms import Terms
from bg_di.backends.sqlite.thread import DatabaseThread
from bg_di.errors import BackendUnavailable

Lost = Callable[[str, str, str], None]

_POLL: Final = 0.1
# However long nothing seems to happen: clocks may be set, and nobody says so.
_LONGEST_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Claimed:
    deliveries: Sequence[Delivery]
    next_due: float | None


class SqliteConsumer(Consumer):
    """Takes tasks from a file. It is woken by what its own process does, and looks now and then what others did.

    Args:
        path: the file, as its owners' lock files are found by it.
        thread: which uses it.
        knowledge: of the worker.
        lost: as `Engine.consume` has it.
        ring: wakes every consumer of the engine.

    Attributes:
        has_stopped: whether it takes no more.

    Raises:
        BackendUnavailable: its lock file cannot be made.
    """

    def __init__(
        self,
        path: str,
        thread: DatabaseThread,
        terms: Terms,
        *,
        knowledge: Knowledge,
        lost: Lost,
        ring: Callable[[], None],
    ) -> None:
        self._path = path
        self._thread = thread
        self._terms = terms
        self._knowledge = knowledge
        self._lost = lost
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._in_hand = InHand()
        self._owner = Owner(path)
        self._version: object = None
        self._failing = False
        self.has_stopped = False
        pulse = Pulse(self._loop, terms.lease)
        heartbeat = Heartbeat(
            path,
            terms,
            owner=self._owner,
            knowledge=knowledge,
            in_hand=self._in_hand,
            pulse=pulse,
            listener=self,
        )
        self._ends = [thread.every(terms.beat, heartbeat.beat), thread.every(_POLL, self._poll)]

    async def receive(self, slots: int) -> Sequence[Delivery]:
        """Wait for deliveries, and take at most `slots`; none at all only after `stop`.

        If it is cancelled, what it has taken goes back with the next heartbeat.

        Raises:
            BackendUnavailable: the file cannot be used at the moment.
        """
        while not self.has_stopped:
            self._more.clear()
            claimed = await self._claim(slots)
            if claimed.deliveries and not self.has_stopped:
                return claimed.deliveries
            await self._wait(claimed.next_due)
        return ()

    async def acknowledge(self, delivery: Delivery) -> bool:
        """It has succeeded."""
        return await self._end(Store.acknowledge, delivery)

    async def reschedule(self, delivery: Delivery, *, delay: float, attempt: int, reason: str) -> bool:
        """Run it again after `delay` seconds; `attempt` have been made. Its deliveries are counted anew."""
        at = time.time() + delay
        heard = await self._end(Store.reschedule, delivery, at=at, attempt=attempt, reason=reason)
        self._ring()
        return heard

    async def release(self, delivery: Delivery) -> bool:
        """It has not been run to its end, and goes back as if it had not been delivered."""
        heard = await self._end(Store.release, delivery)
        self._ring()
        return heard

    async def bury(self, delivery: Delivery, *, attempt: int, reason: str) -> bool:
        """Keep it with the reason, and do not run it again by itself; `attempt` have been made."""
        return await self._end(Store.bury, delivery, attempt=attempt, reason=reason)

    async def stop(self) -> None:
        """Take no more. Whatever is still in hand goes back as if it had not been delivered.

        Where the file cannot be used, it goes back as from an owner who has died.
        """
        with self._leaving():
            await self._thread.run(self._release_all)

    def abandon(self) -> None:
        """The same as `stop`, where the event loop is closed."""
        with self._leaving():
            self._thread.call(self._release_all)

    def hear_of_more(self) -> None:
        """There may be something to claim. Called in any thread."""
        self._in_loop(self._more.set)

    def hear_of_lost(self, delivery: Delivery) -> None:
        """A delivery has been taken from this owner."""
        self._in_loop(log.lease_lost, delivery.name, delivery.task_id)

    def hear_of_dead(self, entry: Entry) -> None:
        """The heartbeat has made a task dead."""
        self._in_loop(self._lost, entry.task_id, entry.name, entry.reason)

    def hear_of_failure(self, error: BaseException | None) -> None:
        """Say when heartbeats begin to fail, and when that is over."""
        if error is not None and not self._failing:
            self._in_loop(log.heartbeat_fails, self._path, error)
        elif error is None and self._failing:
            self._in_loop(log.heartbeat_works, self._path)
        self._failing = error is not None

    async def _claim(self, slots: int) -> _Claimed:
        receipt = Receipt()
        try:
            return await self._thread.run(
                partial(self._take, slots), then=lambda claimed: self._in_hand.take(receipt, claimed.deliveries)
            )
        except asyncio.CancelledError:
            receipt.given_up = True
            raise

    def _take(self, slots: int, store: Store) -> _Claimed:
        now, names, version = time.time(), self._knowledge.names, self._knowledge.version
        deliveries = store.claim(
            self._owner.name, names=names, version=version, slots=slots, now=now, lease=self._terms.lease
        )
        return _Claimed(deliveries, None if deliveries else store.next_due(names=names, version=version, now=now))

    async def _wait(self, next_due: float | None) -> None:
        seconds = _LONGEST_WAIT if next_due is None else min(_LONGEST_WAIT, next_due - time.time())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._more.wait()

    async def _end(self, say: Callable[..., bool], delivery: Delivery, **what: Any) -> bool:
        return await self._thread.run(
            lambda store: say(store, delivery, now=time.time(), **what),
            then=lambda _heard: self._in_hand.drop(delivery),
        )

    @contextmanager
    def _leaving(self) -> Generator[None]:
        self.has_stopped = True
        self.hear_of_more()
        while self._ends:
            self._ends.pop()()
        try:
            with suppress(BackendUnavailable):
                yield
                self._owner.release()
        finally:
            self._owner.forget()

    def _release_all(self, store: Store) -> None:
        store.release_all(self._owner.name, now=time.time())

    def _poll(self, file: TaskFile) -> None:
        before, self._version = self._version, file.look(Store.version)
        if self._version is None or self._version != before:
            self.hear_of_more()

    def _in_loop(self, callback: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # it is closed, and nobody hears it
            self._loop.call_soon_threadsafe(callback, *args)
