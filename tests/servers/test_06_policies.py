"""Promise 6, in real time on real servers: timeouts fire, retries run, and what follows them does, too."""

import pytest

from tests.servers.process import KINDS, Server
from tests.servers.stage import Stage
from tests.servers.test_11_shutdown import CANCELLING, lost, shut_down

KIND = pytest.mark.parametrize("kind", KINDS)


@KIND
def test_a_timeout_ends_a_task(kind: str) -> None:
    """It is logged once, and what runs always does."""
    with Stage() as stage, Server(kind) as server, server.connect() as connection:
        path = f"/{stage.name}/declared/slow"
        connection.ask(path)
        assert connection.answer().status == 200
        stage.wait_for("declared/slow ended")
        assert stage.heard == ["running", "always", "declared/slow ended"]
        [record] = server.wait_for_records(path)
        assert record.message.startswith(f"background task slow of GET {path} failed")


@KIND
def test_a_failing_task_is_tried_until_it_succeeds(kind: str) -> None:
    """In place: what follows waits."""
    with Stage() as stage, Server(kind) as server, server.connect() as connection:
        connection.ask(f"/{stage.name}/declared/flaky")
        assert connection.answer().status == 200
        stage.wait_for("declared/flaky ended")
        assert stage.heard == ["attempt 1", "attempt 2", "attempt 3", "always", "declared/flaky ended"]


@CANCELLING
def test_shutdown_ends_a_waiting_retry_by_name(kind: str) -> None:
    """It would have waited for most of an hour."""
    with Stage() as stage:
        with shut_down(kind, stage, "declared/waiting", seconds=1) as server:
            pass
        request = f"of GET /{stage.name}/declared/waiting"
        assert lost(server, request) == [
            f"background task waiting {request} was cut off while it ran",
            f"background task application:declared_always {request} never started",
        ]


@CANCELLING
def test_what_is_cut_off_at_shutdown_cleans_up(kind: str) -> None:
    """The server waits for it."""
    with Stage() as stage:
        with shut_down(kind, stage, "declared/cleaning", seconds=1):
            pass
        assert stage.heard == ["running", "clean"]
