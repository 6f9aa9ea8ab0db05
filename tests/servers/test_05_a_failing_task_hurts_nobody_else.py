"""Promise 5, over real sockets: a failing task costs nobody an answer, and is logged once.

Places: ``collected`` is a task of the collection, ``own`` the background of the response that the handler returns,
``injected`` the background of the response that Ellar injects.
"""

import pytest

from tests.servers.connection import Connection
from tests.servers.failing import ERRORS, FAILING, argument, message
from tests.servers.process import Record, Server
from tests.servers.stage import Stage

PLACE = pytest.mark.parametrize("place", ["collected", "own", "injected"])
KIND = pytest.mark.parametrize("kind", FAILING)
ERROR = pytest.mark.parametrize("error", ERRORS)


def fail_while_the_next_request_is_handled(stage: Stage, connection: Connection, failing: str) -> None:
    """Send two requests at once; the task of the first fails while the handler of the second runs."""
    connection.ask(f"/{stage.name}/{failing}", f"/{stage.name}/held")
    assert connection.answer().status == 200
    stage.wait_for("task", "handler")
    stage.release("task")
    stage.wait_for(f"{failing} ended")


def failed(server: Server, failing: str) -> Record:
    """What is logged about a request whose task fails; nothing else of it is printed."""
    with Stage() as stage, server.connect() as connection:
        path, marker = f"/{stage.name}/{failing}", f"/{stage.name}/HandledByModule/raised"
        connection.ask(path)
        connection.answer()
        stage.wait_for(f"{failing} ended")
        # What is printed by then has been read when the next thing has.
        connection.ask(marker)
        connection.answer()
        server.wait_for_records(marker)
        assert not server.says(message(stage.name))
        [record] = server.records(path)
        return record


@PLACE
@KIND
@ERROR
def test_the_next_request_in_flight_on_the_connection_is_answered(
    server: Server, error: str, kind: str, place: str
) -> None:
    """The connection that has the failing request's answer and the next request stays open, for more requests too."""
    with Stage("task", "handler") as stage, server.connect() as connection:
        fail_while_the_next_request_is_handled(stage, connection, f"{error}/{kind}/{place}")
        stage.release("handler")
        assert connection.answer().status == 200
        connection.ask(f"/{stage.name}/held")
        assert connection.answer().status == 200


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_with_the_built_in_feature_uvicorn_closes_the_connection(http: str) -> None:
    """What the module is for: without it the next request on the connection loses its answer."""
    with (
        Server(f"uvicorn-{http}", "tests.servers.application:built_in", "--factory") as server,
        Stage("task", "handler") as stage,
        server.connect() as connection,
    ):
        fail_while_the_next_request_is_handled(stage, connection, "ValueError/async/collected")
        assert connection.is_closed()


@PLACE
@KIND
@ERROR
def test_the_failure_reaches_the_log_once_and_nothing_else(server: Server, error: str, kind: str, place: str) -> None:
    """No exception handler of Ellar hears of it, nor does the server, although there are handlers for each error."""
    record = failed(server, f"{error}/{kind}/{place}")
    assert (record.logger, record.level) == ("bg_di", "ERROR")


@PLACE
@KIND
def test_the_log_has_traceback_name_method_and_path_and_no_argument(server: Server, kind: str, place: str) -> None:
    """Whoever reads it finds the task, the request and the line that failed, and no data of users."""
    record = failed(server, f"ValueError/{kind}/{place}")
    name = FAILING[kind].__name__
    assert f"tests.servers.failing:{name} of GET /" in record.message
    assert record.message.endswith(f"/ValueError/{kind}/{place} failed")
    assert record.traceback.startswith("Traceback")
    assert f"in {name}\n    raise ERRORS[error](message(stage))\nValueError: raised for " in record.traceback
    assert argument() not in server.output


@ERROR
def test_the_same_error_in_a_handler_reaches_its_exception_handler(server: Server, error: str) -> None:
    """So what the exception handlers do not hear of is what tasks raise."""
    with Stage() as stage, server.connect() as connection:
        connection.ask(f"/{stage.name}/{error}/raised")
        assert connection.answer().status == 418
        [record] = server.wait_for_records(f"/{stage.name}/{error}/raised")
        assert record.logger == "handlers"
