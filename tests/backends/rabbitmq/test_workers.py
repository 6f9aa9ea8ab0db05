"""Workers that are processes of their own, on a broker: what one cannot end another one runs, and none is lost."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.backends.rabbitmq.rabbit import GENEROUS, SETTLED
from tests.backends.rabbitmq.server import HOST, PASSWORD, Broker, url
from tests.servers.connection import Answer
from tests.servers.places import OnBroker
from tests.servers.process import Server
from tests.servers.stage import Stage

APP = "tests.servers.durable:app"
SHOP = "tests.servers.durable:shop"


@pytest.fixture
def place(broker: Broker) -> OnBroker:
    return OnBroker(broker.url)


@contextmanager
def serving(place: OnBroker) -> Iterator[Server]:
    """An application that leaves its tasks to others."""
    with Server("uvicorn-h11", APP, environment=place.settings(backend={"embedded": False})) as server:
        yield server


def worker(place: OnBroker, **options: object) -> Server:
    """A process that runs two tasks at once."""
    return Server("worker", SHOP, environment=place.settings(level="INFO", backend={"concurrency": 2}, options=options))


def get(server: Server, path: str) -> Answer:
    # The server closes one on which nothing is asked for a while.
    with server.connect() as connection:
        return connection.get(path)


def add(server: Server, stage: Stage, *tasks: str) -> None:
    for what in tasks:
        assert get(server, f"/{stage.name}/hold/{what}").status == 200


def run(stage: Stage, what: str) -> list[str]:
    """Where a task has been started, and which delivery it was."""
    return [cue.removeprefix(f"{what} in ") for cue in stage.heard if cue.startswith(f"{what} in ")]


def test_what_a_worker_does_not_end_in_its_time_another_one_runs_uncounted(place: OnBroker) -> None:
    """It takes no more, and what runs has time to end; what has not ended by then goes back, at once."""
    with Stage("short", "long") as stage, serving(place) as server:
        with worker(place, grace_period=3) as first:
            add(server, stage, "short", "long")
            stage.wait_for("short", "long")
            add(server, stage, "waits")
            first.terminate()
            first.wait_until_it_says("it got SIGTERM")
            stage.release("short")
            first.wait()
            assert "waits" not in stage.heard
            assert "delivery had been lost" not in first.output
        with worker(place) as second:
            stage.release("long")
            stage.wait_for("long", "long", "waits")
            second.terminate()
            second.wait()
        assert run(stage, "short") == [f"{first.process.pid}, delivery 1"]
        assert run(stage, "long") == [f"{process.process.pid}, delivery 1" for process in (first, second)]
        assert run(stage, "waits") == [f"{second.process.pid}, delivery 1"]
    assert place.has_only_succeeded(3)


def test_what_a_worker_that_is_killed_had_in_hand_another_one_runs_counted(place: OnBroker) -> None:
    """The broker knows at once: the connection breaks. The other one has been there all the time."""
    with Stage("a", "b", "c", "d") as stage, serving(place) as server, worker(place) as first, worker(place) as second:
        for process in (first, second):
            process.wait_until_it_says("a worker takes what")
        add(server, stage, *"abcd")
        stage.wait_for(*"abcd")
        of_first = [what for what in "abcd" if run(stage, what) == [f"{first.process.pid}, delivery 1"]]
        assert len(of_first) == 2
        os.killpg(first.process.pid, signal.SIGKILL)
        for what in "abcd":
            stage.release(what)
        stage.wait_for(*(f"{what} in {second.process.pid}, delivery 2" for what in of_first))
        stage.wait_for(*"abcd", *of_first)
        second.terminate()
        second.wait()
        for what in "abcd":
            deliveries = [f"{first.process.pid}, delivery 1", f"{second.process.pid}, delivery 2"]
            assert run(stage, what) == (deliveries if what in of_first else [f"{second.process.pid}, delivery 1"])
    assert place.has_only_succeeded(4)


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port at which nobody listens, nor will."""
    with closing(socket.socket()) as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("embedded", [False, True])
def test_without_a_broker_no_worker_starts(embedded: bool, nowhere: int) -> None:
    """It says where it looked for one, and no password."""
    place = OnBroker(url(nowhere, "shop", "s3cr3t"))
    server = Server("uvicorn-h11", APP, environment=place.settings()) if embedded else worker(place)
    said = server.fails()
    assert (
        f"a worker of background tasks could not start: bg_di.errors.BackendUnavailable: RabbitMQ at {HOST}:{nowhere} "
        in said
    )
    assert "s3cr3t" not in said


def test_without_a_broker_an_application_without_a_worker_serves(nowhere: int) -> None:
    """What needs none is answered as ever, and what does is refused."""
    place = OnBroker(url(nowhere, "shop", "s3cr3t"))
    with Stage() as stage, serving(place) as server:
        answer = get(server, f"/{stage.name}/hold/-")
        assert (answer.status, answer.headers["retry-after"]) == (503, "7")
        assert get(server, f"/{stage.name}/objects").status == 200


def test_a_worker_goes_on_soon_after_its_broker_is_back(place: OnBroker, broker: Broker) -> None:
    """By itself; what waited is there."""
    with Stage("held") as stage, serving(place) as server, worker(place) as process:
        add(server, stage, "first", "held")
        stage.wait_for("first", "held")
        time.sleep(SETTLED)
        broker.kill()
        process.wait_until_it_says("is lost")
        broker.start()
        back = time.monotonic()
        process.wait_until_it_says("is back")
        assert time.monotonic() - back < GENEROUS
        while get(server, f"/{stage.name}/hold/after").status != 200:
            assert time.monotonic() - back < GENEROUS
        stage.wait_for("after")
        stage.release("held")
        process.terminate()
        process.wait()
        assert run(stage, "held") == [f"{process.process.pid}, delivery 1"]
    assert place.has_only_succeeded(3)
    assert PASSWORD not in process.output
