"""Promise 6, over real sockets: a client that leaves costs no task, whatever middleware its request goes through."""

import pytest

from tests.servers.process import Server
from tests.servers.stage import Stage

# Each by the header that asks for it; gzip is in the stack of all.
STACKS: dict[str, dict[str, str]] = {
    "plain": {},
    "gzip": {"accept-encoding": "gzip"},
    "pass_on": {"through": "pass_on"},
    "hold_back": {"through": "hold_back"},
}
STACK = pytest.mark.parametrize("stack", STACKS)
STREAMING_STACK = pytest.mark.parametrize("stack", ["plain", "gzip", "pass_on"])
# Nothing more happens in a request that has ended: what was heard by then is all there is.
TASKS = ["first", "second"]


def encoding_of(stack: str) -> str:
    return STACKS[stack].get("accept-encoding", "identity")


@STACK
def test_before_its_request_is_complete(server: Server, stack: str) -> None:
    """The handler fails where it reads the body, but not by a mistake of its own."""
    with Stage("handler") as stage, server.connect() as connection:
        connection.ask_in_part(f"/{stage.name}/reading", **STACKS[stack])
        stage.wait_for("handler")
        connection.close()
        stage.release("handler")
        stage.wait_for("reading ended")
        assert stage.heard == ["handler", *TASKS, "reading ended"]


@STACK
def test_before_the_response(server: Server, stack: str) -> None:
    """The handler returns when the server knows that the client has gone."""
    with Stage("handler") as stage, server.connect() as connection:
        connection.ask(f"/{stage.name}/left", **STACKS[stack])
        stage.wait_for("handler")
        connection.close()
        stage.release("handler")
        stage.wait_for("left ended")
        assert stage.heard == ["handler", *TASKS, "left ended"]


@STREAMING_STACK
def test_during_the_response(server: Server, stack: str) -> None:
    """The stream, which adds the tasks, would never end by itself."""
    with Stage("stream") as stage, server.connect() as connection:
        connection.ask(f"/{stage.name}/streaming", **STACKS[stack])
        assert connection.first_chunk().encoding == encoding_of(stack)
        stage.wait_for("stream")
        connection.close()
        stage.release("stream")
        stage.wait_for("streaming ended")
        assert stage.heard == ["stream", *TASKS, "streaming ended"]


@STACK
@pytest.mark.parametrize("path", ["answered", "streamed"])
def test_after_the_response(server: Server, path: str, stack: str) -> None:
    """The client has everything and goes while the first task runs."""
    with Stage("first") as stage, server.connect() as connection:
        connection.ask(f"/{stage.name}/{path}", **STACKS[stack])
        assert connection.answer().encoding == encoding_of(stack)
        stage.wait_for("first")
        connection.close()
        stage.release("first")
        stage.wait_for(f"{path} ended")
        assert stage.heard == [*TASKS, f"{path} ended"]
