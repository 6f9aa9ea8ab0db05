"""The file as one thread uses it: opened when something is to be done, and again after it could not be used."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from typing import Any, Final, TypeVar

from bg_di.backends.sqlite.failures import explained, primary_code, why
from bg_di.backends.sqlite.schema import connect, identity
from bg_di.backends.sqlite.store import Store
from bg_di.errors import BackendUnavailable, OutcomeUnknown

T = TypeVar("T")

# What passes without the connection being to blame.
_PASSING: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}

# Seconds until every process that has the file open has seen that it is gone.
_LET_GO: Final = 3.0


class Operation:
    """Something to do with the store.

    Attributes:
        work: what is to be done, in a transaction that others may share.
        result, error: what it returned, or why it has not been done, as soon as the transaction has ended.
    """

    __slots__ = ("error", "result", "work")

    def __init__(self, work: Callable[[Store], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None


class TaskFile:
    """The tasks of one application on a file, which may be away for a while.

    Args:
        path, busy_timeout: as `schema.connect` has them.
        application: whose tasks.
    """

    def __init__(self, path: str, application: str, *, busy_timeout: float) -> None:
        self._path = path
        self._application = application
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._missed_since: float | None = None

    def execute(self, operations: Sequence[Operation]) -> None:
        """Do all of it in one transaction. One that fails is undone alone; none is done if it cannot be written."""
        try:
            connection = self._usable()
        except BaseException as error:  # noqa: BLE001  # raised again by whoever waits for an operation
            _fail(operations, error)
            return
        try:
            self._transact(connection, operations)
        except BaseException as error:  # noqa: BLE001  # raised again by whoever waits for an operation
            _fail(operations, error)
            self._recover(connection, error.__cause__)

    def look(self, work: Callable[[Store], T]) -> T | None:
        """What can be read without a transaction; None if the file must be opened (again), or does not work.

        It is almost free: nothing is opened, written or locked for it.
        """
        with suppress(sqlite3.Error, OSError):
            if self._connection is not None and identity(self._path) == self._identity:
                return work(Store(self._connection, self._application))
        return None

    def watch(self) -> None:
        """Let go of the file if it is not in its place any more. To be called about every second."""
        if self._connection is not None:
            with suppress(BackendUnavailable, OSError):
                if (found := identity(self._path)) != self._identity:
                    self._miss(found)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _usable(self) -> sqlite3.Connection:
        with explained(self._path):
            found = identity(self._path)
        if self._identity not in {None, found}:
            self._miss(found)
        if self._connection is None:
            self._connection = connect(self._path, busy_timeout=self._busy_timeout)
            self._identity, self._missed_since = identity(self._path), None
        return self._connection

    def _miss(self, found: tuple[int, int] | None) -> None:
        """Another one in its place would hide that all is gone; one that is put there must not meet the old one's log.

        SQLite finds its -wal and -shm by the name only: as long as anybody has them open, they are the old one's.
        """
        self.close()
        if self._missed_since is None:
            self._missed_since = time.monotonic()
        if found is None:
            raise BackendUnavailable(
                self._path, "has been deleted or moved away: put it back, or start anew with an empty one"
            )
        if time.monotonic() - self._missed_since < _LET_GO:
            raise BackendUnavailable(
                self._path, "is another file now: it is used in some seconds, when nobody has the old one open"
            )

    def _transact(self, connection: sqlite3.Connection, operations: Sequence[Operation]) -> None:
        store = Store(connection, self._application)
        with explained(self._path):
            connection.execute("BEGIN IMMEDIATE")
            if len(operations) == 1:  # what a savepoint does is done by the transaction
                self._attempt(connection, store, operations[0])
            else:
                for operation in operations:
                    self._attempt_apart(connection, store, operation)
        try:
            connection.execute("COMMIT" if any(operation.error is None for operation in operations) else "ROLLBACK")
        except sqlite3.Error as error:
            # Only one that had to wait has not begun to write.
            kind = BackendUnavailable if primary_code(error) == sqlite3.SQLITE_BUSY else OutcomeUnknown
            raise kind(self._path, why(error)) from error

    def _attempt_apart(self, connection: sqlite3.Connection, store: Store, operation: Operation) -> None:
        connection.execute("SAVEPOINT operation")
        self._attempt(connection, store, operation)
        if operation.error is not None:
            connection.execute("ROLLBACK TO operation")
        connection.execute("RELEASE operation")

    def _attempt(self, connection: sqlite3.Connection, store: Store, operation: Operation) -> None:
        try:
            operation.result = operation.work(store)
        except BaseException as error:  # raised again by whoever waits for it
            if not connection.in_transaction:  # SQLite has undone it all, as it may on a full disk
                raise
            operation.error = self._explained(error)

    def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, StopIteration):  # no future of asyncio takes it
            return RuntimeError("an operation raised StopIteration")
        if not isinstance(error, sqlite3.Error):
            return error
        explanation = BackendUnavailable(self._path, why(error))
        explanation.__cause__ = error
        return explanation

    def _recover(self, connection: sqlite3.Connection, cause: BaseException | None) -> None:
        if isinstance(cause, sqlite3.Error) and primary_code(cause) in _PASSING:
            with suppress(sqlite3.Error):  # SQLite may have done so by itself
                connection.execute("ROLLBACK")
        else:
            self.close()


def _fail(operations: Sequence[Operation], error: BaseException) -> None:
    """Each waiter gets an error of its own, as raising one changes it, if it is one that can be copied."""
    for operation in operations:
        operation.error = error
        if isinstance(error, BackendUnavailable):
            operation.error = copy(error)
            operation.error.__cause__ = error
