"""Promise 12, over real sockets: a response is refused, or what its client or its server leaves is accepted."""

from collections.abc import Iterator

import pytest

from tests.servers.process import KINDS, Server
from tests.servers.stage import Stage

APP = "tests.servers.engine:app"
# Engines are of asyncio's event loops.
ASYNCIO = [kind for kind in KINDS if "trio" not in kind]


@pytest.fixture(scope="module", params=ASYNCIO)
def engine(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(request.param, APP) as server:
        yield server


@pytest.mark.parametrize("path", ["plain", "endless"])
def test_a_refused_response_ends(engine: Server, path: str) -> None:
    """With 503, on a connection that serves on; a stream that would never end is left, too."""
    with Stage() as stage, engine.connect() as connection:
        connection.ask(f"/{stage.name}/refused/{path}")
        answer = connection.answer()
        assert (answer.status, answer.body) == (503, b'{"detail":"Service Unavailable","status_code":503}')
        stage.wait_for("ended")
        [record] = engine.wait_for_records(stage.name)
        assert (record.level, "refused: handed over" in record.traceback) == ("ERROR", True)
        connection.ask(f"/{stage.name}/accepted/plain")
        assert connection.answer().status == 200


@pytest.mark.parametrize("path", ["plain", "endless"])
def test_a_client_that_leaves_meanwhile_interrupts_nothing(engine: Server, path: str) -> None:
    """The engine is asked when it leaves, and accepts afterwards."""
    with Stage("asked") as stage, engine.connect() as connection:
        connection.ask(f"/{stage.name}/accepted/{path}")
        stage.wait_for("asked")
        connection.close()
        stage.release("asked")
        stage.wait_for("accepted", "ended")


@pytest.mark.parametrize("kind", ASYNCIO)
def test_a_server_that_ends_meanwhile_awaits_it(kind: str) -> None:
    """Also where it has cancelled the request before, as its limit was over."""
    seconds = 10 if kind == "granian" else 1  # it does not cancel, but kill
    with Stage("asked") as stage, Server(kind, APP, seconds=seconds) as server, server.connect() as connection:
        connection.ask(f"/{stage.name}/accepted/plain")
        stage.wait_for("asked")
        server.terminate()
        # One that does not wait would have let go of it in this time.
        assert not server.ends_within(2)
        stage.release("asked")
        stage.wait_for("accepted")
        server.wait()
