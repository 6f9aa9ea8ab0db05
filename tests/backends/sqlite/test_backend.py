"""What can be said of a file, and what is refused where it is said."""

import importlib
import sys
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bg_di.backends.sqlite import SqliteBackend
from bg_di.errors import InvalidOptions

WEEK = 7 * 24 * 3600


def test_a_path_is_all_that_has_to_be_said(tmp_path: Path) -> None:
    """The rest is what the documentation says."""
    backend = SqliteBackend(tmp_path / "tasks.db")
    assert (backend.concurrency, backend.embedded, backend.lease, backend.max_deliveries) == (10, True, 60, 5)
    assert (backend.max_message_bytes, backend.unknown_after) == (256 * 1024, 3600)
    assert (backend.keep, backend.busy_timeout) == (timedelta(seconds=WEEK), 2)
    shown = {"cancel", "listing", "dead", "counts"}
    assert backend.capabilities == {"delay", "idempotent", "unique_key", "transaction"} | shown
    assert not backend.runs_here


def test_it_is_a_record() -> None:
    """Equal to another one of the same, and never changed."""
    backend: Any = SqliteBackend("tasks.db", lease=30)
    assert backend == SqliteBackend("tasks.db", lease=30) != SqliteBackend("tasks.db")
    with pytest.raises(FrozenInstanceError):
        backend.lease = 5


def test_durations_are_seconds_or_timedeltas() -> None:
    """And mean the same."""
    hour = timedelta(hours=1)
    backend = SqliteBackend("tasks.db", lease=hour, unknown_after=hour, keep=hour, busy_timeout=timedelta(seconds=1))
    terms = backend.open("shop")._terms
    assert (terms.lease, terms.unknown_after, terms.keep, terms.busy_timeout) == (3600, 3600, 3600, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": 0}, r"SqliteBackend\(concurrency=0\): give a number of at least 1"),
        ({"max_deliveries": True}, r"SqliteBackend\(max_deliveries=True\): give a number of at least 1"),
        ({"max_message_bytes": 1.5}, r"SqliteBackend\(max_message_bytes=1\.5\): give a number of at least 1"),
        ({"embedded": "yes"}, r"SqliteBackend\(embedded='yes'\): give True or False"),
        ({"lease": 0}, r"SqliteBackend\(lease=0\): give seconds, as a number or a timedelta, above zero"),
        ({"unknown_after": -1}, r"SqliteBackend\(unknown_after=-1\): give seconds.* not negative"),
        ({"keep": "a week"}, r"SqliteBackend\(keep='a week'\): give seconds"),
        ({"busy_timeout": float("inf")}, r"SqliteBackend\(busy_timeout=inf\): give seconds"),
        ({"lease": 4, "busy_timeout": 1.5}, r"SqliteBackend\(busy_timeout=1\.5\): give at most a quarter of the lease"),
        (
            {"lease": timedelta(seconds=4)},
            r"busy_timeout=2\.0\): .* is datetime\.timedelta\(seconds=4\)",
        ),
    ],
)
def test_a_wrong_value_is_named(options: dict[str, Any], said: str) -> None:
    """With what to give instead."""
    with pytest.raises(InvalidOptions, match=said):
        SqliteBackend("tasks.db", **options)


@pytest.mark.parametrize("path", [None, "", b"tasks.db", 5, ":memory:", "file:tasks.db?mode=memory"])
def test_what_is_no_path_of_a_file_is_refused(path: Any) -> None:
    """Memory too, where nothing survives."""
    with pytest.raises(InvalidOptions, match=r"SqliteBackend\(path=.*give the path of a file"):
        SqliteBackend(path)


def test_nothing_is_made_before_something_is_done(tmp_path: Path) -> None:
    """Neither by the description nor by opening it."""
    engine = SqliteBackend(tmp_path / "tasks.db").open("shop")
    engine.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_platform_without_file_locks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is imported, and what else there is can be used."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.delitem(sys.modules, "bg_di.backends.sqlite")
    with pytest.raises(ImportError, match=r"bg_di\.backends\.sqlite needs POSIX file locks"):
        importlib.import_module("bg_di.backends.sqlite")
