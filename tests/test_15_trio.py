"""Promise 15: engines are asyncio only, and say so at start-up."""

import anyio
import pytest
from ellar.common import Inject, get
from ellar.core import WebSocket
from starlette.types import Message

from bg_di import BackgroundTasks, BackgroundTasksModule, BackgroundTasksNotAccepted, collect_background_tasks
from bg_di.backends import InProcessBackend
from tests.handing_over import ON_TRIO, RUN_AFTER, Engines, run_once, send
from tests.harness import Client, Log, Socket, application, request, running, websocket

pytestmark = ON_TRIO

WHY = "the backend 'durable' works on asyncio only: run the application on it"


async def test_start_up_fails() -> None:
    """With the reason, before any request."""
    why = "engines of background tasks work on asyncio only: run the application on it"
    async with running(Engines().application()) as lifespan:
        assert lifespan.said == ["startup.failed", why]
    assert str(lifespan.error) == why


async def test_what_runs_here_starts() -> None:
    """A backend of the process needs no event loop of asyncio, whatever its name."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.using(backend="durable").add_task(ran.append, "ran")

    app = application(handler, tasks=BackgroundTasksModule.setup(backends={"durable": InProcessBackend()}))
    assert [message["type"] for message in await run_once(app)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert ((await request(app, "/")).status, ran) == (200, ["ran"])


@RUN_AFTER
async def test_without_a_lifespan_its_responses_are_refused(run_after: str, log: Log) -> None:
    """With 503; each task is named, and what runs in the process is heard."""
    engines = Engines()
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")
        tasks.add_task(ran.append, "never")
        tasks.using(when="failure").add_task(ran.append, "failure")
        tasks.add_task(send, "b")

    options = {"run_after": run_after, "observers": [engines.watched()]}
    client = await request(engines.application(handler, options=options), "/")
    assert (client.status, client.header("retry-after"), client.error) == (503, "5", None)
    assert ran == ["failure"]
    assert [failure.task.args for failure in engines.failures] == [("a",), ("b",)]
    error = engines.failures[0].error
    assert isinstance(error, BackgroundTasksNotAccepted)
    assert (len(error.refused), error.unknown, error.accepted, error.why) == (2, (), (), (WHY,))
    assert [kind for kind, record in engines.heard if record.name == "send"] == ["added", "added", "refused", "refused"]
    assert engines.memory.opened == 0


async def test_what_is_added_after_the_start_is_named() -> None:
    """As any failure of a hand-over."""
    engines = Engines()

    async def adds(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "late")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(adds, tasks)

    assert (await request(engines.application(handler), "/")).status == 200
    assert [failure.task.args for failure in engines.failures] == [("late",)]


async def test_a_cancelled_request_names_it_all_the_same() -> None:
    """What was refused, and what was never handed over."""
    engines = Engines()
    sending = anyio.Event()

    async def blocks(message: Message) -> None:
        sending.set()
        await anyio.sleep_forever()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")

    async with anyio.create_task_group() as group:
        group.start_soon(Client(before_send=blocks).request, engines.application(handler), "/")
        await sending.wait()
        group.cancel_scope.cancel()
    assert [failure.task.args for failure in engines.failures] == [("a",)]


async def test_a_block_outside_of_requests_raises() -> None:
    """With the reason."""
    engines = Engines()

    async def block() -> None:
        async with collect_background_tasks(engines.application()) as tasks:
            tasks.add_task(send, "a")

    with pytest.raises(BackgroundTasksNotAccepted, match=WHY):
        await block()
    assert [failure.task.args for failure in engines.failures] == [("a",)]


async def test_a_web_socket_raises() -> None:
    """Where its tasks were to be handed over."""
    engines = Engines()

    @websocket("/ws")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(send, "a")
        with pytest.raises(BackgroundTasksNotAccepted, match=WHY):
            await tasks()
        await socket.close()

    assert await Socket().run(engines.application(handler), "/ws") is None
    assert [failure.task.args for failure in engines.failures] == [("a",)]
