"""One connection of a client, on a raw socket, so that requests can be pipelined and the client can vanish."""

import select
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import h11

from tests.servers.stage import HOST, PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, or its beginning.

    Attributes:
        encoding: the coding of its body; ``"identity"`` if it has none.
        headers: all of them, by their names in lower case.
    """

    status: int
    encoding: str
    body: bytes
    headers: Mapping[str, str] = field(repr=False)


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

    def ask(self, *paths: str, method: str = "GET", **headers: str) -> None:
        """Send requests, all of them before any is answered."""
        self._send("".join(_request(method, path, headers) for path in paths))

    def ask_in_part(self, path: str, **headers: str) -> None:
        """Send a request without the end of its body."""
        self._send(_request("POST", path, {**headers, "content-length": "100"}) + "beginning")

    def get(self, path: str) -> Answer:
        """Send a request, and receive its response."""
        self.ask(path)
        return self.answer()

    def answer(self, method: str = "GET") -> Answer:
        """Receive the response to the first request that has not had one, which was of that method."""
        answer = self._head(method)
        body = b""
        while isinstance(event := self._next(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        self._protocol.start_next_cycle()
        return replace(answer, body=body)

    def first_chunk(self) -> Answer:
        """Receive the beginning of a response and of its body."""
        answer = self._head()
        event = self._next()
        assert isinstance(event, h11.Data), event
        return replace(answer, body=bytes(event.data))

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether the server sends nothing for so long."""
        readable, _, _ = select.select([self._socket], [], [], seconds)
        return not readable

    def is_closed(self) -> bool:
        """Wait until the server sends something; return whether that is the end of the connection."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _send(self, raw: str) -> None:
        self._socket.sendall(raw.encode())

    def _head(self, method: str = "GET") -> Answer:
        # The request has gone already: the protocol is only told so that it can read what answers it.
        self._protocol.send(h11.Request(method=method, target="/", headers=[("host", "test")]))
        self._protocol.send(h11.EndOfMessage())
        response = self._next()
        assert isinstance(response, h11.Response), response
        headers = {name.decode(): value.decode() for name, value in response.headers}
        encoding = headers.get("content-encoding", "identity")
        return Answer(status=response.status_code, encoding=encoding, body=b"", headers=headers)

    def _next(self) -> object:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(self._socket.recv(65536))
        return event


def _request(method: str, path: str, headers: dict[str, str]) -> str:
    fields = {"host": "test", **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""])
