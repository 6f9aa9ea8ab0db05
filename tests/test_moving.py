"""An application moves from a file to a broker as the page says, while clients go on asking: nothing is lost."""

import json
import os
import random
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from bg_di.backends import Backend
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.sqlite import SqliteBackend
from tests.backends.rabbitmq.server import HOST, Broker
from tests.pages import DOCS, ROOT, all_blocks
from tests.servers.process import Server

PAGE = DOCS / "how-to/moving-to-rabbitmq.md"
CHECK = next(line[2:] for line in PAGE.read_text().splitlines() if line.startswith("$ python -m bg_di check"))
# Only a test that fails waits so long.
PATIENCE = 60.0


class Shop:
    """The versions of ``shop/server.py`` that the page has, one after another, and what they share.

    Args:
        folder: where their file is, and what they have sent.
        url: of the broker.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self.file = SqliteBackend(folder / "tasks.db")
        self.broker = RabbitBackend(url)
        self._environment = {"SHOP_FOLDER": str(folder), "RABBITMQ_URL": url}
        files = [block for block in all_blocks(PAGE) if block.title]
        versions = [block for block in files if block.title == "shop/server.py"]
        for number, version in enumerate(versions):
            for block in (*files, version):
                file = self._place(number) / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)

    def server(self, version: int) -> Server:
        return Server("uvicorn-h11", "shop.server:app", environment=self._of(version))

    def check(self, version: int) -> tuple[int, dict[str, Any]]:
        """What the command of the page exits with, and what it says of the file."""
        told = subprocess.run(
            [sys.executable, *shlex.split(CHECK)[1:], "--json"],
            cwd=ROOT,
            env=os.environ | self._of(version),
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
        return told.returncode, json.loads(told.stdout)["backends"]["file"]

    def sent(self) -> dict[str, str]:
        """The name of the backend that each address was on."""
        lines = (self._folder / "sent").read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def _of(self, version: int) -> dict[str, str]:
        return {**self._environment, "PYTHONPATH": str(self._place(version))}

    def _place(self, version: int) -> Path:
        return self._folder / f"version{version}"


class Clients:
    """Ask whichever servers are there, as long as the block.

    Attributes:
        servers: those.
        accepted: the addresses that were answered with a 200.
        answers: how many of them each server has given, by its port.
    """

    def __init__(self, *servers: Server) -> None:
        self.servers = list(servers)
        self.accepted: set[str] = set()
        self.answers: Counter[int] = Counter()
        self._enough = Event()
        self._threads = [Thread(target=self._ask, args=(name,)) for name in ("ada", "grace", "busy")]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Ask nothing more."""
        self._enough.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def use(self, server: Server) -> None:
        """Ask this one, too, and wait until it has answered often."""
        if server not in self.servers:
            self.servers.append(server)
        before = self.answers[server.port]
        until(lambda: self.answers[server.port] >= before + 50)

    def end(self, server: Server) -> None:
        """Tell a server to end while it is asked, and wait until it has."""
        server.terminate()
        self.servers.remove(server)
        server.wait()

    def _ask(self, name: str) -> None:
        with httpx.Client(timeout=PATIENCE) as client:
            for number in count():
                if self._enough.wait(0.01):
                    return
                self._sign_up(client, f"{name}{number}", "/later" if number % 3 == 0 else "")

    def _sign_up(self, client: httpx.Client, address: str, when: str) -> None:
        port = random.choice(self.servers).port
        try:
            answer = client.post(f"http://{HOST}:{port}/accounts/{address}{when}")
        except httpx.TransportError:  # it ends at this moment, and has promised nothing
            return
        assert answer.status_code == 200, answer.text
        self.accepted.add(address)
        self.answers[port] += 1


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so that nobody tells of."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it does not come to this"
        time.sleep(0.05)


def is_empty(backend: Backend) -> bool:
    """Whether a backend keeps nothing of the shop that is to be run, nor anything that is dead."""
    engine = backend.open("shop")
    try:
        counts = engine.counts()
    finally:
        engine.abandon()
    return not (counts.waiting or counts.running or counts.dead)


@pytest.fixture
def shop(broker: Broker, tmp_path: Path) -> Iterator[Shop]:
    with broker.host() as url:
        yield Shop(tmp_path, url)


def test_a_deployment_that_rolls_from_a_file_to_a_broker_loses_nothing(shop: Shop) -> None:
    """Not what was delayed or failed at first; and `check` knows when the file can be taken out."""
    with shop.server(0) as today, Clients(today) as clients:
        clients.use(today)
        with shop.server(1) as both:
            clients.use(both)
            clients.end(today)
            until(lambda: shop.check(1)[0] == 0 and shop.check(1)[1]["running"] == 0)
            assert is_empty(shop.file)
            with shop.server(2) as moved:
                clients.use(moved)
                clients.end(both)
                clients.use(moved)
                clients.leave()
                until(lambda: clients.accepted <= shop.sent().keys())
                until(lambda: is_empty(shop.broker))
    assert is_empty(shop.file)
    assert set(shop.sent().values()) == {"durable", "file"}
