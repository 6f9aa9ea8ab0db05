"""A dead owner is told from a slow one, whatever happens to processes and lock files."""

import fcntl
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bg_di.backends.sqlite.owner import Owner, _forget_all, alive, clean, dead
from bg_di.errors import BackendUnavailable

ROOT = Path(__file__).parents[3]
OWNER = """
import os, sys
from bg_di.backends.sqlite.owner import Owner
owner = Owner(sys.argv[1])
if "fork" not in sys.argv or not os.fork():
    print(owner.name, os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "tasks.db")


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    owner = Owner(database)
    yield owner
    owner.release()


def lock_files(database: str) -> list[Path]:
    return sorted(Path(database).parent.iterdir())


@contextmanager
def process(database: str, *options: str) -> Iterator[tuple["subprocess.Popen[str]", str, int]]:
    """Another one with an owner: the process, the owner's name, and the id of who told it."""
    command = [sys.executable, "-W", "ignore", "-c", OWNER, database, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as popen:
        assert popen.stdout is not None
        name, child = popen.stdout.readline().split()
        try:
            yield popen, name, int(child)
        finally:
            popen.kill()


def test_an_owner_lives_until_it_is_released(database: str) -> None:
    """Others in the same process see it too; afterwards nothing is left."""
    first, second = Owner(database), Owner(database)
    assert alive(database, first.name) is alive(database, second.name) is True
    first.release()
    assert alive(database, first.name) is None
    assert alive(database, second.name) is True
    assert dead(database, [first.name, second.name]) == set()
    second.release()
    second.release()
    assert lock_files(database) == []


def test_nobody_knows_of_an_owner_without_a_lock_file(database: str) -> None:
    """It may have been deleted."""
    assert alive(database, "unheard-of") is None


def test_the_lock_file_is_its_owners_only(owner: Owner, database: str) -> None:
    """As the database beside it."""
    (file,) = lock_files(database)
    assert file.name == f"tasks.db-owner-{owner.name}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_process_that_is_stopped_is_slow_and_one_that_is_killed_is_dead(database: str) -> None:
    """A killed one could not say so itself."""
    with process(database) as (popen, name, _):
        assert alive(database, name) is True
        popen.send_signal(signal.SIGSTOP)
        assert alive(database, name) is True
        popen.kill()
        popen.wait()
        assert alive(database, name) is False
        assert dead(database, [name, "unheard-of"]) == {name}


def test_a_forked_child_does_not_keep_its_dead_parent_alive(database: str) -> None:
    """It lives on, with nothing of the lock."""
    with process(database, "fork") as (popen, name, child):
        popen.kill()
        popen.wait()
        os.kill(child, 0)
        assert alive(database, name) is False
        os.kill(child, signal.SIGKILL)


def in_child(owner: Owner) -> None:
    with pytest.raises(BackendUnavailable, match=f"has no owner {owner.name} in this process"):
        owner.keep()
    owner.release()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_does_not_free_its_parents_lock(owner: Owner, database: str) -> None:
    """Nor does it claim in its name, or remove its file."""
    child = multiprocessing.get_context("fork").Process(target=in_child, args=(owner,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert alive(database, owner.name) is True
    assert owner.keep()


def test_what_a_child_does_is_to_close_only(database: str) -> None:
    """All owners of its parent's, of which none is locked then; once more does nothing."""
    owners = [Owner(database), Owner(database)]
    _forget_all()
    owners[0].forget()
    assert [alive(database, owner.name) for owner in owners] == [False, False]
    assert len(lock_files(database)) == 2


def test_a_lock_file_that_was_deleted_is_put_back(owner: Owner, database: str) -> None:
    """Until then nobody knows."""
    assert owner.keep()
    lock_files(database)[0].unlink()
    assert alive(database, owner.name) is None
    assert not owner.keep()
    assert alive(database, owner.name) is True
    assert owner.keep()


def test_an_owner_that_lost_its_file_removes_nobodys(owner: Owner, database: str) -> None:
    """Another file of that name is not its own."""
    (file,) = lock_files(database)
    file.unlink()
    file.touch()
    owner.release()
    assert lock_files(database) == [file]


def test_a_lock_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """As an engine that does not work."""
    with pytest.raises(BackendUnavailable, match=r"gone/tasks\.db cannot be made or opened"):
        Owner(str(tmp_path / "gone" / "tasks.db"))


def test_an_owner_is_found_by_a_link_to_the_database(owner: Owner, database: str, tmp_path: Path) -> None:
    """Processes may call it by different names."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "link.db").symlink_to(database)
    assert alive(str(folder / "link.db"), owner.name) is True


def test_what_the_dead_have_left_is_removed(owner: Owner, database: str) -> None:
    """Not what belongs to the living, to those who may have something in hand, or to another database."""
    left, kept = Owner(database), Owner(database)
    other = Owner(f"{database}2")
    for each in (left, kept, other):
        each.forget()
    clean(database, keep=[kept.name])
    assert [alive(database, each.name) for each in (owner, left, kept)] == [True, None, False]
    assert alive(f"{database}2", other.name) is False


def when_locked(monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """Something happens just before somebody locks what he has opened, once."""
    flock = fcntl.flock

    def after(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        happens()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", after)


def test_a_lock_file_that_is_cleaned_away_before_it_is_locked_is_made_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cleans cannot know that it is about to be locked."""
    when_locked(monkeypatch, lambda: clean(database, keep=()))
    owner = Owner(database)
    assert alive(database, owner.name) is True
    owner.release()


def put_back(owner: Owner, database: str) -> None:
    """The file of a living owner is deleted, and he makes it again."""
    lock_files(database)[0].unlink()
    owner.keep()


def test_an_owner_whose_file_is_put_back_meanwhile_is_not_taken_for_dead(
    owner: Owner, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened is free, but it is not his any more."""
    when_locked(monkeypatch, partial(put_back, owner, database))
    assert alive(database, owner.name) is None
    assert alive(database, owner.name) is True


def test_cleaning_does_not_remove_what_was_put_back_meanwhile(
    owner: Owner, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a living owner's."""
    when_locked(monkeypatch, partial(put_back, owner, database))
    clean(database, keep=())
    assert alive(database, owner.name) is True
