"""What a consumer does about every second as long as it lives, whatever its event loop is busy with."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bg_di.backend import Delivery, Entry
from bg_di.backends.sqlite.file import Operation, TaskFile
from bg_di.backends.sqlite.in_hand import InHand
from bg_di.backends.sqlite.owner import Owner, clean, dead
from bg_di.backends.sqlite.pulse import Pulse
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.terms import Terms

_TIDY: Final = 60.0
_PRUNED_AT_ONCE: Final = 1000


class Listener(Protocol):
    """Whoever has to hear of it. Called in the database thread; must not raise."""

    def hear_of_more(self) -> None:
        """There may be something to claim."""

    def hear_of_lost(self, delivery: Delivery) -> None:
        """A delivery has been taken from its owner."""

    def hear_of_dead(self, entry: Entry) -> None:
        """A task will not be run again by itself."""

    def hear_of_failure(self, error: BaseException | None) -> None:
        """Why a heartbeat could not be made; None if it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Which tasks a worker knows: their names, and up to which version of what is in their bodies."""

    names: Collection[str]
    version: int


class Heartbeat:
    """Keeps an owner's leases, takes back what others have lost, and tidies up.

    A beat that finds nothing to do writes nothing. One that fails is made up for by the next: what was due then is
    done first of all.
    """

    def __init__(
        self,
        path: str,
        terms: Terms,
        *,
        owner: Owner,
        knowledge: Knowledge,
        in_hand: InHand,
        pulse: Pulse,
        listener: Listener,
    ) -> None:
        self._path = path
        self._terms = terms
        self._owner = owner
        self._knowledge = knowledge
        self._in_hand = in_hand
        self._pulse = pulse
        self._listener = listener
        self._renewal = _Turn(terms.lease / 3)
        self._telling = _Turn(terms.unknown_after / 4)
        self._tidying = _Turn(min(_TIDY, terms.keep))
        self._leases = _Watch(self._terms.lease / 3)
        self._names = _Watch(terms.unknown_after / 4)

    def beat(self, file: TaskFile) -> None:
        """Do all of it, in one transaction, where what fails does not keep the leases from being renewed."""
        renewal, round_ = Operation(self._renew), Operation(self._look_around)
        file.execute([renewal, round_])
        error = renewal.error or round_.error
        if renewal.error is None:
            self._say_lost(renewal.result)
        if round_.error is None:
            self._say_changed(round_.result)
        if error is not None:
            self._make_up()
        self._listener.hear_of_failure(error)

    def _renew(self, store: Store) -> Sequence[Delivery]:
        held = self._in_hand.held()
        if not held or not self._pulse.is_felt() or not self._renewal.is_due():
            return ()
        return store.renew(held, now=time.time(), lease=self._terms.lease)

    def _look_around(self, store: Store) -> Sequence[Entry]:
        """What has changed its state by it."""
        now = time.time()
        self._owner.keep()
        self._tell(store, now)
        self._tidy(store, now)
        return [*self._take_back(store, now), *self._bury_unknown(store, now)]

    def _tell(self, store: Store, now: float) -> None:
        if self._telling.is_due():
            store.know(self._knowledge.names, version=self._knowledge.version, now=now)

    def _tidy(self, store: Store, now: float) -> None:
        if self._tidying.is_due():
            # Before anything is taken back from the dead: should that not be written, their files still say it.
            clean(self._path, keep=store.owners())
            if store.prune(before=now - self._terms.keep, now=now, limit=_PRUNED_AT_ONCE) == _PRUNED_AT_ONCE:
                self._tidying.is_due_again()

    def _take_back(self, store: Store, now: float) -> Sequence[Entry]:
        self._in_hand.sort_out()
        if store.release_all(self._owner.name, now=now, keep=[held.task_id for held in self._in_hand.held()]):
            self._listener.hear_of_more()
        gone = dead(self._path, store.owners() - {self._owner.name})
        # The living have had the time to renew.
        expired = now if self._leases.lasts(self._terms.lease / 3, now) else 0.0
        return store.take_back(dead=gone, max_deliveries=self._terms.max_deliveries, now=now, expired=expired)

    def _bury_unknown(self, store: Store, now: float) -> Sequence[Entry]:
        if not self._names.lasts(self._terms.unknown_after, now):
            return ()
        return store.bury_unknown(before=now - self._terms.unknown_after, now=now)

    def _say_lost(self, lost: Sequence[Delivery]) -> None:
        for delivery in lost:
            self._in_hand.drop(delivery)
            self._listener.hear_of_lost(delivery)

    def _say_changed(self, changed: Sequence[Entry]) -> None:
        for entry in changed:
            if entry.state == "dead":
                self._listener.hear_of_dead(entry)
            else:
                self._listener.hear_of_more()

    def _make_up(self) -> None:
        for turn in (self._renewal, self._telling, self._tidying):
            turn.is_due_again()


class _Turn:
    """Comes every so many seconds, for the first time at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic()

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    def is_due_again(self) -> None:
        self._next = time.monotonic()


class _Watch:
    """For how long somebody has been able to look without a gap, by the clock that others are judged by.

    After one, as when the machine was suspended or the file was locked, others may not have come to say that they
    live and what they know.

    Args:
        gap: more seconds than that between two looks.
    """

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._since = self._last = time.time()

    def lasts(self, seconds: float, now: float) -> bool:
        if not self._last <= now <= self._last + self._gap:
            self._since = now
        self._last = now
        return now - self._since >= seconds
