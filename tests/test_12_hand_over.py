"""Promise 12: nothing of a response leaves before every task that was released for an engine is accepted."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar, copy_context
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import anyio
import pytest
from ellar.app import App
from ellar.common import get
from ellar.di import ProviderConfig
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.responses import JSONResponse, Response, StreamingResponse

from bg_di import BackgroundTasks, BackgroundTasksModule, TaskReference, background_task, collect_background_tasks
from bg_di.backends import InProcessBackend, Message
from bg_di.wire import Envelope
from tests import results
from tests.backends.memory import Memory, MemoryBackend
from tests.everywhere import AROUND, PLACES, everywhere
from tests.handing_over import ON_ASYNCIO, RUN_AFTER, Engines, Gate, bill, send
from tests.harness import Client, Log, application, concurrently, module, request

TENANT: ContextVar[str] = ContextVar("tenant")
UNSET: ContextVar[str] = ContextVar("unset")

pytestmark = ON_ASYNCIO


def timed(engines: Engines, client: Client) -> None:
    """Let the client's timeline show when which tasks were accepted."""

    async def answer(messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        client.timeline.append([message.name for message in messages])

    engines.memory.answer = engines.other.answer = answer


def to(message: Message) -> Any:
    return Envelope.from_bytes(message.body).arguments["args"][0]


@RUN_AFTER
@pytest.mark.parametrize("kind", results.KINDS)
async def test_a_response_leaves_when_its_tasks_are_accepted(kind: str, run_after: str) -> None:
    """Whatever the handler returns; all of them in one go, and those that run in the process after the last byte."""
    engines, client = Engines(), Client()
    timed(engines, client)

    def add(tasks: Any) -> None:
        tasks.add_task(send, "a")
        tasks.add_task(client.timeline.append, "in process")
        tasks.add_task(send, to="b")

    app = engines.application(
        results.route(kind, add), options={"run_after": run_after}, base_directory=results.DOCUMENT.parent
    )
    plain = application(results.route(kind), base_directory=results.DOCUMENT.parent)
    await client.request(app, "/")
    assert client.error is None
    assert client.timeline == [["send", "send"], "start", "last byte", "in process"]
    expected = await request(plain, "/")
    assert (client.status, client.headers, client.body) == (expected.status, expected.headers, expected.body)


async def test_each_engine_is_asked_once_in_the_order_of_adding() -> None:
    """Both at the same time."""
    engines = Engines()
    both = asyncio.Barrier(2)

    async def answer(messages: Sequence[Message]) -> None:
        await both.wait()

    engines.memory.answer = engines.other.answer = answer

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for number in range(3):
            tasks.add_task(send, str(number))
            tasks.add_task(bill, number)

    assert (await request(engines.application(handler), "/")).status == 200
    assert [[to(message) for message in batch] for batch in engines.memory.asked] == [["0", "1", "2"]]
    assert [[to(message) for message in batch] for batch in engines.other.asked] == [[0, 1, 2]]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("path", PLACES)
async def test_wherever_it_was_added(path: str, around: str) -> None:
    """In guards, middleware, exception handlers, mounted applications, by routes that fail: whatever is released."""
    engines, client = Engines(), Client()
    timed(engines, client)
    method, status, added = PLACES[path]
    await client.request(everywhere(engines, around), path, method=method, headers=[("accept-encoding", "gzip")])
    assert client.status == status
    tasks = [*added, *AROUND[around][1]]
    assert client.timeline == [*([["send"] * len(tasks)] if tasks else []), "start", "last byte"]
    assert sorted(to(message) for batch in engines.memory.asked for message in batch) == sorted(tasks)
    assert engines.failures == []


@RUN_AFTER
async def test_what_a_stream_adds_is_handed_over_when_due(run_after: str) -> None:
    """Its status has gone out; together, after the last byte."""
    engines, client = Engines(), Client()
    timed(engines, client)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            tasks.add_task(send, "first")
            yield b"two"
            tasks.add_task(send, "second")
            tasks.using(when="failure").add_task(send, "dropped")

        tasks.add_task(send, "before")
        return StreamingResponse(body())

    await client.request(engines.application(handler, options={"run_after": run_after}), "/")
    assert client.timeline == [["send"], "start", "last byte", ["send", "send"]]
    assert [to(message) for message in engines.memory.asked[1]] == ["first", "second"]


@RUN_AFTER
async def test_what_an_engine_has_accepted_runs_though_the_stream_breaks(run_after: str, log: Log) -> None:
    """What the stream has added itself is dropped, and what waits for a failure is handed over."""
    engines = Engines()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            tasks.add_task(send, "dropped")
            raise ZeroDivisionError

        tasks.add_task(send, "accepted")
        tasks.using(when="failure").add_task(send, "failure")
        return StreamingResponse(body())

    await request(engines.application(handler, options={"run_after": run_after}), "/")
    assert [[to(message) for message in batch] for batch in engines.memory.asked] == [["accepted"], ["failure"]]
    assert log.messages == ["background task send of GET / was dropped: its route failed with ZeroDivisionError"]


@RUN_AFTER
async def test_what_tasks_add_is_handed_over_beside_the_rest(run_after: str) -> None:
    """A task for an engine does not wait for those that were added before it, nor does a failing one end it."""
    engines = Engines()
    gate = engines.memory.answer = Gate()
    ran: list[str] = []

    async def first(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "by a task")
        ran.append("first")

    async def second() -> None:
        await gate.asked.wait()
        gate.opened.set()
        raise ZeroDivisionError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for task, args in ((first, [tasks]), (second, [])):
            tasks.add_task(task, *args)

    assert (await request(engines.application(handler, options={"run_after": run_after}), "/")).status == 200
    assert (ran, engines.sent()) == (["first"], ["send"])
    assert [failure.name for failure in engines.failures] == [f"{__name__}:{second.__qualname__}"]


async def test_what_a_failing_task_adds_is_dropped() -> None:
    """It stands and falls with it, as in the process."""
    engines = Engines()

    async def fails(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "dropped")
        tasks.using(when="failure").add_task(send, "failure")
        raise ZeroDivisionError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fails, tasks)

    await request(engines.application(handler), "/")
    assert [[to(message) for message in batch] for batch in engines.memory.asked] == [["failure"]]


async def test_a_nested_collection_is_accepted_at_its_own_end() -> None:
    """Before the response of the request around it leaves; that one's tasks are its own."""
    engines, client = Engines(), Client()
    timed(engines, client)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "outside")
        async with collect_background_tasks(app) as inner:
            inner.add_task(send, "inside")
            tasks.add_task(send, "whichever is current")
        client.timeline.append("block left")

    app = engines.application(handler)
    await client.request(app, "/")
    assert client.timeline == [["send"] * 2, "block left", ["send"], "start", "last byte"]


async def test_a_request_without_such_tasks_asks_nobody() -> None:
    """Nothing is opened."""
    engines = Engines()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(print)

    assert (await request(engines.application(handler), "/")).status == 200
    assert (engines.memory.opened, engines.memory.asked) == (0, [])


async def test_the_policy_decides_where_a_task_goes() -> None:
    """`using` wins over the declaration, and both over the default."""
    engines = Engines()
    ran: list[str] = []

    @background_task(name="declared")
    async def declared(what: str) -> None:
        ran.append(what)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(declared, "by default")
        tasks.using(backend="other").add_task(declared, "by using")
        tasks.using(backend="in_process").add_task(declared, "here")
        tasks.using(backend="in_process").add_task(ran.append, "undeclared")

    app = engines.application(handler, tasks=[declared], options={"default_backend": "durable"})
    assert (await request(app, "/")).status == 200
    assert (len(engines.memory.kept), len(engines.other.kept), ran) == (1, 1, ["here", "undeclared"])


@RUN_AFTER
async def test_the_own_background_of_a_response_runs_in_the_process(run_after: str) -> None:
    """Also where the default backend is an engine: nobody declared it."""
    engines = Engines()
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        tasks.add_task(send, "a")
        return JSONResponse({}, background=BackgroundTask(ran.append, "own"))

    app = engines.application(handler, options={"default_backend": "durable", "run_after": run_after})
    client = await request(app, "/")
    assert (client.status, client.error, ran) == (200, None, ["own"])


async def test_a_collection_of_the_users_own_runs_in_the_process() -> None:
    """What overrides the binding collects as Starlette does, and hands nothing over."""
    engines = Engines()
    ran: list[str] = []

    @get("/")
    async def handler(tasks: StarletteBackgroundTasks) -> None:
        tasks.add_task(ran.append, "own")

    feature = module(
        routers=[handler], providers=[ProviderConfig(StarletteBackgroundTasks, use_class=StarletteBackgroundTasks)]
    )
    app = engines.application(modules=[feature], options={"default_backend": "durable"})
    client = await request(app, "/")
    assert (client.status, client.error, ran) == (200, None, ["own"])


async def test_an_engine_that_runs_here_stands_under_any_name() -> None:
    """In development and in tests: the code of the handler is the same, and its tasks run in the process."""
    ran: list[str] = []

    @background_task(name="declared", backend="durable")
    async def declared(what: str) -> None:
        ran.append(what)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(declared, "ran")

    tasks = BackgroundTasksModule.setup(backends={"durable": InProcessBackend()}, default_backend="durable")
    assert (await request(application(handler, tasks=tasks), "/")).status == 200
    assert ran == ["ran"]


async def test_threads_of_sync_handlers_add_them_too() -> None:
    """Each is accepted once, before the response leaves."""
    engines, client = Engines(), Client()
    timed(engines, client)

    @get("/")
    def handler(tasks: BackgroundTasks) -> None:
        def add(number: int) -> None:
            for index in range(20):
                tasks.add_task(send, f"{number}/{index}")

        threads = [threading.Thread(target=copy_context().run, args=(add, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    await client.request(engines.application(handler), "/")
    assert client.timeline == [["send"] * 160, "start", "last byte"]
    assert len({to(message) for message in engines.memory.asked[0]}) == 160


async def test_hundreds_of_requests_to_two_applications_on_one_backend() -> None:
    """Each task is accepted once, under the application and the module that it was added in."""
    memory = Memory()

    def shop(name: str) -> App:
        def feature(path: str) -> Any:
            @get(path)
            async def handler(number: int, tasks: BackgroundTasks) -> None:
                await anyio.lowlevel.checkpoint()
                tasks.add_task(send, f"{name}{path} {number}")

            return module(f"Feature{path[1:]}", routers=[handler])

        backends = {"durable": MemoryBackend(memory=memory, embedded=False)}
        tasks = BackgroundTasksModule.setup(name=name, tasks=[send], backends=backends)
        return application(tasks=tasks, modules=[feature("/a"), feature("/b")])

    apps = {name: shop(name) for name in ("first", "second")}
    calls = [
        partial(request, app, path, query=f"number={number}")
        for number in range(100)
        for app in apps.values()
        for path in ("/a", "/b")
    ]
    clients = await concurrently(calls)
    assert {client.status for client in clients} == {200}
    found: Counter[str] = Counter()
    for (application_name, _), kept in memory.kept.items():
        envelope = Envelope.from_bytes(kept.message.body)
        assert envelope.application == application_name
        assert envelope.module is not None
        [text] = envelope.arguments["args"]
        assert text.startswith(f"{application_name}/{envelope.module[-1]} ")
        found[text] += 1
    assert (len(found), set(found.values())) == (400, {1})


async def test_unique_keys_are_accepted_once(log: Log) -> None:
    """In one request and across: who adds another task gets the reference of the first, and one line says so."""
    engines = Engines()
    log_level = logging.getLogger("bg_di")
    references: list[TaskReference] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        once = tasks.using(unique_key="ada", unique_for=60)
        references.extend([once.add_task(send, "ada"), once.add_task(send, "ada")])

    app = engines.application(handler)
    log_level.setLevel(logging.INFO)
    try:
        await request(app, "/")
        await request(app, "/")
    finally:
        log_level.setLevel(logging.NOTSET)
    first = engines.memory.one().message
    assert first.unique_until == first.due_at + 60
    assert {reference.task_id for reference in references} == {first.task_id}
    stands = f"{first.task_id} has the same unique key and stands for it"
    assert log.messages == [f"background task send of GET / was not accepted anew: {stands}"] * 3
    assert {record.levelname for record in log.records} == {"INFO"}


async def test_what_a_call_has_of_its_own_travels() -> None:
    """Its delay, its timeout, the context variables of `carry=`, and the module of the code that added it."""
    engines = Engines()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        TENANT.set("acme")
        tasks.using(delay=timedelta(seconds=90), timeout=3).add_task(send, "a")

    app = engines.application(handler, options={"carry": [TENANT, UNSET]})
    await request(app, "/")
    message = engines.memory.one().message
    envelope = Envelope.from_bytes(message.body)
    assert (message.task_id, message.name, message.unique_key) == (envelope.task_id, "send", None)
    assert message.due_at == message.added_at + 90
    assert (envelope.delay, envelope.timeout, envelope.carried) == (90, 3, {"tenant": "acme"})
    assert envelope.module == "tests.harness:Feature"
    async with collect_background_tasks(app) as tasks:
        tasks.add_task(send, "from the root")
    _, envelope = (Envelope.from_bytes(kept.message.body) for kept in engines.memory.kept.values())
    assert (envelope.module, envelope.delay, envelope.timeout) == (None, None, None)


WHEN: tuple[Literal["success", "failure", "always"], ...] = ("success", "failure", "always")


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_to_run_whatever_happens_is_handed_over_either_way(fails: bool) -> None:
    """What goes by success or failure goes by that."""
    engines = Engines()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for when in WHEN:
            tasks.using(when=when).add_task(send, when)
        if fails:
            raise ZeroDivisionError

    await request(engines.application(handler), "/")
    sent = [Envelope.from_bytes(kept.message.body).arguments["args"] for kept in engines.memory.kept.values()]
    assert sent == [["failure"], ["always"]] if fails else [["success"], ["always"]]


async def test_observers_hear_of_it() -> None:
    """Added, then accepted; never released, which says that it runs here."""
    engines = Engines()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")

    await request(engines.application(handler, options={"observers": [engines.watched()]}), "/")
    assert engines.events() == [("added", "send"), ("accepted", "send")]
    assert [record.state for _, record in engines.heard] == ["waiting", "accepted"]
    assert len({record.task_id for _, record in engines.heard}) == 1
