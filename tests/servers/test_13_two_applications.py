"""Promises 3, 4 and 13, over real sockets: applications, modules and requests of one process are kept apart."""

from contextlib import ExitStack

import pytest

from tests.servers.process import KINDS, Server
from tests.servers.stage import Stage

CONNECTIONS = 200
ADDED = ["by the controller here", "by the handler", "by the service here", "by a task here"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_of_200_connections_runs_once_and_in_order_in_its_own_request(kind: str) -> None:
    """All handlers are in the middle of their work at once: in two applications of three modules with one singleton."""
    names = [f"request-{number}" for number in range(CONNECTIONS)]
    with Stage("handler") as stage, Server(kind, "tests.servers.two_applications:app") as server, ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in names]
        for number, (name, connection) in enumerate(zip(names, connections, strict=True)):
            application = ("one", "two")[number % 2]
            module = ("first", "second", "third")[number % 3]
            connection.ask(f"/{application}/{module}/{stage.name}/{name}")
        stage.wait_for(*["handler"] * CONNECTIONS)
        stage.release("handler")
        answers = [connection.answer() for connection in connections]
        stage.wait_for(*(f"{name} ended" for name in names))
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, f'{{"name":"{name}"}}'.encode()) for name in names
    ]
    heard = {
        name: [cue.removeprefix(f"{name} ") for cue in stage.heard if cue.startswith(f"{name} ")] for name in names
    }
    assert heard == {name: [*ADDED, "ended"] for name in names}
