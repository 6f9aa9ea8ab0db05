"""Promise 12: neither the client's leaving nor the server's cancellation interrupts a hand-over; shutdown awaits it."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest
from ellar.common import get
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import BackgroundTasks, BackgroundTasksMonitor, collect_background_tasks
from tests.handing_over import ON_ASYNCIO, REFUSED, RUN_AFTER, Engines, Gate, answers, bill, hangs, run_once, send
from tests.harness import Client, Log, application, request, wrap


def adding(*tasks: Any) -> Any:
    @get("/")
    async def handler(tasks_: BackgroundTasks) -> None:
        for task, argument in tasks:
            tasks_.add_task(task, argument)

    return handler


async def until(is_so: Callable[[], bool]) -> None:
    """Let the event loop go on until something is so."""
    with anyio.fail_after(5):
        while not is_so():
            await anyio.lowlevel.checkpoint()


@ON_ASYNCIO
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@RUN_AFTER
async def test_a_client_that_leaves_changes_nothing(run_after: str, spec: str) -> None:
    """What it asked for is accepted, and what belongs to it in the process runs."""
    engines = Engines()
    ran: list[str] = []
    client = Client(spec=spec, leaves_after=0)
    app = engines.application(adding((send, "a"), (ran.append, "here")), options={"run_after": run_after})
    await client.request(app, "/")
    assert (engines.sent(), ran, engines.failures) == (["send"], ["here"], [])


@ON_ASYNCIO
@pytest.mark.parametrize("outcome", [None, REFUSED], ids=["accepted", "refused"])
async def test_a_cancelled_request_leaves_its_hand_over_to_go_on(outcome: Any, log: Log) -> None:
    """It is noted, a failure is reported, and what had not been handed over is named."""
    engines = Engines()
    gate = engines.memory.answer = Gate(outcome)
    app = engines.application(adding((send, "a"), (print, "never")))
    monitor = app.injector.get(BackgroundTasksMonitor)
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await gate.asked.wait()
        group.cancel_scope.cancel()
    assert log.messages == [
        "background task builtins:print of GET / never started: its request was ended by CancelledError"
    ]
    gate.opened.set()
    await until(lambda: len(monitor.history()) == 2)
    [ended] = [record for record in monitor.history() if record.name == "send"]
    assert ended.state == ("failed" if outcome else "accepted")
    await until(lambda: len(engines.failures) == (1 if outcome else 0))


@ON_ASYNCIO
@RUN_AFTER
async def test_a_stream_whose_client_leaves_meanwhile_is_refused_all_the_same(run_after: str, log: Log) -> None:
    """Starlette gives up sending it; for the other tasks of its route the refusal counts, as ever."""
    engines = Engines()
    gate = engines.memory.answer = Gate(REFUSED)
    ran: list[str] = []
    client = Client(leaves_after=0)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        tasks.add_task(send, "a")
        tasks.add_task(print, "never")
        tasks.using(when="failure").add_task(ran.append, "failure")
        return StreamingResponse(iter(["never sent"]))

    app = engines.application(handler, options={"run_after": run_after})
    async with anyio.create_task_group() as group:
        group.start_soon(client.request, app, "/")
        await gate.asked.wait()
        gate.opened.set()
    assert (client.messages, ran, [failure.name for failure in engines.failures]) == ([], ["failure"], ["send"])
    [message] = log.messages
    assert message.startswith("background task builtins:print of GET / was dropped: its response was refused")


@ON_ASYNCIO
@pytest.mark.parametrize(("outcome", "status"), [(None, 504), (REFUSED, 503)], ids=["accepted", "refused"])
async def test_another_response_waits_for_what_the_first_one_handed_over(outcome: Any, status: int) -> None:
    """As that of a middleware which lets nobody wait for longer than a while."""
    engines = Engines()
    gate = engines.memory.answer = Gate(outcome)

    class Limited:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(cast(Any, self.app), scope, receive, send)
                await gate.asked.wait()
                group.cancel_scope.cancel()
            asyncio.get_running_loop().call_soon(gate.opened.set)
            await PlainTextResponse("", 504)(scope, receive, send)

    client = await request(wrap(engines.application(adding((send, "a"))), Middleware(Limited)), "/")
    assert client.status == status
    assert len(engines.failures) == (1 if outcome else 0)


@ON_ASYNCIO
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_client_that_has_left_cannot_be_refused(spec: str) -> None:
    """Its tasks are named all the same."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)
    client = await Client(spec=spec, leaves_after=0).request(engines.application(adding((send, "a"))), "/")
    assert (client.messages, client.error, len(engines.failures)) == ([], None, 1)


@ON_ASYNCIO
async def test_asyncios_own_cancellation_leaves_it_too() -> None:
    """That is how uvicorn ends requests when its graceful timeout is over: it is awaited by the request itself."""
    engines = Engines()
    gate = engines.memory.answer = Gate()
    serving = asyncio.create_task(request(engines.application(adding((send, "a"))), "/"))
    await gate.asked.wait()
    serving.cancel()
    asyncio.get_running_loop().call_soon(gate.opened.set)
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert engines.sent() == ["send"]


@ON_ASYNCIO
@pytest.mark.parametrize("outcome", [None, REFUSED], ids=["accepted", "refused"])
async def test_shutdown_awaits_it(outcome: Any) -> None:
    """Also if the request has been cancelled and nobody else is left that waits for it; then the engine is closed."""
    engines = Engines()
    gate = engines.memory.answer = Gate(outcome)
    app = engines.application(adding((send, "a")))

    async def cancelled_request() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(request, app, "/")
            await gate.asked.wait()
            group.cancel_scope.cancel()
        asyncio.get_running_loop().call_soon(gate.opened.set)

    await run_once(app, before=cancelled_request)
    assert (engines.sent(), len(engines.failures)) == ((["send"], 0) if outcome is None else ([], 1))
    assert (engines.memory.opened, engines.memory.closed, engines.memory.abandoned) == (1, 1, 0)


def test_a_loop_that_ends_names_what_it_leaves(log: Log) -> None:
    """Without a lifespan nobody waits: one engine has accepted, and of the other nobody will know."""
    engines = Engines()
    gate = Gate()
    app = application(adding((send, "a"), (bill, 1)), tasks=engines.setup(observers=[engines.watched()]))
    monitor = app.injector.get(BackgroundTasksMonitor)

    async def serve() -> None:
        engines.other.answer = gate
        async with anyio.create_task_group() as group:
            group.start_soon(request, app, "/")
            await gate.asked.wait()
            group.cancel_scope.cancel()

    asyncio.run(serve())
    [left] = [record for record in monitor.history() if record.name == "bill"]
    reason = "its event loop ended while it was handed over: it may run all the same"
    assert (left.state, left.reason) == ("cancelled", reason)
    assert log.messages == [f"background task bill of GET / ({left.task_id}): {reason}"]
    assert {record.state for record in monitor.history()} == {"accepted", "cancelled"}
    kind, told = engines.heard[-1]
    assert (kind, told.name, told.state, told.reason) == ("refused", "bill", "cancelled", reason)


def test_a_loop_that_is_closed_without_a_word_is_forgotten(log: Log) -> None:
    """What was handed over there is named when the next event loop opens something; and nothing of it is kept."""
    engines = Engines()
    app = application(adding((send, "a")), tasks=engines.setup())

    async def serve() -> None:
        gate = engines.memory.answer = Gate()
        async with anyio.create_task_group() as group:
            group.start_soon(request, app, "/")
            await gate.asked.wait()
            group.cancel_scope.cancel()

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # asyncio says, too, that tasks were destroyed
    loop.run_until_complete(serve())
    loop.close()
    engines.memory.answer = None
    assert asyncio.run(request(app, "/")).status == 200
    gc.collect()
    [message] = log.messages
    assert message.endswith("its event loop ended while it was handed over: it may run all the same")
    assert (engines.memory.opened, engines.memory.abandoned) == (2, 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_block_that_is_cancelled_leaves_it_too() -> None:
    """As a request does."""
    engines = Engines()
    gate = engines.memory.answer = Gate()
    app = engines.application()

    async def block() -> None:
        async with collect_background_tasks(app) as tasks:
            tasks.add_task(send, "a")

    async with anyio.create_task_group() as group:
        group.start_soon(block)
        await gate.asked.wait()
        group.cancel_scope.cancel()
    gate.opened.set()
    await until(lambda: engines.sent() == ["send"])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_late_answer_is_not_heard() -> None:
    """What an engine does beyond `accept_timeout` is unknown, and the shutdown does not wait for it."""
    engines = Engines()
    engines.memory.answer = hangs
    app = engines.application(adding((send, "a")), options={"accept_timeout": 0.01})
    await run_once(app, before=lambda: request(app, "/"))
    assert [failure.name for failure in engines.failures] == ["send"]
