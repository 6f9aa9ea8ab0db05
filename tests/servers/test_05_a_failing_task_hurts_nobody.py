"""Promise 5, over real sockets: a failing task never closes the connection nor reaches Ellar's exception handlers."""

import pytest

from tests.servers.application import ERRORS, FAILING, argument
from tests.servers.process import Server
from tests.servers.stage import Stage

PLACES = ["collected", "own", "injected"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.parametrize("error", ERRORS)
def test_the_next_request_in_flight_on_the_connection_is_answered(
    server: Server, error: str, kind: str, place: str
) -> None:
    """Both requests are sent at once; the task of the first fails while the handler of the second runs."""
    with Stage("task", "handler") as stage, server.connect() as connection:
        path = f"/{stage.port}/{error}/{kind}/{place}"
        connection.ask(path, f"/{stage.port}/held")
        assert connection.answer().status == 200
        stage.wait_for("task", "handler")
        stage.release("task")
        server.wait_for_records(path)
        stage.release("handler")
        assert connection.answer().status == 200
        connection.ask(f"/{stage.port}/held")
        assert connection.answer().status == 200
        print(server.records(path))
