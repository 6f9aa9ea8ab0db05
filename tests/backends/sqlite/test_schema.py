"""The file: made for its owner only, brought up to date once, checked, and refused where it cannot be relied on."""

import multiprocessing
import os
import sqlite3
import stat
import time
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from bg_di.backends.sqlite import schema
from bg_di.errors import BackendUnavailable
from tests.backends.sqlite.files import connect


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_new_file_is_its_owners_only(tmp_path: Path) -> None:
    """Arguments of tasks are in it, and in the two files that SQLite keeps beside it; nothing else is left there."""
    with closing(connect(tmp_path / "tasks.db")):
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert files == {"tasks.db": 0o600, "tasks.db-wal": 0o600, "tasks.db-shm": 0o600}


def test_commits_are_synced_and_do_not_block_readers(tmp_path: Path) -> None:
    """WAL, synchronous FULL, and a bounded wait."""
    with closing(connect(tmp_path / "tasks.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (10000,)


def test_a_file_with_other_tables_keeps_them_and_its_mode(tmp_path: Path) -> None:
    """Ours have names of their own, and the file's user_version is somebody else's."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT)")
        connection.execute("INSERT INTO tasks VALUES (1, 'theirs')")
        connection.execute("PRAGMA user_version = 7")
        connection.commit()
    path.chmod(0o640)
    with closing(connect(path)) as connection:
        assert connection.execute("SELECT * FROM tasks").fetchall() == [(1, "theirs")]
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")]
    assert [name for name in names if not name.startswith("bg_di_")] == ["tasks"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """Neither tables nor what is in them."""
    path = tmp_path / "tasks.db"
    connect(path).close()
    before = dump(path)
    connect(path).close()
    assert dump(path) == before


def test_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """By the steps that it has not had yet."""
    path = tmp_path / "tasks.db"
    more = (*schema.MIGRATIONS, ("ALTER TABLE bg_di_tasks ADD COLUMN colour TEXT",))
    with closing(connect(path)) as connection:
        schema.migrate(str(path), connection, more)
        schema.migrate(str(path), connection, more)
        assert connection.execute("SELECT colour FROM bg_di_tasks").fetchall() == []


def test_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Nobody knows what it means."""
    path = tmp_path / "tasks.db"
    with closing(connect(path)) as connection:
        schema.migrate(str(path), connection, (*schema.MIGRATIONS, ()))
    before = dump(path)
    with pytest.raises(BackendUnavailable, match=r"tasks\.db has schema version 2, and this bg_di knows up to 1"):
        connect(path)
    assert dump(path) == before


@pytest.mark.parametrize("last", ["CREATE TABLE broken (", "ROLLBACK"])
def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, last: str) -> None:
    """Its steps are one transaction, also where SQLite has given that up by itself."""
    path = tmp_path / "tasks.db"
    with closing(connect(path)) as connection:
        before = dump(path)
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(str(path), connection, (*schema.MIGRATIONS, ("CREATE TABLE bg_di_more (a)", last, "COMMIT")))
        assert not connection.in_transaction
    assert dump(path) == before


def open_together(barrier: Barrier, paths: list[Path]) -> None:
    for path in paths:
        barrier.wait(30)
        connect(path).close()


def test_four_processes_that_open_at_once_make_one_file(tmp_path: Path) -> None:
    """Whoever comes second finds it done; nobody hears of a locked database, and nothing is left beside it."""
    paths = [tmp_path / f"{number}.db" for number in range(10)]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    processes = [context.Process(target=open_together, args=(barrier, paths)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert sorted(file for file in tmp_path.iterdir() if file.suffix not in {".db-wal", ".db-shm"}) == sorted(paths)
    assert len({tuple(dump(path)) for path in paths}) == 1
    with closing(connect(tmp_path / "alone.db")):
        assert dump(tmp_path / "alone.db") == dump(paths[0])


def test_whoever_makes_the_file_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the making somebody else was faster: his file is taken."""
    path = tmp_path / "tasks.db"
    make = os.link

    def slower(source: str, target: Path) -> None:
        target.touch(0o600)
        make(source, target)

    monkeypatch.setattr(os, "link", slower)
    connect(path).close()
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever characters it has, and relative to where the process is."""
    monkeypatch.chdir(tmp_path)
    connect(Path("50% of ?mode=ro&#.db")).close()
    assert [file.name for file in tmp_path.iterdir()] == ["50% of ?mode=ro&#.db"]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """It is not made: a typing error must not become a second queue."""
    with pytest.raises(BackendUnavailable, match=r"gone/tasks\.db cannot be made or opened: No such file"):
        connect(tmp_path / "gone" / "tasks.db")


def test_a_path_of_a_folder_is_refused(tmp_path: Path) -> None:
    """SQLite would say no more than that it cannot be opened."""
    with pytest.raises(BackendUnavailable, match="is a folder: give the path of a file in it"):
        connect(tmp_path)


def test_a_folder_that_may_not_be_written_to_is_refused(folder: Path) -> None:
    """There is no file yet, and none can be made."""
    folder.chmod(0o500)
    with pytest.raises(BackendUnavailable, match="cannot be made or opened: Permission denied"):
        connect(folder / "tasks.db")
    folder.chmod(0o700)


@pytest.mark.parametrize(("mode", "of_folder", "what"), [(0o400, 0o700, "tasks.db"), (0o600, 0o500, "")])
def test_a_file_that_may_only_be_read_is_refused(folder: Path, mode: int, of_folder: int, what: str) -> None:
    """Also where SQLite cannot write beside it; and taken as soon as that is mended."""
    path = folder / "tasks.db"
    connect(path).close()
    path.chmod(mode)
    folder.chmod(of_folder)
    with pytest.raises(BackendUnavailable, match=f"is read-only: .* write to {folder / what}$"):
        connect(path)
    folder.chmod(0o700)
    path.chmod(0o600)
    connect(path).close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """It is somebody's, and is left as it is."""
    path = tmp_path / "tasks.db"
    path.write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(BackendUnavailable, match=r"tasks\.db is no SQLite database"):
        connect(path)
    assert path.read_bytes().startswith(b"no database")


def test_damage_is_found_at_opening(tmp_path: Path) -> None:
    """Otherwise tasks would be accepted that nobody can claim. Who only reads a little may look without."""
    path = tmp_path / "tasks.db"
    connect(path).close()
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'bg_di_tasks'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(BackendUnavailable, match=r"tasks\.db is damaged: put a backup in its place"):
        connect(path)
    connect(path, check=False).close()


def test_a_place_without_write_ahead_is_refused() -> None:
    """Such as memory, where nothing survives."""
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(BackendUnavailable, match=r"is in a place that knows no write-ahead log .* memory"),
    ):
        schema._write_ahead("memory", connection, 1)


def test_whoever_is_in_the_way_of_the_switch_to_wal_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer to a file that is not in WAL blocks it, and SQLite does not wait for him by itself."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE theirs (a)")
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailable, match="has been locked by somebody else for longer than the busy limit"):
            schema.connect(str(path), busy_timeout=0)
        monkeypatch.setattr(time, "sleep", lambda seconds: writer.execute("COMMIT"))
        connect(path).close()


def test_a_sqlite_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems have a newer Python than SQLite."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(BackendUnavailable, match=r"needs SQLite 3\.35 or later; this Python has 3\.34\.1"):
        connect(tmp_path / "tasks.db")


def test_a_file_is_told_from_another_of_the_same_name(tmp_path: Path) -> None:
    """Without opening it."""
    path = tmp_path / "tasks.db"
    assert schema.identity(str(path)) is None
    path.touch()
    first = schema.identity(str(path))
    path.rename(tmp_path / "moved.db")
    path.touch()
    assert schema.identity(str(path)) != first == schema.identity(str(tmp_path / "moved.db"))
