"""Promise 12, over real sockets: what a client is told about its tasks is on the disk, or is no success."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.connection import Answer
from tests.servers.files import locked, patient, settings, states
from tests.servers.process import ON_ASYNCIO, Server
from tests.servers.stage import Stage


@pytest.fixture(scope="module", params=ON_ASYNCIO)
def durable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server of each kind, which works too, and its file."""
    path = tmp_path_factory.mktemp("tasks") / "tasks.db"
    environment = settings(path, options={"accept_timeout": 4})
    with Server(request.param, "tests.servers.durable:app", environment=environment) as server:
        yield server, path


Durable = tuple[Server, Path]


def assert_refused(answer: Answer) -> None:
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    assert answer.headers["content-type"] == "application/json"


def test_no_byte_leaves_before_its_task_is_accepted(durable: Durable) -> None:
    """While somebody else writes to the file the client waits; when it hears anything, the task is on the disk."""
    server, path = durable
    with Stage() as stage, server.connect() as connection:
        with locked(patient(path)):
            connection.ask(f"/{stage.name}/patient/ran")
            stage.wait_for("handler")
            assert connection.is_silent()
        answer = connection.answer()
        assert answer.status == 200
        assert json.loads(answer.body) in states(patient(path))
        stage.wait_for("ran")


def test_a_refused_task_is_a_503_and_nothing_else_and_the_connection_goes_on(durable: Durable) -> None:
    """The answer of the handler is not seen; the next request on the same connection is as any other."""
    server, path = durable
    with Stage() as stage, server.connect() as connection:
        before = states(path)
        with locked(path):
            answer = connection.get(f"/{stage.name}/say/refused")
        assert_refused(answer)
        assert json.loads(answer.body) == {"detail": "Service Unavailable", "status_code": 503}
        assert states(path).keys() == before.keys()
        [record] = server.wait_for_records(f"/{stage.name}/say/refused")
        assert "refused: say" in record.traceback
        assert "has been locked by somebody else for longer than the busy limit" in record.traceback
        assert connection.get(f"/{stage.name}/say/ran").status == 200
        stage.wait_for("ran")
        assert "refused" not in stage.heard


def test_head_is_answered_in_the_same_way(durable: Durable) -> None:
    """With the headers of both answers, and no body."""
    server, path = durable
    with Stage() as stage, server.connect() as connection:
        with locked(path):
            connection.ask(f"/{stage.name}/say/refused", method="HEAD")
            assert_refused(answer := connection.answer("HEAD"))
            assert answer.body == b""
        connection.ask(f"/{stage.name}/say/ran", method="HEAD")
        assert connection.answer("HEAD").status == 200
        stage.wait_for("ran")


def test_an_endless_stream_that_is_refused_ends(durable: Durable) -> None:
    """And frees its connection, although what it sends goes nowhere and never makes it wait."""
    server, path = durable
    with Stage() as stage, server.connect() as connection:
        with locked(path):
            assert_refused(connection.get(f"/{stage.name}/endless"))
            stage.wait_for("the stream ended")
        assert connection.get(f"/{stage.name}/say/ran").status == 200
        stage.wait_for("ran")
        assert "task of the stream" not in stage.heard


def test_what_a_client_has_left_behind_is_accepted_and_runs(durable: Durable) -> None:
    """It goes while its task is being handed over."""
    server, path = durable
    with Stage() as stage:
        with locked(patient(path)), server.connect() as connection:
            connection.ask(f"/{stage.name}/patient/ran")
            stage.wait_for("handler")
            assert connection.is_silent()
            connection.close()
            with server.connect() as other:  # which is served meanwhile, so the server knows of both
                assert other.get(f"/{stage.name}/say/other").status == 200
        stage.wait_for("other", "ran")


def test_what_is_unknown_is_said_to_be_and_runs_all_the_same(tmp_path: Path) -> None:
    """The file is held for longer than the client is to wait, and not as long as the engine does."""
    path = tmp_path / "tasks.db"
    environment = settings(path, options={"accept_timeout": 0.5})
    with Stage() as stage, Server("uvicorn-h11", "tests.servers.durable:app", environment=environment) as server:
        with locked(patient(path)), server.connect() as connection:
            assert_refused(connection.get(f"/{stage.name}/patient/ran"))
            [record] = server.wait_for_records(f"/{stage.name}/patient/ran")
            assert "unknown, may run all the same: say" in record.traceback
            assert "has not answered within accept_timeout=0.5 seconds" in record.traceback
        stage.wait_for("ran")
        assert stage.heard == ["handler", "ran"]
