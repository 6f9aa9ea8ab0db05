"""An application's lifespan without a server, whatever the application does."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from bg_di.commands.lifespan import running
from bg_di.commands.outcome import CommandFailed


async def ends_without_a_word(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


async def raises_without_a_word(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise ZeroDivisionError("on purpose")


async def does_not_listen(scope: Scope, receive: Receive, send: Send) -> None:
    assert (scope["type"], scope["more"]) == ("lifespan", 1)
    await send({"type": "lifespan.startup.complete"})


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (ends_without_a_word, "the application could not start: it ended without a word"),
        (raises_without_a_word, "the application could not start: ZeroDivisionError: on purpose"),
        (does_not_listen, "the application could not shut down: it ended without a word"),
    ],
)
def test_nobody_waits_for_an_application_that_has_ended(app: object, says: str) -> None:
    """It is told how it did."""

    async def run() -> None:
        async with running(app, {"more": 1}):  # type: ignore[arg-type]
            pass

    with pytest.raises(CommandFailed) as failed:
        asyncio.run(run())
    assert str(failed.value) == says
