"""Promise 12, with a file that cannot be used, from the start or all of a sudden, under real servers."""

import json
import resource
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path

import pytest

from tests.servers.connection import Connection
from tests.servers.files import settings, states, wait_until_done
from tests.servers.process import ON_ASYNCIO, Server
from tests.servers.stage import PATIENCE, Stage

APP = "tests.servers.durable:app"


def later(path: Path) -> None:
    """As a later version of bg_di would leave it."""
    states(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE bg_di_meta SET value = 99 WHERE key = 'schema_version'")


def damaged(path: Path) -> None:
    states(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def folder(path: Path) -> None:
    path.mkdir()


def no_folder(path: Path) -> None:
    path.parent.rmdir()


# What is wrong, and what is said of it and of what helps.
TROUBLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "later": (later, "has schema version 99, and this bg_di knows up to 1: update bg_di"),
    "damaged": (damaged, "is damaged: put a backup in its place, or move it away with its -wal and -shm"),
    "folder": (folder, "is a folder: give the path of a file in it"),
    "no folder": (no_folder, "cannot be made or opened: No such file or directory; its folder must exist"),
}


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [*(("uvicorn-h11", trouble) for trouble in TROUBLE), *((kind, "later") for kind in ON_ASYNCIO[2:])],
)
def test_a_server_that_could_not_work_does_not_start(kind: str, trouble: str, tmp_path: Path) -> None:
    """It says which file, what is wrong with it and what helps."""
    make, said = TROUBLE[trouble]
    path = tmp_path / "of the tasks" / "tasks.db"
    path.parent.mkdir()
    make(path)
    server = Server(kind, APP, environment=settings(path))
    server.fails()
    [error] = [record.message for record in server.records("") if record.logger == "bg_di"]
    beginning = "the application does not start: a worker of background tasks could not start"
    assert error.startswith(f"{beginning}: bg_di.errors.BackendUnavailable: {path} {said}")


def test_on_trio_a_server_does_not_start(tmp_path: Path) -> None:
    """It says what helps, too."""
    output = Server("hypercorn-trio", APP, environment=settings(tmp_path / "tasks.db")).fails()
    assert "engines of background tasks work on asyncio only: run the application on it" in output


def accepted(connection: Connection, path: str) -> str:
    answer = connection.get(path)
    assert answer.status == 200
    task_id: str = json.loads(answer.body)
    return task_id


def test_a_file_that_is_moved_away_is_missed_and_work_goes_on_when_it_is_back(tmp_path: Path) -> None:
    """Nobody is told success meanwhile; the worker says it once, and once more when it is over."""
    path, away = tmp_path / "tasks.db", tmp_path / "away.db"
    with Stage() as stage, Server("uvicorn-h11", APP, environment=settings(path)) as server:
        with server.connect() as connection:
            accepted(connection, f"/{stage.name}/say/before")
            stage.wait_for("before")
            wait_until_done(path)
            path.rename(away)
            for _ in range(3):
                assert connection.get(f"/{stage.name}/say/meanwhile").status == 503
            server.wait_until_it_says("the heartbeat of a worker")
            assert not path.exists()
            away.rename(path)
            accepted(connection, f"/{stage.name}/say/after")
            stage.wait_for("after")
            assert stage.heard.count("meanwhile") == 0
        server.terminate()
        server.wait()
        said = [record for record in server.records("") if record.logger == "bg_di" and "/say/" not in record.message]
        why = f"{path} has been deleted or moved away: put it back, or start anew with an empty one"
        assert sorted(record.message for record in said if record.level == "ERROR") == [
            f"the heartbeat of a worker on {path} fails and is tried again: {why}",
            f"the worker of 'durable' cannot go on; it tries again until it can: {why}",
        ]
    assert list(states(path).values()) == ["succeeded"] * 2


def test_a_file_that_is_deleted_is_missed_and_an_empty_one_takes_its_place(tmp_path: Path) -> None:
    """In all processes: whichever opens the new one first, none takes the log of the other for its own."""
    path = tmp_path / "tasks.db"
    names = [str(number) for number in range(60)]
    with (
        Stage() as stage,
        Server("uvicorn-h11", APP, "--workers=3", environment=settings(path, backend={"busy_timeout": 2})) as server,
        ExitStack() as stack,
    ):
        server.wait_until_it_says("Application startup complete", times=3)
        connections = [stack.enter_context(server.connect()) for _ in range(6)]
        for connection in connections:
            accepted(connection, f"/{stage.name}/say/before")
        stage.wait_for(*["before"] * len(connections))
        wait_until_done(path)
        path.unlink()
        assert {connection.get(f"/{stage.name}/say/meanwhile").status for connection in connections} == {503}
        path.touch(0o600)
        for connection in connections:
            while connection.get(f"/{stage.name}/nothing/-").status == 503:
                time.sleep(0.05)
        kept = {
            accepted(connection, f"/{stage.name}/say/{name}")
            for name, connection in zip(names, cycle(connections), strict=False)
        }
        stage.wait_for(*names)
        server.terminate()
        assert server.ends_within(PATIENCE)
        ran = {"before": len(connections), **dict.fromkeys(names, 1)}
        assert Counter(cue for cue in stage.heard if cue != "handler") == ran
        assert "disk I/O error" not in server.output
        assert "delivery had been lost" not in server.output
    after = states(path)
    assert kept <= after.keys()
    assert set(after.values()) == {"succeeded"}


def test_a_full_disk_refuses_and_keeps_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """As a limit on the size of files does; what was accepted before is all there."""
    path = tmp_path / "tasks.db"
    with Stage() as stage, Server("uvicorn-h11", APP, environment=settings(path)) as server:
        kept = {}
        with server.connect() as connection:
            kept["first"] = accepted(connection, f"/{stage.name}/say/first")
            stage.wait_for("first")
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
            refused = 0
            while refused < 10:
                answer = connection.get(f"/{stage.name}/say/{len(kept)}")
                if answer.status == 200:
                    kept[str(len(kept))] = json.loads(answer.body)
                else:
                    assert answer.status == 503
                    refused += 1
            resource.prlimit(
                server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
            kept["last"] = accepted(connection, f"/{stage.name}/say/last")
            stage.wait_for(*kept)
        server.terminate()
        server.wait()
    after = states(path)
    assert {after[task_id] for task_id in kept.values()} == {"succeeded"}
