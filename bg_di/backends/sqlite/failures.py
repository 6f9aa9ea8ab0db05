"""What SQLite's errors mean for whoever runs the application."""

import sqlite3
from types import TracebackType
from typing import Final

from bg_di.errors import BackendUnavailable

_DAMAGED: Final = "is damaged: put a backup in its place, or move it away with its -wal and -shm to start anew"

# By primary result code: https://www.sqlite.org/rescode.html
_MEANING: Final = {
    sqlite3.SQLITE_BUSY: "has been locked by somebody else for longer than the busy limit",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: its folder must exist, and this process may write to both",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full, or a limit on the file's size is reached",
    sqlite3.SQLITE_IOERR: "cannot be read or written: look at the disk, its space and its limits",
    sqlite3.SQLITE_NOTADB: "is no SQLite database, or its beginning is damaged",
    sqlite3.SQLITE_PERM: "may not be used by this process",
    sqlite3.SQLITE_READONLY: "is read-only: this process must be able to write to it and to its folder",
}


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's result code without its details; None if the error is the module's own."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def why(error: sqlite3.Error) -> str:
    """What is wrong with the file, with SQLite's own words at the end."""
    code = primary_code(error)
    meaning = None if code is None else _MEANING.get(code)
    return f"{meaning or 'does not work'} ({error})"


def damaged(path: str, found: str) -> BackendUnavailable:
    """The error for what a check of the file found."""
    return BackendUnavailable(path, f"{_DAMAGED} ({found})")


class explained:  # noqa: N801  # it is used as a function; a generator would cost each commit more than its stat
    """Say of a file what an error of SQLite means.

    Raises:
        BackendUnavailable: instead of any error of SQLite and of the operating system.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, sqlite3.Error):
            raise BackendUnavailable(self._path, why(error)) from error
        if isinstance(error, OSError):
            remedy = "its folder must exist and have space, and this process may write to it"
            raise BackendUnavailable(self._path, f"cannot be made or opened: {error.strerror}; {remedy}") from error
