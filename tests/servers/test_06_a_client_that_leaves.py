"""Promise 6, over real sockets: a client that leaves costs no task, on any server, with gzip in the stack."""

import pytest

from tests.servers.connection import Connection
from tests.servers.process import Server
from tests.servers.stage import Stage

ENCODING = pytest.mark.parametrize("encoding", ["identity", "gzip"])


@ENCODING
def test_before_the_response(server: Server, encoding: str) -> None:
    with Stage("handler") as stage, server.connect() as connection:
        connection.ask(f"/{stage.port}/left-before", accept_encoding=encoding)
        stage.wait_for("handler")
        connection.close()
        stage.release("handler")
        stage.wait_for("first", "second")
        print(stage.heard)


@ENCODING
def test_in_request(server: Server, encoding: str) -> None:
    with Stage("handler") as stage, server.connect() as connection:
        connection.send(f"POST /{stage.port}/left-in-request HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\naccept-encoding: {encoding}\r\n\r\nbeginning")
        stage.wait_for("handler")
        connection.close()
        stage.release("handler")
        stage.wait_for("first", "second")
        print(stage.heard, server.output[-3000:])


@ENCODING
def test_during(server: Server, encoding: str) -> None:
    with Stage("handler") as stage, server.connect() as connection:
        connection.ask(f"/{stage.port}/left-during", accept_encoding=encoding)
        connection.first_chunk()
        stage.wait_for("handler")
        connection.close()
        stage.release("handler")
        stage.wait_for("first", "second")
        print(stage.heard)


@ENCODING
def test_after(server: Server, encoding: str) -> None:
    with Stage("first") as stage, server.connect() as connection:
        connection.ask(f"/{stage.port}/answered", accept_encoding=encoding)
        connection.answer()
        stage.wait_for("first")
        connection.close()
        stage.release("first")
        stage.wait_for("first", "second")
        print(stage.heard)
