"""Promise 12, in a WebSocket: tasks are handed over at ``await tasks()``, which raises, and at the end."""

import asyncio
from typing import Any

import pytest
from ellar.common import Inject
from ellar.core import WebSocket

from bg_di import BackgroundTasks, BackgroundTasksNotAccepted
from tests.handing_over import ON_ASYNCIO, REFUSED, UNKNOWN, Engines, Gate, answers, send
from tests.harness import Log, Socket, websocket

pytestmark = ON_ASYNCIO


async def test_awaiting_the_collection_hands_over_in_one_go() -> None:
    """What waits for a failure waits on; what is added afterwards is handed over at the end."""
    engines = Engines()
    ran: list[Any] = []

    @websocket("/ws")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(send, "a")
        tasks.using(when="failure").add_task(send, "dropped")
        tasks.add_task(ran.append, "here")
        tasks.add_task(send, "b")
        await tasks()
        ran.append(engines.sent())
        tasks.add_task(send, "c")
        await socket.close()

    assert await Socket().run(engines.application(handler), "/ws") is None
    assert ran == ["here", ["send", "send"]]
    assert [len(batch) for batch in engines.memory.asked] == [2, 1]


async def test_what_is_not_accepted_is_raised_there(log: Log) -> None:
    """All of it at once, and reported; what runs in the process has run, and the connection goes on."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED, UNKNOWN)
    caught: list[BackgroundTasksNotAccepted] = []
    ran: list[str] = []

    @websocket("/ws")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(send, "a")
        tasks.add_task(ran.append, "here")
        tasks.add_task(send, "b")
        try:
            await tasks()
        except BackgroundTasksNotAccepted as error:
            caught.append(error)
        engines.memory.answer = None
        tasks.add_task(send, "c")
        await tasks()
        await socket.close()

    assert await Socket().run(engines.application(handler), "/ws") is None
    assert ran == ["here"]
    [error] = caught
    assert (len(error.refused), len(error.unknown)) == (1, 1)
    assert [failure.task.args for failure in engines.failures] == [("a",), ("b",)]
    assert {(failure.method, failure.path) for failure in engines.failures} == {("WEBSOCKET", "/ws")}
    assert engines.sent() == ["send"]


async def test_who_does_not_catch_it_fails() -> None:
    """What waits for that is handed over at the end, and the rest dropped."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)

    @websocket("/ws")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.using(when="failure").add_task(send, "failure")
        tasks.add_task(send, "a")
        await tasks()

    assert isinstance(await Socket().run(engines.application(handler), "/ws"), BackgroundTasksNotAccepted)
    assert [failure.task.args for failure in engines.failures] == [("a",), ("failure",)]


async def test_at_the_end_it_is_reported() -> None:
    """Nobody is left to whom it could be raised."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)

    @websocket("/ws")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(send, "a")
        await socket.close()

    assert await Socket().run(engines.application(handler), "/ws") is None
    assert [failure.task.args for failure in engines.failures] == [("a",)]


async def test_several_may_wait_at_once() -> None:
    """Each hears what became of it."""
    engines = Engines()
    gate = engines.memory.answer = Gate(REFUSED)
    heard: list[Any] = []

    @websocket("/ws")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(send, "a")
        waiting = [asyncio.ensure_future(tasks()) for _ in range(3)]
        await gate.asked.wait()
        gate.opened.set()
        heard.extend(await asyncio.gather(*waiting, return_exceptions=True))
        await socket.close()

    assert await Socket().run(engines.application(handler), "/ws") is None
    assert [type(each) for each in heard] == [BackgroundTasksNotAccepted] * 3
    assert len({id(each) for each in heard}) == 1
    assert len(engines.failures) == 1


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_refused_handshake_hands_over_what_it_added(accepted: bool) -> None:
    """Whether the connection was accepted is nobody's concern here."""
    engines = Engines()

    @websocket("/ws")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")
        if accepted:
            await socket.accept()
        await socket.close()

    await Socket().run(engines.application(handler), "/ws")
    assert engines.sent() == ["send"]
