"""Promise 12, with several processes, applications and versions on one engine, a file or a broker."""

from collections import Counter
from contextlib import ExitStack

import pytest

from tests.servers.connection import Connection
from tests.servers.places import Place
from tests.servers.process import Record, Server
from tests.servers.stage import PATIENCE, Stage

APP = "tests.servers.durable:app"
WORKER = "tests.servers.durable:shop"
REQUESTS = 200


def test_four_processes_of_a_server_share_the_work(place: Place) -> None:
    """All of them have their hands full at once; each task runs once, and nobody is told that the file is locked."""
    environment = place.settings(backend={"concurrency": 2})
    with (
        Stage("working") as stage,
        Server("uvicorn-h11", APP, "--workers=4", environment=environment) as server,
        ExitStack() as stack,
    ):
        connections = [stack.enter_context(server.connect()) for _ in range(20)]
        for start in range(0, REQUESTS, len(connections)):
            for number, connection in enumerate(connections, start):
                connection.ask(f"/{stage.name}/work/{number}")
            assert {connection.answer().status for connection in connections} == {200}
        stage.wait_for(*["working"] * 8)
        ran = [cue.partition(" in ") for cue in stage.heard if " in " in cue]
        assert Counter(Counter(process for _, _, process in ran).values()) == {2: 4}
        stage.release("working")
        stage.wait_for(*["working"] * REQUESTS)
        server.terminate()
        assert server.ends_within(PATIENCE)
        ran = [cue.partition(" in ") for cue in stage.heard if " in " in cue]
        assert Counter(number for number, _, _ in ran) == dict.fromkeys(map(str, range(REQUESTS)), 1)
    assert "locked" not in server.output
    assert complaints(server) == []
    assert place.has_only_succeeded(REQUESTS)


@pytest.mark.parametrize("why", ["its lifespan is off", "it is mounted", "it only serves"])
def test_what_an_application_does_not_run_itself_a_worker_runs(place: Place, why: str) -> None:
    """It is accepted and left to others."""
    app, options, prefix, backend = {
        "its lifespan is off": (APP, ["--lifespan=off"], "", {}),
        "it is mounted": ("tests.servers.durable:mounted", ["--factory"], "/inner", {}),
        "it only serves": (APP, [], "", {"embedded": False}),
    }[why]
    environment = place.settings(backend=backend)
    with (
        Stage() as stage,
        Server("uvicorn-h11", app, *options, environment=environment) as server,
        server.connect() as connection,
    ):
        assert connection.get(f"{prefix}/{stage.name}/say/ran").status == 200
        assert place.counts().waiting == 1
        assert stage.heard == ["handler"]
        with Server("worker", WORKER, environment=environment):
            stage.wait_for("ran")
            assert connection.get(f"{prefix}/{stage.name}/say/another").status == 200
            stage.wait_for("another")
    assert place.has_only_succeeded(2)


def test_applications_of_a_process_on_one_engine_do_not_disturb_each_other(place: Place) -> None:
    """Each runs its own tasks; one without our module serves beside them; all end in good order."""
    with Stage() as stage:
        environment = place.settings(stage=stage.name)
        with Server("uvicorn-h11", "tests.servers.durable:several", "--factory", environment=environment) as server:
            with server.connect() as connection:
                assert connection.get(f"/plain/{stage.name}/nothing").body == b'"nothing"'
                assert connection.get(f"/shop/{stage.name}/say/shop").status == 200
                assert connection.get(f"/office/{stage.name}/say/office").status == 200
                stage.wait_for("shop", "office")
            server.terminate()
            server.wait()
            assert complaints(server) == []
        assert Counter(stage.heard) == {
            "on_startup": 2,
            "handler": 2,
            "shop": 1,
            "office": 1,
            "on_shutdown": 2,
        }
    assert place.has_only_succeeded(1, "shop")
    assert place.has_only_succeeded(1, "office")


def test_versions_of_an_application_that_serve_and_work_at_once_lose_nothing(place: Place) -> None:
    """Each adds what the other one has to run, or to leave; then the old one ends."""
    with Stage() as stage, ExitStack() as stack:
        servers = {
            version: stack.enter_context(Server("uvicorn-h11", APP, environment=place.settings(version=version)))
            for version in ("old", "new")
        }
        old, new = (stack.enter_context(server.connect()) for server in servers.values())
        expected = []
        for number in range(20):
            for connection, who in ((old, "old"), (new, "new")):
                assert connection.get(f"/{stage.name}/say/{who}-{number}").status == 200
                assert connection.get(f"/{stage.name}/changed/{who}-{number}").status == 200
                expected += [f"{who}-{number}", f"{who}-{number} as before"]
            expected += add_new(new, stage, str(number))
        servers["old"].terminate()
        servers["old"].wait()
        stage.wait_for(*expected)
        servers["new"].terminate()
        servers["new"].wait()
        assert Counter(cue for cue in stage.heard if cue != "handler") == dict.fromkeys(expected, 1)
    assert place.has_only_succeeded(len(expected))


def test_what_old_workers_do_not_understand_waits_for_new_ones(place: Place) -> None:
    """The processes that serve are deployed first, then those that work. What was old all along runs meanwhile."""
    web = place.settings(backend={"embedded": False})
    with Stage() as stage, Server("uvicorn-h11", APP, environment=web) as server, server.connect() as connection:
        with Server("worker", WORKER, environment=place.settings(version="old")) as worker:
            expected = add_new(connection, stage, "later")
            assert connection.get(f"/{stage.name}/changed/now").status == 200
            stage.wait_for("now as before")
            records = worker.wait_for_records("waits for a worker of another version")
            assert records[0].message.endswith("the arguments do not fit changed(stage: str, what: str) -> None")
            worker.terminate()
            worker.wait()
        assert place.counts().waiting == 2
        with Server("worker", WORKER, environment=place.settings()):
            stage.wait_for(*expected)
        assert Counter(cue for cue in stage.heard if cue != "handler") == dict.fromkeys([*expected, "now as before"], 1)
    assert place.has_only_succeeded(3)


def test_what_was_added_by_an_old_version_is_run_by_the_new_one(place: Place) -> None:
    """The processes that work are deployed first."""
    web = place.settings(version="old", backend={"embedded": False})
    with Stage() as stage, Server("uvicorn-h11", APP, environment=web) as server, server.connect() as connection:
        assert connection.get(f"/{stage.name}/changed/old").status == 200
        with Server("worker", WORKER, environment=place.settings()):
            stage.wait_for("old as before")
    assert place.has_only_succeeded(1)


def add_new(connection: Connection, stage: Stage, what: str) -> list[str]:
    """Add what only the new version understands; return what is heard when it has run."""
    assert connection.get(f"/{stage.name}/introduced/{what}").status == 200
    assert connection.get(f"/{stage.name}/changed/{what}/changed").status == 200
    return [f"{what} introduced", f"{what} changed"]


def complaints(server: Server) -> list[Record]:
    """What the application has logged that is not only information."""
    return [record for record in server.records("") if record.level != "INFO"]
