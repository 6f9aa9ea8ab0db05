"""Which sessions tasks are written with, and how: on the user's own connection, in his transaction."""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from bg_di.backends.messages import Accepted, Message
from bg_di.backends.sessions import is_session, synchronous
from bg_di.backends.sqlite.failures import explained
from bg_di.backends.sqlite.schema import is_current, upgrade
from bg_di.backends.sqlite.session_tasks import SessionTask, SessionTasks
from bg_di.backends.sqlite.store import Store
from bg_di.errors import BackendUnavailable, InvalidOptions

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
        self._sessions: WeakKeyDictionary[Any, SessionTasks] = WeakKeyDictionary()
        self._adding = Lock()

    def write(self, session: Any, message: Message, ended: Callable[[Accepted | None], None]) -> Callable[[], bool]:
        """As `Engine.write` has it."""
        self._refuse_elsewhere(session)
        session = synchronous(session)
        with self._adding:
            tasks = self._sessions.get(session)
            if tasks is None:
                tasks = self._sessions[session] = SessionTasks(session, self._write_now, self._ring)
        return tasks.add(session, SessionTask(message, ended))

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

    def _write_now(self, session: Any, tasks: Sequence[SessionTask], taken_back: Sequence[str]) -> None:
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
