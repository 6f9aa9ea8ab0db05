"""Tasks in a transaction of the user's own: written when it commits, gone when it does not.

They are written at the last moment, when SQLAlchemy says that a commit has begun. Only there may what belongs to an
async session wait, and until then nothing of ours holds the file's lock or has to be undone.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary, ref

from bg_di.backend import Accepted, Message
from bg_di.backends.sqlite.failures import explained
from bg_di.backends.sqlite.schema import is_current, upgrade
from bg_di.backends.sqlite.store import Store
from bg_di.errors import BackendUnavailable, InvalidOptions
from bg_di.sessions import is_session, synchronous

_REMEDY = "or leave the session out, and the task is handed over before the response leaves"


class SessionWriter:
    """Writes the tasks of one application through sessions that are on its file.

    Args:
        path: the file.
        application: whose tasks.
        ring: called when something was accepted.
    """

    def __init__(self, path: str, application: str, ring: Callable[[], None]) -> None:
        self._path = path
        self._application = application
        self._ring = ring
        self._sessions: WeakKeyDictionary[Any, _SessionTasks] = WeakKeyDictionary()
        self._adding = Lock()

    def write(self, session: Any, message: Message, ended: Callable[[Accepted | None], None]) -> Callable[[], bool]:
        """As `Engine.write` has it."""
        self._refuse_elsewhere(session)
        session = synchronous(session)
        with self._adding:
            tasks = self._sessions.get(session)
            if tasks is None:
                tasks = self._sessions[session] = _SessionTasks(session, self._write_now, self._ring)
        return tasks.add(session, _SessionTask(message, ended))

    def refuse_behind(self, session: Any) -> None:
        """As `Engine.refuse_behind` has it."""
        transaction = synchronous(session).get_transaction()
        # Whoever asks the session for its connection makes it open one.
        for connection, *_ in getattr(transaction, "_connections", {}).values():
            if self._is_here(connection.engine) and _holds_the_lock(connection):
                raise BackendUnavailable(
                    self._path,
                    "is locked by a session of this very request, whose transaction has written and not ended: end it "
                    "before the response leaves, say tasks.using(session=session) for a task that is to be accepted "
                    "with its commit, or keep tasks in a file of their own",
                )

    def _refuse_elsewhere(self, session: Any) -> None:
        if not is_session(session):
            raise InvalidOptions(
                f"using(session={session!r}): give a Session or an AsyncSession of SQLAlchemy, {_REMEDY}"
            )
        bind = _bind_of(synchronous(session))
        if bind is None or bind.engine is not bind:
            raise InvalidOptions(
                f"using(session={session!r}): it is bound to {bind or 'nothing'}, so its commit need not be the last "
                f"word: give a session that is bound to an engine, {_REMEDY}"
            )
        if not self._is_here(bind):
            raise InvalidOptions(
                f"using(session={session!r}): it is on {bind.url!r}, and the tasks are on {self._path}: give a session "
                f"on that file, {_REMEDY}"
            )

    def _is_here(self, engine: Any) -> bool:
        path = _file_of(engine)
        return path is not None and _is_same(path, self._path)

    def _write_now(self, session: Any, tasks: Sequence["_SessionTask"], taken_back: Sequence[str]) -> None:
        """Write in the transaction that the session is in.

        Raises:
            BackendUnavailable: the file cannot be written to; the user's commit fails with it.
        """
        connection = session.connection().connection
        # Past SQLAlchemy, which would tell the task's arguments to its log and in its errors.
        own = cast(sqlite3.Connection, _Connection(connection))
        with explained(self._path):
            file = next(file for _, name, file in own.execute("PRAGMA database_list").fetchall() if name == "main")
            if not file or not _is_same(file, self._path):
                raise BackendUnavailable(
                    self._path, f"has tasks of a session whose connection turns out to be to {file or 'no file'}"
                )
            if not is_current(self._path, own):
                if not connection.driver_connection.in_transaction:
                    own.execute("BEGIN IMMEDIATE")
                upgrade(self._path, own)
            store = Store(own, self._application)
            for task_id in taken_back:
                store.cancel(task_id, now=time.time())
            for task in tasks:
                task.write(store)


class _SessionTask:
    """A message that waits for a commit.

    Attributes:
        transaction: with which it is gone. What keeps it is the session, and nothing here keeps that.
        outcome: as of now, if it has been written.
    """

    __slots__ = ("_message", "ended", "outcome", "transaction")

    def __init__(self, message: Message, ended: Callable[[Accepted | None], None]) -> None:
        self._message = message
        self.ended = ended
        self.transaction: Callable[[], Any] = lambda: None
        self.outcome: Accepted | None = None

    def write(self, store: Store) -> None:
        [accepted] = store.accept([self._message])
        task_id = accepted.task_id
        # It may have been written before, in the same transaction.
        self.outcome = Accepted(task_id=task_id, is_new=task_id == self._message.task_id)


class _SessionTasks:
    """What waits for the transactions of one session.

    It listens for as long as the session is there: to stop while listeners are called breaks the user's commit.

    Args:
        session: of the sync kind.
        write: writes tasks, and cancels others, in the session's transaction.
        ring: called when something was accepted.
    """

    def __init__(
        self,
        session: Any,
        write: Callable[[Any, Sequence[_SessionTask], Sequence[str]], None],
        ring: Callable[[], None],
    ) -> None:
        from sqlalchemy import event  # where there is a session, it is installed

        self._write = write
        self._ring = ring
        self._waiting: list[_SessionTask] = []
        # Written in a transaction that goes on, and taken back since.
        self._taken_back: list[str] = []
        self._is_committing = False
        # A commit may go on in one thread while a task is cancelled in another.
        self._lock = Lock()
        event.listen(session, "before_commit", self._before_commit)
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_rollback", self._after_rollback)
        event.listen(session, "after_transaction_end", self._after_end)

    def add(self, session: Any, task: _SessionTask) -> Callable[[], bool]:
        if not session.in_transaction():
            session.begin()
        task.transaction = ref(session.get_nested_transaction() or session.get_transaction())
        if self._is_committing:  # by a listener, or by what is flushed
            self._write(session, [task], ())
        with self._lock:
            self._waiting.append(task)
        return partial(self._take_back, task)

    def _take_back(self, task: _SessionTask) -> bool:
        with self._lock:
            if self._is_committing or task not in self._waiting:
                return False
            self._waiting.remove(task)
            if task.outcome is not None and task.outcome.is_new:
                self._taken_back.append(task.outcome.task_id)
            return True

    def _before_commit(self, session: Any) -> None:
        """A commit begins, of a savepoint or of the whole. What it finds written does no harm to write again."""
        with self._lock:
            waiting, taken_back = tuple(self._waiting), tuple(self._taken_back)
            self._is_committing = session.get_nested_transaction() is None
        try:
            if waiting or taken_back:
                self._write(session, waiting, taken_back)
        except BaseException:
            self._is_committing = False
            raise

    def _after_commit(self, session: Any) -> None:
        savepoint = session.get_nested_transaction()
        with self._lock:
            if savepoint is not None:
                for task in self._of(savepoint):
                    task.transaction = ref(savepoint.parent)
                return
            committed, self._waiting = self._waiting, []
        for task in committed:
            task.ended(task.outcome)
        if committed:
            self._ring()

    def _after_rollback(self, session: Any) -> None:
        self._is_committing = False

    def _after_end(self, session: Any, transaction: Any) -> None:
        with self._lock:
            gone = self._of(transaction)
            self._waiting = [task for task in self._waiting if task not in gone]
            if transaction.parent is None:
                self._is_committing = False
                self._taken_back.clear()
        for task in gone:
            task.ended(None)

    def _of(self, transaction: Any) -> list[_SessionTask]:
        return [task for task in self._waiting if task.transaction() is transaction]


class _Connection:
    """A connection of a pool, in the words of `sqlite3`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(statement, parameters)
        return cursor


def _bind_of(session: Any) -> Any:
    from sqlalchemy.exc import UnboundExecutionError  # where there is a session, it is installed

    try:
        return session.get_bind()
    except UnboundExecutionError:
        return None


def _file_of(engine: Any) -> str | None:
    """The file that an engine of SQLAlchemy opens; None if it opens something else."""
    if engine.dialect.name != "sqlite":
        return None
    (name, *_), options = engine.dialect.create_connect_args(engine.url)
    if options.get("uri"):
        url = urlsplit(name)
        name = ":memory:" if "mode=memory" in url.query else unquote(url.path)
    return None if name in {"", ":memory:"} else name


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # nobody has opened it yet
        return os.path.realpath(path) == os.path.realpath(other)


def _holds_the_lock(connection: Any) -> bool:
    """Whether a connection of SQLAlchemy has written in a transaction that has not ended.

    Only said of connections that leave it to `sqlite3` when a transaction begins, which is with the first write.
    """
    if connection.closed or connection.invalidated:
        return False
    driver = connection.connection.driver_connection
    begins_by_itself = driver.isolation_level is not None and getattr(driver, "autocommit", -1) == -1
    return bool(begins_by_itself and driver.in_transaction)
