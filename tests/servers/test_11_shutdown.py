"""Promise 11, with real servers and SIGTERM: what runs is awaited while the server allows; what is cut off is named."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers.process import KINDS, Server
from tests.servers.stage import Stage

KIND = pytest.mark.parametrize("kind", KINDS)
# Those that cancel what exceeds their limit (granian kills), and those of them that leave a thread alone (trio waits).
CANCELLING = pytest.mark.parametrize("kind", ["uvicorn-h11", "hypercorn", "hypercorn-trio"])
LEAVING_THREADS = pytest.mark.parametrize("kind", ["uvicorn-h11", "hypercorn"])


@contextmanager
def shut_down(kind: str, stage: Stage, what: str, seconds: int = 10) -> Iterator[Server]:
    """Tell a server to end when it has answered a request and runs its first task; at the end it has ended."""
    with Server(kind, seconds=seconds) as server, server.connect() as connection:
        connection.ask(f"/{stage.name}/{what}")
        assert connection.answer().status == 200
        stage.wait_for("running")
        server.terminate()
        # It closes idle connections when it begins to shut down.
        assert connection.is_closed()
        yield server
        server.wait()


def lost(server: Server, request: str) -> list[str]:
    """What of a request is logged as an error, without the reason and the package that all tasks here share."""
    records = [record for record in server.records(request) if record.level == "ERROR"]
    assert {record.logger for record in records} <= {"bg_di"}
    return [record.message.replace("tests.servers.", "").rpartition(": ")[0] for record in records]


@KIND
def test_a_server_without_pending_tasks_ends_in_good_order(kind: str) -> None:
    """What was answered and run before is complete, and nothing is logged as lost."""
    with Stage() as stage, Server(kind) as server, server.connect() as connection:
        connection.ask(f"/{stage.name}/blocked")
        assert connection.answer().status == 200
        stage.wait_for("blocked ended")
        server.terminate()
        server.wait()
        assert stage.heard == ["running", "first", "second", "blocked ended"]
        assert lost(server, f"/{stage.name}/blocked") == []


@KIND
def test_what_runs_and_what_waits_is_awaited_within_the_limit(kind: str) -> None:
    """The first task is in the middle of its work when the shutdown begins; two more tasks follow it."""
    with Stage("running") as stage:
        with shut_down(kind, stage, "blocked") as server:
            # One that does not wait would have let go of the tasks in this time.
            assert not server.ends_within(0.5)
            stage.release("running")
        assert stage.heard[:3] == ["running", "first", "second"]
        assert lost(server, f"/{stage.name}/blocked") == []


@CANCELLING
def test_what_is_cut_off_and_what_never_started_is_named(kind: str) -> None:
    """The first task never ends, so the server cancels the request when its limit is over."""
    with Stage() as stage:
        with shut_down(kind, stage, "forever", seconds=1) as server:
            pass
        request = f"of GET /{stage.name}/forever"
        assert stage.heard == ["running"]
        assert lost(server, request) == [
            f"background task application:forever {request} was cut off while it ran",
            f"background task stage:cue {request} never started",
            f"background task stage:cue_in_thread {request} never started",
        ]


@LEAVING_THREADS
def test_a_sync_task_that_is_cut_off_is_named(kind: str) -> None:
    """Its thread cannot be stopped; the request ends without it."""
    with Stage("running") as stage:
        request = f"of GET /{stage.name}/blocked"
        with shut_down(kind, stage, "blocked", seconds=1) as server:
            server.wait_for_records(request, 3)
            stage.release("running")
        assert stage.heard == ["running"]
        assert lost(server, request) == [
            f"background task stage:cue_in_thread {request} was cut off while it ran",
            f"background task stage:cue {request} never started",
            f"background task stage:cue_in_thread {request} never started",
        ]
