"""Who directs a test: the application in the server says where it is, and goes on when the test lets it."""

import socket
from collections import Counter
from contextlib import suppress
from itertools import count
from threading import Condition, Thread
from types import TracebackType
from typing import Self

import anyio

HOST = "127.0.0.1"
PATIENCE = 20.0  # seconds; only a test that fails waits so long

_serial = count()


async def cue(stage: str, name: str) -> None:
    """Tell the stage of that name that `name` has been reached; go on when it says so."""
    async with await anyio.connect_tcp(*_address(stage)) as connection:
        await connection.send(f"{name}\n".encode())
        await connection.receive(1)


def cue_in_thread(stage: str, name: str) -> None:
    """`cue` for sync code."""
    with socket.create_connection(_address(stage)) as connection:
        connection.sendall(f"{name}\n".encode())
        connection.recv(1)


class Stage:
    """Hears cues, in order, over a socket of its own: it works whatever state the server is in.

    Args:
        *held: the cues at which the application waits until `release`; at any other it goes on at once.

    Attributes:
        name: what it is called in requests; no two stages have the same.
        heard: all cues so far.
    """

    def __init__(self, *held: str) -> None:
        self.heard: list[str] = []
        self._held = set(held)
        self._waiting: list[tuple[str, socket.socket]] = []
        self._changed = Condition()
        self._listener = socket.create_server((HOST, 0), backlog=1024)
        self.name = f"{self._listener.getsockname()[1]}.{next(_serial)}"
        self._thread = Thread(target=self._listen)
        self._over = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over = True
        socket.create_connection(_address(self.name)).close()
        self._thread.join()
        self._listener.close()
        for _, connection in self._waiting:
            connection.close()

    def wait_for(self, *names: str) -> None:
        """Wait until each of these cues has been heard; a name given several times, as often."""
        expected = Counter(names)
        with self._changed:
            arrived = self._changed.wait_for(lambda: expected <= Counter(self.heard), PATIENCE)
            assert arrived, f"waited for {names}, heard {self.heard}"

    def release(self, name: str) -> None:
        """Let the application go on at `name`, now and from now on."""
        self.wait_for(name)
        with self._changed:
            self._held.discard(name)
            for waiting in [waiting for waiting in self._waiting if waiting[0] == name]:
                self._waiting.remove(waiting)
                _go_on(waiting[1])

    def _listen(self) -> None:
        while not self._over:
            connection, _ = self._listener.accept()
            with connection.makefile() as lines:
                name = lines.readline().strip()
            with self._changed:
                self._hear(name, connection)
                self._changed.notify_all()

    def _hear(self, name: str, connection: socket.socket) -> None:
        if name:  # else the application has ended before it could say it
            self.heard.append(name)
        if name in self._held:
            self._waiting.append((name, connection))
        else:
            _go_on(connection)


def _address(stage: str) -> tuple[str, int]:
    return HOST, int(stage.partition(".")[0])


def _go_on(connection: socket.socket) -> None:
    with connection, suppress(ConnectionError):
        connection.sendall(b"!")
