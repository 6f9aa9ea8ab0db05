"""What is wrong with the file is said clearly, nothing is lost by it, and it passes by itself."""

import asyncio
import os
import pickle
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from bg_di.backends.sqlite import file as file_module
from bg_di.backends.sqlite.file import TaskFile
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.thread import DatabaseThread
from bg_di.errors import BackendUnavailable, OutcomeUnknown
from tests.backends.sqlite.files import Blocked, message, no_file_beyond

BIG = b"x" * 1_000_000


@pytest.fixture
def thread(path: Path) -> Iterator[DatabaseThread]:
    thread = DatabaseThread(str(path), "shop", busy_timeout=0.05)
    yield thread
    thread.close()


def accept(thread: DatabaseThread, task_id: str, body: bytes = b"{}") -> None:
    thread.call(lambda store: store.accept([message(task_id, body=body)]))


def kept(thread: DatabaseThread) -> list[str]:
    return [entry.task_id for entry in reversed(thread.call(lambda store: store.entries(limit=99)))]


def execute(thread: DatabaseThread, statement: str) -> None:
    thread.call(lambda store: store._connection.execute(statement))


def refused(thread: DatabaseThread, body: bytes = b"{}") -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as caught:
        accept(thread, "refused", body)
    return caught.value


def test_a_full_file_takes_nothing_and_keeps_what_it_has(thread: DatabaseThread, path: Path) -> None:
    """With space again, all is well, with the same connection."""
    accept(thread, "a")
    execute(thread, "PRAGMA max_page_count = 30")
    error = refused(thread, BIG)
    assert type(error) is BackendUnavailable
    assert str(error).startswith(f"{path} cannot grow: the disk is full")
    accept(thread, "b")
    execute(thread, "PRAGMA max_page_count = 1000000")
    accept(thread, "c", BIG)
    assert kept(thread) == ["a", "b", "c"]


async def together(thread: DatabaseThread, *work: Callable[[Store], object]) -> list[object]:
    """What comes of operations that share a transaction."""
    blocked = Blocked(thread)
    waiters = [asyncio.create_task(thread.run(one)) for one in work]
    await asyncio.sleep(0)
    blocked.let_go()
    return await asyncio.gather(*waiters, return_exceptions=True)


async def test_a_task_that_does_not_fit_is_refused_alone(thread: DatabaseThread) -> None:
    """Smaller ones beside it are accepted."""
    execute(thread, "PRAGMA max_page_count = 30")
    bodies = {"a": b"{}", "refused": BIG, "b": b"{}"}
    messages = [message(task_id, body=body) for task_id, body in bodies.items()]
    _, error, _ = await together(thread, *(partial(Store.accept, messages=[each]) for each in messages))
    assert type(error) is BackendUnavailable
    assert kept(thread) == ["a", "b"]


async def test_whoever_shares_a_transaction_that_sqlite_undoes_hears_of_it(thread: DatabaseThread) -> None:
    """Whether he comes before or after the one that did not fit; each gets an error of his own."""
    accept(thread, "a")
    execute(thread, "CREATE TABLE theirs (a)")
    execute(thread, "PRAGMA max_page_count = 30")
    errors = await together(
        thread,
        lambda store: store.accept([message("b")]),
        lambda store: store._connection.execute("INSERT INTO theirs VALUES (zeroblob(1000000))"),
        lambda store: store.accept([message("c")]),
    )
    assert [type(error) for error in errors] == [BackendUnavailable] * 3
    assert len(set(map(id, errors))) == 3
    assert kept(thread) == ["a"]


def test_a_commit_that_fails_leaves_the_outcome_open(thread: DatabaseThread, path: Path) -> None:
    """Nobody knows what has reached the disk, and that is what is said. Afterwards the file is opened anew."""
    accept(thread, "a")
    with no_file_beyond(200_000):
        error = refused(thread, BIG)
    assert type(error) is OutcomeUnknown
    assert (error.engine, error.why[:26]) == (str(path), "cannot be read or written:")
    accept(thread, "b")
    assert kept(thread) == ["a", "b"]


def out_of_the_write_ahead_log(store: Store) -> None:
    """Put the file where a reader is in the way of a commit; the mode changes between transactions only."""
    for statement in ("COMMIT", "PRAGMA journal_mode = DELETE", "BEGIN IMMEDIATE"):
        store._connection.execute(statement)


def test_a_commit_that_has_to_wait_has_not_happened(path: Path) -> None:
    """The transaction is given up, and the next one is not in its way."""
    thread = DatabaseThread(str(path), "shop", busy_timeout=0.05)
    accept(thread, "a")
    thread.call(out_of_the_write_ahead_log)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM bg_di_tasks").fetchall()
        error = refused(thread)
    assert type(error) is BackendUnavailable
    assert "has been locked by somebody else for longer than the busy limit" in str(error)
    accept(thread, "b")
    assert kept(thread) == ["a", "b"]
    thread.close()


def test_a_foreign_lock_is_waited_for_as_long_as_the_busy_limit(thread: DatabaseThread, path: Path) -> None:
    """And named; when it is released, all is well, with the same connection."""
    accept(thread, "a")
    connections = [thread._file._connection]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        error = refused(thread)
        assert type(error) is BackendUnavailable
        assert str(error).startswith(f"{path} has been locked by somebody else for longer than the busy limit")
    accept(thread, "b")
    assert kept(thread) == ["a", "b"]
    assert connections == [thread._file._connection]


def test_a_file_that_cannot_be_opened_is_opened_as_soon_as_it_can(tmp_path: Path) -> None:
    """Here its folder comes late."""
    path = tmp_path / "late" / "tasks.db"
    thread = DatabaseThread(str(path), "shop")
    error = refused(thread)
    assert str(error) == (
        f"{path} cannot be made or opened: No such file or directory; its folder must exist and have space, and this "
        "process may write to it"
    )
    path.parent.mkdir()
    accept(thread, "a")
    assert kept(thread) == ["a"]
    thread.close()


def test_a_path_that_leads_through_a_file_is_refused(tmp_path: Path) -> None:
    """And what cannot be a path at all; the thread survives both."""
    (tmp_path / "file").touch()
    for path, said in [(f"{tmp_path}/file/tasks.db", "cannot be made or opened: Not a directory"), ("\0", "null")]:
        thread = DatabaseThread(path, "shop")
        for _ in range(2):
            with pytest.raises((BackendUnavailable, ValueError), match=said):
                accept(thread, "a")
        thread.close()


async def test_a_file_that_was_moved_away_is_missed_and_used_when_it_is_back(
    thread: DatabaseThread, path: Path
) -> None:
    """Nothing is written to what nobody will find again, nor is a new one made in its place."""
    accept(thread, "a")
    moved = path.rename(path.with_suffix(".moved"))
    error = refused(thread)
    assert str(error).startswith(f"{path} has been deleted or moved away: put it back")
    with pytest.raises(BackendUnavailable, match="has been deleted or moved away"):
        await thread.check_identity()
    assert not path.exists()
    moved.rename(path)
    await thread.check_identity()
    accept(thread, "b")
    assert kept(thread) == ["a", "b"]


def test_another_file_is_not_taken_while_somebody_may_have_the_old_one_open(
    thread: DatabaseThread, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their logs have the same name; all let go of the old one, also those that nobody asks for anything."""
    accept(thread, "a")
    path.rename(path.with_suffix(".kept"))  # so that the next one has another number
    path.touch(0o600)
    assert "is another file now: it is used in some seconds" in str(refused(thread))
    monkeypatch.setattr(file_module, "_LET_GO", 0)
    accept(thread, "b")
    looked, let_go = threading.Event(), threading.Event()
    thread.every(0.01, TaskFile.watch)
    thread.every(0.01, lambda file: looked.set() if file._connection is not None else let_go.set())
    assert looked.wait(10)
    path.unlink()
    assert let_go.wait(10)
    path.touch(0o600)
    accept(thread, "c")
    assert kept(thread) == ["c"]


def test_a_file_in_the_place_of_a_deleted_one_is_taken(
    thread: DatabaseThread, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever puts it there knows; what another process made there is shared with it."""
    monkeypatch.setattr(file_module, "_LET_GO", 0)
    accept(thread, "a")
    for file in path.parent.iterdir():
        file.unlink()
    refused(thread)
    other = DatabaseThread(str(path), "shop")
    accept(other, "b")
    accept(thread, "c")
    assert kept(other) == kept(thread) == ["b", "c"]
    other.close()
    accept(thread, "d")


def test_a_file_that_is_damaged_takes_nothing_until_it_is_replaced(path: Path) -> None:
    """A page in the midst of it, which is only noticed by looking."""
    thread = DatabaseThread(str(path), "shop")
    accept(thread, "a", BIG)
    pages = thread.call(
        lambda store: store._connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name IN ('bg_di_tasks', 'bg_di_accepted')"
        ).fetchall()
    )
    thread.close()
    sound = path.read_bytes()
    with path.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
    thread = DatabaseThread(str(path), "shop")
    for _ in range(2):
        assert "is damaged: put a backup in its place" in str(refused(thread))
    path.with_suffix(".backup").write_bytes(sound)
    os.replace(path.with_suffix(".backup"), path)
    assert kept(thread) == ["a"]
    thread.close()


def test_a_connection_in_a_state_that_nobody_expects_is_given_up(thread: DatabaseThread) -> None:
    """The next operation opens the file anew, and so finds what is wrong with it."""
    accept(thread, "a")

    def commits(store: Store) -> None:
        store._connection.execute("COMMIT")

    with pytest.raises(BackendUnavailable, match=r"does not work \(cannot commit - no transaction is active\)"):
        thread.call(commits)
    assert thread._file._connection is None
    assert kept(thread) == ["a"]


def test_an_operation_that_ends_the_transaction_fails_those_who_share_it(thread: DatabaseThread) -> None:
    """And nobody else: the thread goes on."""
    accept(thread, "a")

    def ends(store: Store) -> None:
        store._connection.execute("ROLLBACK")
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        thread.call(ends)
    assert kept(thread) == ["a"]


async def test_an_error_that_asyncio_does_not_take_hangs_nobody(thread: DatabaseThread) -> None:
    """Neither whoever raised it nor who shares his commit."""
    with pytest.raises(RuntimeError, match="an operation raised StopIteration"):
        await thread.run(lambda store: next(iter(store.entries(limit=1))))


def test_an_error_travels_between_processes() -> None:
    """With its parts."""
    error = pickle.loads(pickle.dumps(OutcomeUnknown("tasks.db", "is gone")))
    assert type(error) is OutcomeUnknown
    assert (error.engine, error.why, str(error)) == ("tasks.db", "is gone", "tasks.db is gone")
