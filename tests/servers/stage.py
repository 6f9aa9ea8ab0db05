"""Who directs a test: the application in the server says where it is, and goes on when the test lets it."""

import socket
from threading import Condition, Thread
from types import TracebackType
from typing import Self

import anyio

HOST = "127.0.0.1"
PATIENCE = 5.0  # seconds; only a test that fails waits so long


async def cue(stage: int, name: str) -> None:
    """Tell the stage on that port that `name` has been reached; go on when it says so."""
    async with await anyio.connect_tcp(HOST, stage) as connection:
        await connection.send(f"{name}\n".encode())
        await connection.receive(1)


def cue_in_thread(stage: int, name: str) -> None:
    """`cue` for sync code."""
    with socket.create_connection((HOST, stage)) as connection:
        connection.sendall(f"{name}\n".encode())
        connection.recv(1)


class Stage:
    """Hears cues, in order, over a socket of its own: it works whatever state the server is in.

    Args:
        *held: the cues at which the application waits until `release`; at any other it goes on at once.

    Attributes:
        heard: all cues so far.
    """

    def __init__(self, *held: str) -> None:
        self.heard: list[str] = []
        self._held = set(held)
        self._waiting: list[tuple[str, socket.socket]] = []
        self._changed = Condition()
        self._listener = socket.create_server((HOST, 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for _, connection in self._waiting:
            connection.close()

    def wait_for(self, *names: str) -> None:
        """Wait until each of these cues has been heard."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: set(names) <= set(self.heard), PATIENCE)
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
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            name = connection.makefile().readline().strip()
            with self._changed:
                self.heard.append(name)
                if name in self._held:
                    self._waiting.append((name, connection))
                else:
                    _go_on(connection)
                self._changed.notify_all()


def _go_on(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"!")
