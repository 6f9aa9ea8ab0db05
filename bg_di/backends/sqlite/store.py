"""What is asked of the file: each method a statement or a few, in the caller's transaction, at the caller's time."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Any, Final

from bg_di.backends.messages import Accepted, Counts, Delivery, Entry, Message, StoredState
from bg_di.backends.sqlite import statements

_DELIVERY: Final = tuple(field.name for field in fields(Delivery))
_ENTRY: Final = tuple(field.name for field in fields(Entry))


class Store:
    """The tasks of one application on a file.

    It neither begins nor ends a transaction, and reads no clock: times are the caller's, in seconds since 1970. What
    is said of a delivery is heard as long as it is its task's last one and has not been taken back: then the method
    returns True, else it has changed nothing and returns False.

    Args:
        connection: to a file that `schema.connect` has brought up to date.
        application: whose tasks; several may share a file, and none sees those of another.
    """

    def __init__(self, connection: sqlite3.Connection, application: str) -> None:
        self._connection = connection
        self._application = application

    def accept(self, messages: Iterable[Message]) -> list[Accepted]:
        """Keep tasks, and say for each which one stands for it."""
        return [self._accept(message) for message in messages]

    def claim(
        self, owner: str, *, names: Collection[str], version: int = 1, slots: int, now: float, lease: float
    ) -> list[Delivery]:
        """Take what is due, the oldest first, under a lease.

        Args:
            owner: who takes it.
            names: of the tasks that it knows; others wait for somebody who does.
            version: up to which it knows what is in their bodies.
            slots: at most so many.
            lease: seconds until anybody may take it back, unless it is renewed.
        """
        rows = self._execute(
            statements.CLAIM, owner=owner, names=_json(names), version=version, slots=slots, now=now, lease=lease
        ).fetchall()
        # What an UPDATE returns has no order.
        return [_delivery(row) for row in sorted(rows, key=_due)]

    def next_due(self, *, names: Collection[str], version: int = 1, now: float) -> float | None:
        """When the first of the tasks is due that wait, are known and are not due yet; None if there is none."""
        row = self._execute(statements.NEXT_DUE, names=_json(names), version=version, now=now).fetchone()
        return None if row is None else row[0]

    def renew(self, deliveries: Iterable[Delivery], *, now: float, lease: float) -> list[Delivery]:
        """Hold deliveries for `lease` seconds from now; return those that have been lost."""
        return [held for held in deliveries if not self._changes(statements.RENEW, held, now=now, lease=lease)]

    def acknowledge(self, delivery: Delivery, *, now: float) -> bool:
        """It has succeeded."""
        return self._changes(statements.ACKNOWLEDGE, delivery, now=now, attempt=delivery.attempt + 1)

    def reschedule(self, delivery: Delivery, *, at: float, attempt: int, reason: str, now: float) -> bool:
        """Run it again, not before `at`; `attempt` have been made. Its deliveries are counted anew."""
        return self._changes(statements.RESCHEDULE, delivery, at=at, attempt=attempt, reason=reason, now=now)

    def release(self, delivery: Delivery, *, now: float) -> bool:
        """It has not been started, and goes back to its place as if it had not been delivered."""
        return self._changes(statements.RELEASE, delivery, now=now)

    def release_all(self, owner: str, *, now: float, keep: Iterable[str] = ()) -> int:
        """Whatever an owner has in hand goes back as if it had not been delivered, also what he never heard of.

        Args:
            keep: the ids of what does not.

        Returns:
            How many tasks.
        """
        return self._execute(statements.RELEASE_ALL, owner=owner, keep=_json(keep), now=now).rowcount

    def bury(self, delivery: Delivery, *, attempt: int, reason: str, now: float) -> bool:
        """Keep it with the reason, and do not run it again by itself; `attempt` have been made."""
        return self._changes(statements.BURY, delivery, attempt=attempt, reason=reason, now=now)

    def version(self) -> int:
        """Another number when somebody else has written to the file since this connection asked last."""
        (version,) = self._execute("PRAGMA data_version").fetchone()
        return int(version)

    def owners(self) -> set[str]:
        """Who has something in hand, in all applications on the file."""
        return {owner for (owner,) in self._execute(statements.OWNERS)}

    def take_back(
        self, *, dead: Collection[str], max_deliveries: int, now: float, expired: float | None = None
    ) -> list[Entry]:
        """Take deliveries from owners that are `dead` and from those that let the lease expire.

        Args:
            expired: until when, if not until now.

        Returns:
            The tasks, as they stand now: accepted, or dead where that was the last of `max_deliveries`.
        """
        return self._changed(
            statements.TAKE_BACK,
            dead=_json(dead),
            max_deliveries=max_deliveries,
            now=now,
            expired=now if expired is None else expired,
        )

    def know(self, names: Collection[str], *, version: int = 1, now: float) -> None:
        """Note that a worker lives that knows tasks of these names, up to a version."""
        self._execute(statements.KNOW, names=_json(names), version=version, now=now)

    def bury_unknown(self, *, before: float, now: float) -> list[Entry]:
        """Bury what is due since `before`, where nobody has said since then that he knows it.

        Whoever asks has said what he knows, and has been there since `before`: while nobody works, nothing is unknown.

        Returns:
            What is dead now.
        """
        return self._changed(statements.BURY_UNKNOWN, before=before, now=now)

    def counts(self, *, now: float) -> Counts:
        """How much there is to do."""
        waiting, running, dead, due_at = self._execute(statements.COUNTS).fetchone()
        oldest = 0.0 if due_at is None else max(0.0, now - due_at)
        return Counts(waiting=waiting, running=running, dead=dead, oldest=oldest)

    def entries(self, state: StoredState | None = None, *, limit: int) -> list[Entry]:
        """The tasks that were accepted last, in a state or in any."""
        return [_entry(row) for row in self._execute(statements.SEVERAL, state=state, limit=limit)]

    def show(self, task_id: str) -> Entry | None:
        """A task as it stands, or the one that stands for it; None if there is none."""
        row = self._execute(statements.ONE, task_id=task_id).fetchone()
        return None if row is None else _entry(row)

    def state(self, task_id: str) -> StoredState | None:
        """How a task stands; None if there is none."""
        entry = self.show(task_id)
        return None if entry is None else entry.state

    def cancel(self, task_id: str, *, now: float) -> bool:
        """Do not run a task that waits.

        Returns:
            Whether it waited, and will not run now.
        """
        return self._execute(statements.CANCEL, task_id=task_id, now=now).rowcount > 0

    def retry(self, task_id: str, *, now: float) -> bool:
        """Put a dead task back, as if it had just been accepted.

        Returns:
            Whether it was dead, and no other task stands for it by its unique key.
        """
        return self._execute(statements.RETRY, task_id=task_id, now=now).rowcount > 0

    def prune(self, *, before: float, now: float, dead: bool = False, limit: int = 1000) -> int:
        """Forget what has succeeded or was cancelled `before`; what holds a unique key is kept as long as it does.

        Args:
            dead: forget what has died before then, instead.
            limit: at most so many, as nobody else writes meanwhile.

        Returns:
            How many.
        """
        statement = statements.PRUNE_DEAD if dead else statements.PRUNE
        return self._execute(statement, before=before, now=now, limit=limit).rowcount

    def _accept(self, message: Message) -> Accepted:
        parameters = {
            "application": self._application,
            "task_id": message.task_id,
            "name": message.name,
            "version": message.version,
            # As something whose text does not have it: drivers may log what they are given.
            "body": memoryview(message.body),
            "now": message.added_at,
            "due_at": message.due_at,
            "unique_key": message.unique_key,
            "unique_until": message.unique_until,
        }
        if self._connection.execute(statements.ACCEPT, parameters).rowcount:
            return Accepted(task_id=message.task_id, is_new=True)
        (task_id,) = self._connection.execute(statements.STANDS_FOR, parameters).fetchone()
        if task_id != message.task_id:
            self._connection.execute(statements.ALIAS, {**parameters, "stands_for": task_id})
        return Accepted(task_id=task_id, is_new=False)

    def _changes(self, statement: str, delivery: Delivery, **parameters: Any) -> bool:
        return self._execute(statement, task_id=delivery.task_id, token=delivery.token, **parameters).rowcount > 0

    def _changed(self, statement: str, **parameters: Any) -> list[Entry]:
        sequence = [seq for (seq,) in self._execute(statement, **parameters)]
        return [_entry(row) for row in self._execute(statements.SEQUENCE, sequence=_json(sequence))]

    def _execute(self, statement: str, **parameters: Any) -> sqlite3.Cursor:
        return self._connection.execute(statement, {"application": self._application, **parameters})


def _json(values: Iterable[str | int]) -> str:
    return json.dumps(list(values))


def _due(row: tuple[Any, ...]) -> tuple[float, int]:
    return row[1], row[0]


def _delivery(row: tuple[Any, ...]) -> Delivery:
    return Delivery(**dict(zip(_DELIVERY, row[2:], strict=True)))


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry(**dict(zip(_ENTRY, row, strict=True)))
