"""The file that an application's tasks are on, as a test sees it beside real servers."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bg_di.backends import Engine
from bg_di.backends.sqlite import SqliteBackend
from tests.servers.stage import PATIENCE

SETTINGS = "DURABLE_SETTINGS"


def settings(path: Path, **options: Any) -> dict[str, str]:
    """The environment of `tests.servers.durable`.

    Args:
        path: of the file.
        **options: ``backend``: of `SqliteBackend`; ``options``: of the module; ``version``: ``"new"`` or ``"old"``;
            ``stage``: which hears of start-up and shutdown.
    """
    return {SETTINGS: json.dumps({"path": str(path), **options})}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else writes to the file."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def opened(path: Path, application: str = "shop") -> Iterator[Engine]:
    """The tasks of an application."""
    engine = SqliteBackend(path, busy_timeout=10).open(application)
    try:
        yield engine
    finally:
        engine.abandon()


def states(path: Path, application: str = "shop") -> dict[str, str]:
    """How each task stands, by its id."""
    with opened(path, application) as engine:
        return {entry.task_id: entry.state for entry in engine.entries(limit=10_000)}


def wait_until_done(path: Path) -> None:
    """Wait until nothing waits or runs."""
    with opened(path) as engine:
        until = time.monotonic() + PATIENCE
        while (counts := engine.counts()).waiting or counts.running:
            assert time.monotonic() < until, counts
            time.sleep(0.02)


def patient(path: Path) -> Path:
    """The file of the backend that waits."""
    return path.with_name(f"{path.name}-patient")
