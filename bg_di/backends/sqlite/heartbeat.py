"""What a consumer does about every second as long as it lives, whatever its event loop is busy with."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bg_di.backends.messages import Delivery, Entry
from bg_di.backends.sqlite.file import Operation, TaskFile
from bg_di.backends.sqlite.in_hand import InHand
from bg_di.backends.sqlite.owner import Owner, clean, dead
from bg_di.backends.sqlite.pulse import Pulse
from bg_di.backends.sqlite.rhythm import Turn, Watch
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.terms import Terms

# What may have to look at all that waits, or at a folder.
_RARELY: Final = 60.0
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

    A beat that finds nothing to do writes and locks nothing. One that fails is made up for by the next: what was due
    then is done first of all.
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
        self._renewal = Turn(terms.lease / 3)
        self._telling = Turn(terms.unknown_after / 4)
        self._tidying = Turn(min(_RARELY, terms.keep))
        self._burying = Turn(min(_RARELY, terms.unknown_after / 8))
        self._chores = (self._telling, self._tidying, self._burying)
        self._leases = Watch(terms.lease / 3)
        self._names = Watch(terms.unknown_after / 2)

    def beat(self, file: TaskFile) -> None:
        """Do all of it, in one transaction, where what fails does not keep the leases from being renewed.

        Where there is nothing to do there is none: whoever is stopped in one holds up everybody.
        """
        if file.look(self._is_idle):
            return
        renewal, chores = Operation(self._renew), Operation(self._look_around)
        file.execute([renewal, chores])
        error = renewal.error or chores.error
        if renewal.error is None:
            self._say_lost(renewal.result)
        if chores.error is None:
            self._say_changed(chores.result)
        if error is not None:
            self._make_up()
        self._listener.hear_of_failure(error)

    def _is_idle(self, store: Store) -> bool:
        """Whether nobody has anything in hand, and nothing else has to be done."""
        has_chores = any(turn.is_due() for turn in self._chores)
        return not has_chores and not self._in_hand.held() and not store.owners()

    def _renew(self, store: Store) -> Sequence[Delivery]:
        held = self._in_hand.held()
        if not held or not self._pulse.is_felt() or not self._renewal.take():
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
        if self._telling.take():
            store.know(self._knowledge.names, version=self._knowledge.version, now=now)

    def _tidy(self, store: Store, now: float) -> None:
        if self._tidying.take():
            # Before anything is taken back from the dead: should that not be written, their files still say it.
            clean(self._path, keep=store.owners())
            if store.prune(before=now - self._terms.keep, now=now, limit=_PRUNED_AT_ONCE) == _PRUNED_AT_ONCE:
                self._tidying.is_due_again()

    def _take_back(self, store: Store, now: float) -> Sequence[Entry]:
        self._in_hand.sort_out()
        if store.release_all(self._owner.name, now=now, keep=[held.task_id for held in self._in_hand.held()]):
            self._listener.hear_of_more()
        gone = dead(self._path, store.owners() - {self._owner.name})
        # After a gap, the living need a third of a lease to renew, and a beat.
        expired = now if self._leases.lasts(self._terms.lease / 2, now) else 0.0
        taken = store.take_back(dead=gone, max_deliveries=self._terms.max_deliveries, now=now, expired=expired)
        if gone and taken:
            self._tidying.is_due_again()  # nothing is left for which the files of the dead are needed
        return taken

    def _bury_unknown(self, store: Store, now: float) -> Sequence[Entry]:
        if not self._burying.take() or not self._names.lasts(self._terms.unknown_after, now):
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
        for turn in (self._renewal, *self._chores):
            turn.is_due_again()
