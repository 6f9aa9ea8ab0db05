"""Workers that are killed, stopped and held up, on a real file: whose a delivery is then."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from bg_di.backends.sqlite import SqliteBackend
from tests.backends.sqlite.files import NAME, message, until
from tests.harness import Log

ROOT = Path(__file__).parents[3]
SHORT = 1.2

# Says what it is given, and, when it is told to, what comes of acknowledging it.
WORKER = """
import asyncio, sys
from bg_di.backends.sqlite import SqliteBackend

async def main(path, lease):
    engine = SqliteBackend(path, lease=float(lease), busy_timeout=0.2).open("shop")
    consumer = await engine.consume(["shop:mail"], lost=print)
    print("ready", flush=True)
    (delivery,) = await consumer.receive(1)
    print(delivery.task_id, delivery.delivery, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await consumer.acknowledge(delivery), flush=True)
    await engine.close()

asyncio.run(main(*sys.argv[1:]))
"""


class Worker:
    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self.popen = popen

    def says(self) -> str:
        """Its next line; the process waits for it."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    async def will_say(self) -> str:
        """Its next line; the event loop goes on."""
        return await asyncio.to_thread(self.says)

    def stop(self, path: Path) -> None:
        """Stop it where it holds up nobody: in the midst of writing it would, until it goes on."""
        with closing(sqlite3.connect(path, timeout=0.1, isolation_level=None)) as connection:
            while True:
                self.popen.send_signal(signal.SIGSTOP)
                with suppress(sqlite3.OperationalError):
                    connection.execute("BEGIN IMMEDIATE")
                    return
                self.popen.send_signal(signal.SIGCONT)
                connection.execute("PRAGMA busy_timeout = 20000")  # until it has written that
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
                connection.execute("PRAGMA busy_timeout = 100")

    def go(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()


@contextmanager
def worker(path: Path, lease: float) -> Iterator[Worker]:
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(path), str(lease)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as popen:
        try:
            yield Worker(popen)
        finally:
            popen.kill()


async def test_what_a_killed_worker_had_is_anothers_long_before_its_lease_ends(path: Path) -> None:
    """Counted, as it may be the task that kills."""
    engine = SqliteBackend(path, lease=60).open("shop")
    await engine.accept([message("a")])
    with worker(path, 60) as killed:
        assert [await killed.will_say(), await killed.will_say()] == ["ready", "a 1"]
        consumer = await engine.consume([NAME], lost=print)
        killed.popen.kill()
        since = time.monotonic()
        (delivery,) = await consumer.receive(1)
    assert time.monotonic() - since < 30
    assert (delivery.task_id, delivery.delivery) == ("a", 2)
    entry = engine.show("a")
    assert entry is not None
    assert (entry.reason or "").endswith(" died")
    await engine.close()


async def test_a_worker_that_was_stopped_past_its_lease_is_not_heard(path: Path) -> None:
    """Another one has the task; and the late one goes on."""
    engine = SqliteBackend(path, lease=SHORT, busy_timeout=0.2).open("shop")
    await engine.accept([message("a")])
    with worker(path, SHORT) as stopped:
        assert [await stopped.will_say(), await stopped.will_say()] == ["ready", "a 1"]
        stopped.stop(path)
        consumer = await engine.consume([NAME], lost=print)
        (delivery,) = await consumer.receive(1)
        assert (delivery.task_id, delivery.delivery) == ("a", 2)
        stopped.popen.send_signal(signal.SIGCONT)
        stopped.go()
        assert await stopped.will_say() == "False"
        assert await consumer.acknowledge(delivery)
        assert await asyncio.to_thread(stopped.popen.wait) == 0
    await engine.close()


async def test_a_busy_event_loop_keeps_what_it_has(path: Path) -> None:
    """For longer than a lease, while somebody else waits for it: a sync task, or one that computes."""
    engine = SqliteBackend(path, lease=SHORT, busy_timeout=0.2).open("shop")
    await engine.accept([message("a")])
    consumer = await engine.consume([NAME], lost=print)
    (delivery,) = await consumer.receive(1)
    with worker(path, SHORT) as other:
        assert await other.will_say() == "ready"
        time.sleep(1.5 * SHORT)
        assert await consumer.acknowledge(delivery)
        await engine.accept([message("b")])
        assert await other.will_say() == "b 1"
    await engine.close()


async def test_an_event_loop_that_hangs_loses_what_it_has(path: Path, log: Log) -> None:
    """Or nobody would ever run it. When the loop goes on, its word is not heard, and it is logged."""
    engine = SqliteBackend(path, lease=SHORT, busy_timeout=0.2).open("shop")
    await engine.accept([message("a"), message("b")])
    consumer = await engine.consume([NAME], lost=print)
    first, second = sorted(await consumer.receive(2), key=lambda delivery: delivery.task_id)
    with worker(path, SHORT) as other:
        assert other.says() == "ready"
        taken, deliveries = other.says().split()  # and the loop stands still until it has been taken
        assert deliveries == "2"
        await until(lambda: log.records)
        late = {"a": first, "b": second}[taken]
        assert not await consumer.acknowledge(late)
        other.go()
        assert await other.will_say() == "True"
    assert any(f"background task {NAME} ({taken}) was taken from this worker while it ran" in m for m in log.messages)
    assert all(record.levelname == "WARNING" for record in log.records)
    await engine.close()


async def test_the_dead_of_one_application_are_no_others(path: Path) -> None:
    """Whoever works for another one takes nothing of it, and leaves the lock file by which it is known."""
    engine, other = (SqliteBackend(path).open(application) for application in ("shop", "other"))
    await engine.accept([message("a")])
    with worker(path, 60) as killed:
        assert [await killed.will_say(), await killed.will_say()] == ["ready", "a 1"]
        killed.popen.kill()
    await other.accept([message("b")])
    consumer = await other.consume([NAME], lost=print)
    (delivery,) = await consumer.receive(9)
    assert delivery.task_id == "b"
    await other.close()
    assert len(list(path.parent.glob("*-owner-*"))) == 1
    successor = await engine.consume([NAME], lost=print)
    (delivery,) = await successor.receive(9)
    assert (delivery.task_id, delivery.delivery) == ("a", 2)
    await engine.close()
