"""The application whose durable tasks are measured, on a file."""

from pathlib import Path

from ellar.app import App

from benchmarks.engines import application as engines
from bg_di.backends.sqlite import SqliteBackend


def application(path: Path, *, concurrency: int = 10) -> App:
    """An application on a file."""
    return engines.application(SqliteBackend(path, embedded=False, concurrency=concurrency))
