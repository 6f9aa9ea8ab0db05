"""The database thread: one commit for what comes together, and errors that say what became of an operation."""

import asyncio
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bg_di.backends import Accepted, Message
from bg_di.backends.sqlite.file import Operation, TaskFile
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.thread import DatabaseThread
from bg_di.errors import BackendUnavailable
from tests.backends.sqlite.files import Blocked, connect, message


@pytest.fixture
def thread(path: Path) -> Iterator[DatabaseThread]:
    thread = DatabaseThread(str(path), "shop")
    yield thread
    thread.close()


def accept(*messages: Message) -> Callable[[Store], list[Accepted]]:
    return lambda store: store.accept(messages)


def waiting(path: Path) -> int:
    with closing(connect(path)) as connection:
        return Store(connection, "shop").counts(now=0).waiting


class Commits:
    """Counts the transactions that are written."""

    def __init__(self, thread: DatabaseThread) -> None:
        self.count = 0
        thread.call(lambda store: store._connection.set_trace_callback(self._trace))
        self.count = 0

    def _trace(self, statement: str) -> None:
        self.count += statement == "COMMIT"


async def test_what_is_accepted_is_on_the_file(thread: DatabaseThread, path: Path) -> None:
    """As soon as whoever handed it over is told so."""
    assert await thread.run(accept(message("a"))) == [Accepted(task_id="a", is_new=True)]
    assert waiting(path) == 1


def test_another_thread_may_wait(thread: DatabaseThread, path: Path) -> None:
    """Without an event loop."""
    assert thread.call(accept(message("a"))) == [Accepted(task_id="a", is_new=True)]
    assert waiting(path) == 1


async def test_what_comes_while_it_writes_goes_into_one_commit(thread: DatabaseThread, path: Path) -> None:
    """From an event loop and from other threads, in order."""
    commits = Commits(thread)
    blocked = Blocked(thread)
    waiters = [asyncio.create_task(thread.run(accept(message(str(number))))) for number in range(50)]
    await asyncio.sleep(0)
    counted = asyncio.create_task(thread.run(lambda store: store.counts(now=0).waiting))
    await asyncio.sleep(0)
    blocked.let_go()
    await asyncio.gather(*waiters)
    assert await counted == 50
    assert commits.count == 2


async def test_an_operation_that_fails_fails_alone(thread: DatabaseThread, path: Path) -> None:
    """What it wrote is undone, what shares its commit is not; an error of SQLite's is explained."""

    def fails(store: Store) -> None:
        store.accept([message("undone")])
        raise ValueError("no")

    def mistaken(store: Store) -> None:
        store.accept([message("undone")])
        store._connection.execute("INSERT INTO nowhere VALUES (1)")

    blocked = Blocked(thread)
    work: list[Callable[[Store], object]] = [accept(message("a")), fails, accept(message("b")), mistaken]
    waiters = [asyncio.create_task(thread.run(one)) for one in [*work, accept(message("c"))]]
    await asyncio.sleep(0)
    blocked.let_go()
    _, failed, _, mistake, _ = await asyncio.gather(*waiters, return_exceptions=True)
    assert isinstance(failed, ValueError)
    assert isinstance(mistake, BackendUnavailable)
    assert str(mistake) == f"{path} does not work (no such table: nowhere)"
    assert [entry.task_id for entry in thread.call(lambda store: store.entries(limit=9))] == ["c", "b", "a"]


def test_an_operation_that_fails_with_nobody_beside_it_is_undone(thread: DatabaseThread) -> None:
    """And the connection is kept, as it is not to blame."""

    def fails(store: Store) -> None:
        store.accept([message("undone")])
        raise ValueError("no")

    thread.call(accept(message("a")))
    connections = [thread._file._connection]
    with pytest.raises(ValueError, match="no"):
        thread.call(fails)
    thread.call(accept(message("b")))
    assert connections == [thread._file._connection]
    assert [entry.task_id for entry in thread.call(lambda store: store.entries(limit=9))] == ["b", "a"]


async def test_a_waiter_that_is_cancelled_does_not_cancel_the_operation(thread: DatabaseThread, path: Path) -> None:
    """It has been submitted, so it is done."""
    blocked = Blocked(thread)
    waiter = asyncio.create_task(thread.run(accept(message("a"))))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    blocked.let_go()
    await thread.check_identity()
    assert waiting(path) == 1


def test_a_loop_that_is_gone_stops_nobody(thread: DatabaseThread, path: Path) -> None:
    """What it submitted is done, and so is what others submit."""

    async def submit() -> None:
        asyncio.create_task(thread.run(accept(message("a"))))  # noqa: RUF006  # it is to be cut off
        await asyncio.sleep(0)

    blocked = Blocked(thread)
    asyncio.run(submit())
    blocked.let_go()
    thread.call(accept(message("b")))
    assert waiting(path) == 2


async def test_closing_does_what_was_submitted_and_refuses_the_rest(path: Path) -> None:
    """So that shutdown loses nothing; closing again does nothing."""
    thread = DatabaseThread(str(path), "shop")
    blocked = Blocked(thread)
    waiters = [asyncio.create_task(thread.run(accept(message(str(number))))) for number in range(5)]
    await asyncio.sleep(0)
    closing_it = asyncio.create_task(thread.aclose())
    while not thread._closed:
        await asyncio.sleep(0)
    with pytest.raises(BackendUnavailable, match=r"tasks\.db has been closed by this application"):
        await thread.run(accept(message("late")))
    blocked.let_go()
    await closing_it
    await asyncio.gather(*waiters)
    thread.close()
    assert sorted(path.parent.iterdir()) == [path]
    assert waiting(path) == 5


def test_a_process_may_go_to_another_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means what it meant."""
    monkeypatch.chdir(path.parent)
    thread = DatabaseThread(path.name, "shop")
    thread.call(accept(message("a")))
    monkeypatch.chdir("/")
    thread.call(accept(message("b")))
    thread.close()
    assert waiting(path) == 2


def test_a_thread_that_was_never_used_makes_no_file(path: Path) -> None:
    """The file is opened by the first operation."""
    DatabaseThread(str(path), "shop").close()
    assert not path.exists()


async def test_what_follows_from_an_operation_is_done_before_anything_else(thread: DatabaseThread) -> None:
    """In the thread, and only when it has been written."""
    done: list[object] = []

    def fails(store: Store) -> None:
        raise ValueError("no")

    await thread.run(accept(message("a")), then=lambda result: done.append((threading.current_thread(), result)))
    assert done == [(thread._thread, [Accepted(task_id="a", is_new=True)])]
    with pytest.raises(ValueError, match="no"):
        await thread.run(fails, then=done.append)
    assert len(done) == 1


def test_what_is_repeated_is_done_without_being_asked(thread: DatabaseThread) -> None:
    """Between operations, at once and again, until it is ended."""
    thread.call(accept(message("a")))
    times = threading.Semaphore(0)
    end = thread.every(0.01, lambda file: times.release())
    for _ in range(3):
        assert times.acquire(timeout=10)
    thread.every(3600, lambda file: times.release())
    assert thread.call(lambda store: store.counts(now=0).waiting) == 1
    end()
    assert len(thread._repeated) == 1


def test_whether_others_have_written_is_known_without_writing(path: Path) -> None:
    """What it has written itself does not count; a file that is not there has to be opened."""
    file = TaskFile(str(path), "shop", busy_timeout=1)

    def version() -> int | None:
        return file.look(Store.version)

    assert version() is None
    file.execute([Operation(accept(message("a")))])
    before = version()
    file.execute([Operation(accept(message("b")))])
    assert version() == before is not None
    with closing(connect(path)) as connection:
        Store(connection, "shop").accept([message("c")])
    assert version() not in {before, None}
    assert file.look(lambda store: store._connection.execute("SELECT * FROM nowhere")) is None
    path.rename(path.with_suffix(".moved"))
    assert version() is None
    file.close()


def in_child(thread: DatabaseThread) -> None:
    with pytest.raises(BackendUnavailable, match="was opened before this process was forked"):
        thread.call(accept(message("child")))
    thread.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_is_refused(thread: DatabaseThread, path: Path) -> None:
    """It has no such thread, and would wait for ever; its end takes nothing from its parent."""
    thread.call(accept(message("a")))
    child = multiprocessing.get_context("fork").Process(target=in_child, args=(thread,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    thread.call(accept(message("b")))
    assert waiting(path) == 2


WRITER = """
import sys
from bg_di.backends.sqlite.thread import DatabaseThread
from tests.backends.sqlite.files import message
thread = DatabaseThread(sys.argv[1], "shop")
for number in range(100_000):
    thread.call(lambda store: store.accept([message(f"{sys.argv[2]}-{number}")]))
    print(f"{sys.argv[2]}-{number}", flush=True)
"""


def test_what_was_accepted_survives_kill_9(path: Path) -> None:
    """Of several processes that write at once, each killed in the midst of it."""
    root = Path(__file__).parents[3]
    told: list[str] = []
    for _ in range(3):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), f"{len(told)}.{number}"],
                stdout=subprocess.PIPE,
                text=True,
                cwd=root,
            )
            for number in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            told += [process.stdout.readline().strip() for _ in range(50)]
        for process in processes:
            process.kill()
            rest, _ = process.communicate()
            told += rest.split("\n")[:-1]
    with closing(connect(path)) as connection:
        kept = {entry.task_id for entry in Store(connection, "shop").entries(limit=1_000_000)}
    assert len(told) >= 450
    assert set(told) <= kept


def test_processes_that_write_at_once_are_not_told_of_locks(path: Path) -> None:
    """They wait for each other."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(path, str(number))) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert waiting(path) == 800


def write_many(path: Path, prefix: str) -> None:
    thread = DatabaseThread(str(path), "shop", busy_timeout=30)

    async def write() -> None:
        await asyncio.gather(*(thread.run(accept(message(f"{prefix}-{number}"))) for number in range(200)))

    asyncio.run(write())
    thread.close()
