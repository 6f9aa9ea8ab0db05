"""Durable tasks on a SQLite file: no server, one machine, a local disk."""

try:
    import fcntl  # noqa: F401  # what tells a dead worker from a slow one
except ImportError as error:
    raise ImportError(
        "bg_di.backends.sqlite needs POSIX file locks, which this platform does not have: run it on Linux or macOS"
    ) from error

from bg_di.backends.sqlite.backend import SqliteBackend

__all__ = ["SqliteBackend"]
