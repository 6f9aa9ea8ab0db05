"""One connection of a client, on a raw socket, so that requests can be pipelined and the client can vanish."""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import h11

from tests.servers.stage import HOST, PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response."""

    status: int
    body: bytes


class Connection:
    """A keep-alive connection.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=PATIENCE)
        self._protocol = h11.Connection(h11.CLIENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, *paths: str, **headers: str) -> None:
        """Send requests, all of them before any is answered."""
        fields = "".join(
            f"{name.replace('_', '-')}: {value}\r\n" for name, value in {"host": "test", **headers}.items()
        )
        self.send("".join(f"GET {path} HTTP/1.1\r\n{fields}\r\n" for path in paths))

    def send(self, raw: str) -> None:
        """Send what may be less than a request."""
        self._socket.sendall(raw.encode())

    def answer(self) -> Answer:
        """Receive the response to the first request that has not had one."""
        status = self._status()
        body = b""
        while isinstance(event := self._next(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        self._protocol.start_next_cycle()
        return Answer(status=status, body=body)

    def first_chunk(self) -> None:
        """Receive the beginning of a response and of its body."""
        assert self._status() == 200
        assert isinstance(self._next(), h11.Data)

    def is_closed(self) -> bool:
        """Wait until the server sends something; return whether that is the end of the connection."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _status(self) -> int:
        # The request has gone already: the protocol is only told so that it can read what answers it.
        self._protocol.send(h11.Request(method="GET", target="/", headers=[("host", "test")]))
        self._protocol.send(h11.EndOfMessage())
        response = self._next()
        assert isinstance(response, h11.Response), response
        return response.status_code

    def _next(self) -> object:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(self._socket.recv(65536))
        return event
