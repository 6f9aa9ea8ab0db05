"""Promises 11 and 12, with real servers and SIGTERM: what is handed over and what workers run has time to end."""

import json
from pathlib import Path

import pytest

from tests.servers.files import locked, patient, settings, states
from tests.servers.places import Place
from tests.servers.process import Server
from tests.servers.stage import Stage

APP = "tests.servers.durable:app"
WORKER = "tests.servers.durable:shop"
KIND = pytest.mark.parametrize("kind", ["uvicorn-h11", "hypercorn", "granian"])
# Those that cancel the requests that exceed their limit, so that nobody waits for their hand-over but we.
CANCELLING = pytest.mark.parametrize("kind", ["uvicorn-h11", "hypercorn"])


@CANCELLING
def test_what_is_being_handed_over_is_awaited(kind: str, tmp_path: Path) -> None:
    """Its request has been cancelled since; the file is free again only after that."""
    path = tmp_path / "tasks.db"
    environment = settings(path, backend={"embedded": False}, options={"accept_timeout": 15})
    with Stage() as stage, Server(kind, APP, seconds=1, environment=environment) as server:
        with server.connect() as connection:
            before = json.loads(connection.get(f"/{stage.name}/patient/before").body)
        with locked(patient(path)), server.connect() as connection:
            connection.ask(f"/{stage.name}/patient/meanwhile")
            stage.wait_for("handler", "handler")
            assert connection.is_silent()
            server.terminate()
            # One that does not wait would have ended when its own limit was over.
            assert not server.ends_within(1.5)
        server.wait()
    kept = states(patient(path))
    assert len(kept) == 2
    assert before in kept
    assert set(kept.values()) == {"accepted"}


@KIND
def test_a_worker_works_after_start_up_and_before_shutdown_and_finishes_what_runs(kind: str, place: Place) -> None:
    """What it uses is there so long. What has ended is acknowledged, and does not run again."""
    with Stage("delivery 1") as stage:
        environment = place.settings(stage=stage.name)
        with Server(kind, APP, environment=environment) as server:
            with server.connect() as connection:
                assert connection.get(f"/{stage.name}/deliver/-").status == 200
            stage.wait_for("delivery 1")
            server.terminate()
            # One that does not wait would have let go of it in this time.
            assert not server.ends_within(0.5)
            stage.release("delivery 1")
            server.wait()
        assert stage.heard == ["on_startup", "handler", "delivery 1", "on_shutdown"]
        assert place.has_only_succeeded(1)


@KIND
def test_what_exceeds_the_grace_period_goes_back_uncounted(kind: str, place: Place) -> None:
    """It is cut off and named, before the application ends; after the restart it runs for the first time again."""
    with Stage("delivery 1") as stage:
        environment = place.settings(stage=stage.name, options={"grace_period": 0.2})
        with Server(kind, APP, environment=environment) as server:
            with server.connect() as connection:
                task_id = json.loads(connection.get(f"/{stage.name}/deliver/-").body)
            stage.wait_for("delivery 1")
            server.terminate()
            server.wait()
            [record] = server.records(task_id)
        assert record.message == (
            f"background task deliver ({task_id}) of the backend 'durable' was cut off: it goes back, uncounted, when "
            "its worker stops"
        )
        assert (place.counts().waiting, place.counts().dead) == (1, 0)
        with Server("worker", WORKER, environment=place.settings()) as worker:
            stage.wait_for("delivery 1", "delivery 1")
            stage.release("delivery 1")
            worker.terminate()
            worker.wait()
        assert stage.heard == ["on_startup", "handler", "delivery 1", "on_shutdown", "delivery 1"]
        assert place.has_only_succeeded(1)
