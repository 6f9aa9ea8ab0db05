"""The file: how it is made and opened, and which tables in it are ours."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bg_di.backends.sqlite.failures import damaged, explained, primary_code
from bg_di.errors import BackendUnavailable

_OLDEST_SQLITE: Final = (3, 35, 0)  # UPDATE … RETURNING
_PAUSE: Final = 0.01

# Each takes a file from one version to the next. One that has been released is never changed.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE bg_di_tasks (
            seq INTEGER PRIMARY KEY,
            task_id TEXT NOT NULL UNIQUE,
            application TEXT NOT NULL,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            body BLOB NOT NULL,
            added_at REAL NOT NULL,
            due_at REAL NOT NULL,
            unique_key TEXT,
            unique_until REAL,
            state TEXT NOT NULL DEFAULT 'accepted',
            since REAL NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 0,
            deliveries INTEGER NOT NULL DEFAULT 0,
            token INTEGER NOT NULL DEFAULT 0,
            owner TEXT,
            lease_until REAL,
            reason TEXT
        )
        """,
        "CREATE INDEX bg_di_accepted ON bg_di_tasks (application, due_at) WHERE state = 'accepted'",
        "CREATE INDEX bg_di_running ON bg_di_tasks (application, lease_until) WHERE state = 'running'",
        "CREATE INDEX bg_di_dead ON bg_di_tasks (application, since) WHERE state = 'dead'",
        "CREATE INDEX bg_di_done ON bg_di_tasks (application, since) WHERE state IN ('succeeded', 'cancelled')",
        "CREATE INDEX bg_di_unique ON bg_di_tasks (application, name, unique_key) WHERE unique_key IS NOT NULL",
        """
        CREATE TABLE bg_di_names (
            application TEXT NOT NULL,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            known_at REAL NOT NULL,
            PRIMARY KEY (application, name, version)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE bg_di_aliases (
            task_id TEXT PRIMARY KEY,
            application TEXT NOT NULL,
            stands_for TEXT NOT NULL,
            since REAL NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX bg_di_stands_for ON bg_di_aliases (stands_for)",
        # Not a foreign key, which holds only on connections that ask for it.
        """
        CREATE TRIGGER bg_di_forgotten AFTER DELETE ON bg_di_tasks
        BEGIN DELETE FROM bg_di_aliases WHERE stands_for = old.task_id; END
        """,
    ),
)


def connect(path: str, *, busy_timeout: float, check: bool = True) -> sqlite3.Connection:
    """Open a file of tasks; make it where there is none, with mode 0600, and bring its tables up to date.

    Commits are synced before they return (WAL with synchronous FULL). Whatever else is in the file stays as it is.
    Transactions are the caller's: the connection commits each statement outside of one.

    Args:
        path: on a local disk, in a folder that exists.
        busy_timeout: seconds to wait for whoever else writes to it.
        check: look for damage first, which reads the whole file.

    Raises:
        BackendUnavailable: the file cannot be made, opened, read or written, is damaged, or is of a later version.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise BackendUnavailable(path, f"needs SQLite 3.35 or later; this Python has {sqlite3.sqlite_version}")
    with explained(path):
        _create(Path(path))
        _writable(path)
        # "rw": where somebody deletes it meanwhile, SQLite must not make another one, of another mode.
        uri = f"{Path(path).absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            _prepare(path, connection, busy_timeout, check=check)
        except BaseException:
            connection.close()
            raise
    return connection


def migrate(path: str, connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring our tables up to date, in one transaction. Whoever comes second finds it done.

    Raises:
        BackendUnavailable: a later version of bg_di has written the file.
    """
    if _version(path, connection, len(migrations)) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        upgrade(path, connection, migrations)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_current(path: str, connection: sqlite3.Connection) -> bool:
    """Whether our tables are there and up to date.

    Raises:
        BackendUnavailable: a later version of bg_di has written the file.
    """
    return _version(path, connection, len(MIGRATIONS)) == len(MIGRATIONS)


def upgrade(path: str, connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """The same as `migrate` in the caller's transaction, which has to hold the write lock."""
    for statements in migrations[_version(path, connection, len(migrations)) :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute("CREATE TABLE IF NOT EXISTS bg_di_meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID")
    connection.execute("REPLACE INTO bg_di_meta VALUES ('schema_version', ?)", (len(migrations),))


def identity(path: str) -> tuple[int, int] | None:
    """Which file that is, as long as it exists, whatever it is called; None if there is none.

    It is never opened: where a process closes any descriptor of a file, it loses its locks on it, SQLite's included.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _create(path: Path) -> None:
    if path.is_dir():
        raise BackendUnavailable(str(path), "is a folder: give the path of a file in it")
    if path.exists():
        return
    # Made under another name, which nobody else opens, so that closing it costs nobody his locks.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        os.close(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        pass  # somebody was faster
    finally:
        os.unlink(temporary)


def _writable(path: str) -> None:
    """Before SQLite looks, which would leave a -wal and a -shm there that stay read-only when the file no longer is."""
    effective = os.access in os.supports_effective_ids
    for what in (path, os.path.dirname(path) or "."):
        if not os.access(what, os.W_OK, effective_ids=effective):
            raise BackendUnavailable(path, f"is read-only: this process must be able to write to {what}")


def _prepare(path: str, connection: sqlite3.Connection, busy_timeout: float, *, check: bool) -> None:
    if check and (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise damaged(path, found)
    _write_ahead(path, connection, busy_timeout)
    connection.execute("PRAGMA synchronous = FULL")
    migrate(path, connection)
    connection.execute("DELETE FROM bg_di_meta WHERE false")  # refused by what can only be read


def _write_ahead(path: str, connection: sqlite3.Connection, busy_timeout: float) -> None:
    """Switch to WAL. SQLite does not wait its busy limit where two do so at once."""
    until = time.monotonic() + busy_timeout
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
            continue
        if mode != "wal":
            raise BackendUnavailable(path, f"is in a place that knows no write-ahead log (its journal mode is {mode})")
        return


def _version(path: str, connection: sqlite3.Connection, known: int) -> int:
    """Of a meta table of ours, as ``PRAGMA user_version`` belongs to whoever owns the file."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'bg_di_meta'").fetchone():
        return 0
    (version,) = connection.execute("SELECT value FROM bg_di_meta WHERE key = 'schema_version'").fetchone()
    if version > known:
        raise BackendUnavailable(
            path, f"has schema version {version}, and this bg_di knows up to {known}: update bg_di, it was newer before"
        )
    return int(version)
