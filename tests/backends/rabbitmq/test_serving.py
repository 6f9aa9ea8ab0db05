"""A real server: two applications of several modules are in one process and on one broker, and kept apart."""

from collections import Counter
from contextlib import ExitStack

from tests.backends.rabbitmq.server import Broker
from tests.servers.places import OnBroker
from tests.servers.process import Server
from tests.servers.stage import PATIENCE, Stage

REQUESTS = 300


def test_each_task_of_300_concurrent_requests_runs_once_and_where_it_belongs(broker: Broker) -> None:
    """All handlers are in the middle of their work at once; some tasks are delayed, too."""
    place = OnBroker(broker.url)
    expected: Counter[str] = Counter()
    with (
        Stage("handler") as stage,
        Server("uvicorn-httptools", "tests.backends.rabbitmq.two_shops:app", environment=place.settings()) as server,
    ):
        with ExitStack() as stack:
            connections = [stack.enter_context(server.connect()) for _ in range(REQUESTS)]
            for number, connection in enumerate(connections):
                application = ("one", "two")[number % 2]
                module = ("first", "second", "third")[number % 3]
                connection.ask(f"/{application}/{module}/{stage.name}/{number}")
                where = f"{application} {module}"
                expected += Counter({f"{number} plain {where}": 2, f"{number} service {where}": 1})
            stage.wait_for(*["handler"] * REQUESTS)
            stage.release("handler")
            answers = [connection.answer() for connection in connections]
        assert [(answer.status, answer.body) for answer in answers] == [
            (200, str(number).encode()) for number in range(REQUESTS)
        ]
        stage.wait_for(*expected.elements())
        server.terminate()
        assert server.ends_within(PATIENCE)
        assert Counter(cue for cue in stage.heard if cue != "handler") == expected
    assert [record for record in server.records("") if record.level != "INFO"] == []
    assert place.has_only_succeeded(0, "one")
    assert place.has_only_succeeded(0, "two")
