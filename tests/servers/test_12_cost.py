"""What a server with a worker costs that has nothing to do, and what it keeps of what it has done."""

import json
import time
from pathlib import Path

from tests.servers.files import settings, wait_until_done
from tests.servers.process import Server
from tests.servers.stage import Stage

APP = "tests.servers.durable:app"
TASKS = 1000
ROUNDS, WARM = 9, 3


def cpu_seconds(process: int) -> float:
    """What all threads of a process have used so far."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def share(process: int, seconds: float) -> float:
    """How much of a core a process uses in that time."""
    before, since = cpu_seconds(process), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(process) - before) / (time.monotonic() - since)


def test_a_server_with_nothing_to_do_uses_under_a_hundredth_of_a_core(tmp_path: Path) -> None:
    """Of two files, what uvicorn itself needs included. Where others disturb the measurement it is repeated."""
    path = tmp_path / "tasks.db"
    with Stage() as stage, Server("uvicorn-h11", APP, environment=settings(path)) as server:
        with server.connect() as connection:
            assert connection.get(f"/{stage.name}/say/ran").status == 200
            stage.wait_for("ran")
        shares: list[float] = []
        while not shares or (shares[-1] >= 0.01 and len(shares) < 5):
            shares.append(share(server.process.pid, 3))
        assert shares[-1] < 0.01, shares


def test_thousands_of_tasks_leave_nothing_in_memory(tmp_path: Path) -> None:
    """Not one object for ten of them, and no memory of any other kind."""
    path = tmp_path / "tasks.db"
    environment = settings(path, backend={"concurrency": 50}, options={"history": 10})
    objects, pages = [], []
    with (
        Stage() as stage,
        Server("uvicorn-h11", APP, environment=environment) as server,
        server.connect() as connection,
    ):
        for _ in range(ROUNDS):
            assert connection.get(f"/{stage.name}/many/nothing/{TASKS}").status == 200
            wait_until_done(path)
            objects.append(json.loads(connection.get(f"/{stage.name}/objects").body))
            pages.append(int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]))
    # What is cached has been filled by the first ones.
    assert objects[-1] - objects[WARM] < TASKS * (ROUNDS - WARM) / 10
    assert (pages[-1] - pages[WARM]) * 4096 < 2_000_000
