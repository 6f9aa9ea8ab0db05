"""Promise 12: if a task is not accepted, the client gets 503 instead, and each task is named."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import anyio
import pytest
from ellar.common import IExecutionContext, get
from ellar.common import Response as Injected
from ellar.di import ProviderConfig
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import (
    BackgroundTasks,
    BackgroundTasksNotAccepted,
    TaskErrorHandler,
    TaskFailure,
    collect_background_tasks,
    current_background_tasks,
)
from bg_di.backends import Message
from bg_di.wire import Envelope
from tests import results
from tests.everywhere import AROUND, PLACES, everywhere
from tests.handing_over import ON_ASYNCIO, REFUSED, RUN_AFTER, UNKNOWN, Engines, answers, bill, hangs, raises, send
from tests.harness import Client, Log, application, concurrently, request, wrap

pytestmark = ON_ASYNCIO


def is_refused(client: Client, retry_after: str = "5") -> bool:
    assert (client.status, client.header("retry-after")) == (503, retry_after)
    assert client.json() == {"detail": "Service Unavailable", "status_code": 503}
    assert client.complete
    assert [message["type"] for message in client.messages] == ["http.response.start", "http.response.body"]
    return True


def why(error: BaseException) -> BackgroundTasksNotAccepted:
    assert isinstance(error, BackgroundTasksNotAccepted)
    return error


@RUN_AFTER
@pytest.mark.parametrize("kind", results.KINDS)
async def test_the_client_gets_503_and_nothing_else(kind: str, run_after: str, log: Log) -> None:
    """Whatever the handler returns. For its other tasks that is as if it had failed."""
    engines, client = Engines(), Client()
    engines.memory.answer = answers(REFUSED)
    ran: list[str] = []

    def add(tasks: Any) -> None:
        tasks.add_task(send, "a")
        tasks.add_task(ran.append, "success")
        tasks.using(when="failure").add_task(ran.append, "failure")
        tasks.using(when="always").add_task(ran.append, "always")
        tasks.using(when="failure").add_task(send, "b")

    options = {"run_after": run_after, "retry_after": 7.5}
    app = engines.application(results.route(kind, add), options=options, base_directory=results.DOCUMENT.parent)
    await client.request(app, "/")
    assert client.error is None
    assert is_refused(client, "8")
    assert ran == ["failure", "always"]
    assert [failure.task.args or failure.task.kwargs for failure in engines.failures] == [("a",), ("b",)]
    assert [record.name for record in why(engines.failures[0].error).refused] == ["send"]
    [dropped] = log.messages
    assert dropped.startswith("background task builtins:list.append of GET / was dropped: its response was refused: ")


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("path", PLACES)
async def test_wherever_the_task_was_added(path: str, around: str) -> None:
    """Each is named once, as not accepted within `accept_timeout`."""
    engines, client = Engines(), Client()
    engines.memory.answer = hangs
    method, status, added = PLACES[path]
    tasks = [*added, *AROUND[around][1]]
    app = everywhere(engines, around, accept_timeout=0.01)
    await client.request(app, path, method=method, headers=[("accept-encoding", "gzip")])
    assert is_refused(client) if tasks else client.status == status
    assert client.error is None or path == "/breaks"
    named = [failure for failure in engines.failures if failure.name == "send"]
    assert sorted(str(failure.task.args[0]) for failure in named) == sorted(tasks)
    assert {str(failure.error).count("has not answered within accept_timeout=0.01") for failure in named} <= {1}
    for failure in named:
        assert len(why(failure.error).unknown) == len(tasks)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_an_endless_stream_ends(spec: str, around: str) -> None:
    """As for a client that has gone, by the words of the version of ASGI that the server speaks."""
    engines, client = Engines(), Client(spec=spec)
    engines.memory.answer = answers(REFUSED)
    closed = asyncio.Event()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    await asyncio.sleep(0)
                    yield b"x" * 1000
            finally:
                closed.set()

        tasks.add_task(send, "a")
        return StreamingResponse(body())

    await client.request(wrap(engines.application(handler), *AROUND[around][0]), "/")
    assert is_refused(client)
    assert client.error is None
    gc.collect()  # Starlette's group of tasks is in a cycle with the error that ended the stream
    async with asyncio.timeout(20):  # the event loop finalizes what nobody iterates any more
        await closed.wait()


async def test_whoever_listens_afterwards_hears_that_the_client_has_gone() -> None:
    """As when a response has been sent by hand, in messages that go nowhere."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)
    heard: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks, ctx: IExecutionContext) -> None:
        tasks.add_task(send, "a")
        _, receive, send_ = ctx.get_args()
        await send_({"type": "http.response.start", "status": 200, "headers": []})
        await send_({"type": "http.response.body", "body": b"never"})
        heard.append((await receive())["type"])

    assert is_refused(await request(engines.application(handler), "/"))
    assert heard == ["http.disconnect"]


@RUN_AFTER
@pytest.mark.parametrize("returned", ["dict", "stream", "injected"])
async def test_the_own_background_of_the_response_is_dropped(returned: str, run_after: str, log: Log) -> None:
    """It was to run after a response that nobody gets."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)
    background = BackgroundTask(print, "never")

    @get("/dict")
    async def plain(tasks: BackgroundTasks) -> Response:
        tasks.add_task(send, "a")
        return JSONResponse({}, background=background)

    @get("/stream")
    async def stream(tasks: BackgroundTasks) -> Response:
        tasks.add_task(send, "a")
        return StreamingResponse(iter(["x"]), background=background)

    @get("/injected")
    async def injected(tasks: BackgroundTasks, res: Injected) -> dict[str, str]:
        tasks.add_task(send, "a")
        res.background = background
        return {}

    app = engines.application(plain, stream, injected, options={"run_after": run_after})
    assert is_refused(await request(app, f"/{returned}"))
    [message] = log.messages
    assert message.startswith(
        f"background task builtins:print of GET /{returned} was dropped: its response was refused"
    )


async def test_tasks_of_middleware_run_all_the_same() -> None:
    """They are its own, and it has not failed."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)
    ran: list[str] = []

    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        current_background_tasks().add_task(ran.append, "before")
        response = await call_next(request)
        current_background_tasks().add_task(ran.append, "after")
        return response

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")

    app = wrap(engines.application(handler), Middleware(BaseHTTPMiddleware, dispatch=dispatch))
    assert is_refused(await request(app, "/"))
    assert ran == ["before", "after"]


@RUN_AFTER
async def test_a_response_that_middleware_holds_back_is_refused_when_it_leaves(run_after: str, log: Log) -> None:
    """The route has ended by then, and its tasks are dropped all the same."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)

    class HoldsBack:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            messages: list[Any] = []

            async def keep(message: Any) -> None:
                messages.append(message)

            await self.app(scope, receive, keep)
            for message in messages:
                await send(message)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")
        tasks.add_task(print, "never")

    app = wrap(engines.application(handler, options={"run_after": run_after}), Middleware(HoldsBack))
    assert is_refused(await request(app, "/"))
    [message] = log.messages
    assert message.startswith("background task builtins:print of GET / was dropped: its response was refused")


@RUN_AFTER
async def test_the_error_handler_may_add_tasks(run_after: str) -> None:
    """They are not those of the route, which counts as failed."""
    ran: list[str] = []

    class Alerting(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            await anyio.lowlevel.checkpoint()
            current_background_tasks().add_task(ran.append, f"alert about {failure.name}")

    engines = Engines()
    engines.memory.answer = answers(REFUSED)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")

    setup = engines.setup(run_after=run_after)
    app = application(handler, tasks=setup, providers=[ProviderConfig(TaskErrorHandler, use_class=Alerting)])
    assert is_refused(await request(app, "/"))
    assert ran == ["alert about send"]


async def test_one_engine_accepts_and_the_other_does_not(log: Log) -> None:
    """What one has accepted runs, and the error says so."""
    engines = Engines()
    engines.other.answer = answers(UNKNOWN)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")
        tasks.add_task(bill, 1)

    app = engines.application(handler, options={"observers": [engines.watched()]})
    assert is_refused(await request(app, "/"))
    [failure] = engines.failures
    error = why(failure.error)
    assert failure.name == "bill"
    assert [[record.name for record in records] for records in (error.refused, error.unknown, error.accepted)] == [
        [],
        ["bill"],
        ["send"],
    ]
    assert engines.sent() == ["send"]
    sent, billed = error.accepted[0].task_id, error.unknown[0].task_id
    assert str(error) == (
        f"background tasks were not accepted (tasks.db failed while it was written). unknown, may run all the same: "
        f"bill ({billed}); accepted all the same: send ({sent})"
    )
    assert engines.events() == [("added", "send"), ("added", "bill"), ("accepted", "send"), ("refused", "bill")]
    refused = engines.heard[-1][1]
    assert (refused.task_id, refused.state, refused.reason) == (billed, "failed", str(UNKNOWN))


async def test_one_engine_may_answer_differently_for_each_task() -> None:
    """Accepted, refused and unknown in one batch."""
    engines = Engines()
    engines.memory.answer = answers(None, REFUSED, UNKNOWN)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for each in ("accepted", "refused", "unknown"):
            tasks.add_task(send, each)

    assert is_refused(await request(engines.application(handler), "/"))
    assert [failure.task.args for failure in engines.failures] == [("refused",), ("unknown",)]
    error = why(engines.failures[0].error)
    assert engines.failures[1].error is error
    assert [len(records) for records in (error.accepted, error.refused, error.unknown)] == [1, 1, 1]
    assert error.why == (str(REFUSED), str(UNKNOWN))


async def wrong_number(messages: Sequence[Message]) -> list[Any]:
    return [None] * (len(messages) + 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (raises(ZeroDivisionError("x")), "the backend 'durable' failed: ZeroDivisionError: x"),
        (raises(TimeoutError("its own")), "the backend 'durable' failed: TimeoutError: its own"),
        (raises(asyncio.CancelledError()), "the backend 'durable' failed: asyncio.exceptions.CancelledError"),
        (wrong_number, "the backend 'durable' failed: ValueError: zip() argument 2 is longer than argument 1"),
        (answers("yes"), "the backend 'durable' has answered with a 'str', which says nothing"),
        (answers(ValueError()), "the backend 'durable' has answered with a 'ValueError', which says nothing"),
    ],
)
async def test_whatever_an_engine_does_its_tasks_are_named(answer: Any, said: str) -> None:
    """They may have been taken: nobody knows."""
    engines = Engines()
    engines.memory.answer = answer

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")

    assert is_refused(await request(engines.application(handler), "/"))
    [failure] = engines.failures
    error = why(failure.error)
    assert (error.why, len(error.unknown), error.refused, error.accepted) == ((said,), 1, (), ())


async def test_an_engine_that_cannot_be_reached_refuses_all() -> None:
    """It is certain that it has nothing."""
    engines = Engines()
    engines.memory.answer = raises(REFUSED)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")
        tasks.add_task(send, "b")

    assert is_refused(await request(engines.application(handler), "/"))
    assert [len(why(failure.error).refused) for failure in engines.failures] == [2, 2]


async def test_the_next_response_is_accepted_again() -> None:
    """A refusal is that of one request."""
    engines = Engines()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(send, "a")

    app = engines.application(handler)
    engines.memory.answer = answers(REFUSED)
    assert is_refused(await request(app, "/"))
    engines.memory.answer = None
    assert (await request(app, "/")).status == 200


async def test_each_of_hundreds_of_requests_has_an_answer_of_its_own() -> None:
    """Who was refused gets 503, all others what they asked for; each task is accepted or named, once."""
    engines = Engines()

    async def answer(messages: Sequence[Message]) -> list[Any]:
        await anyio.lowlevel.checkpoint()
        return [REFUSED if number_of(message) % 3 == 0 else None for message in messages]

    def number_of(message: Message) -> int:
        return int(Envelope.from_bytes(message.body).arguments["args"][0])

    engines.memory.answer = answer

    @get("/")
    async def handler(number: int, tasks: BackgroundTasks) -> dict[str, int]:
        await anyio.lowlevel.checkpoint()
        tasks.add_task(send, str(number))
        return {"number": number}

    app = engines.application(handler)
    clients = await concurrently([partial(request, app, "/", query=f"number={number}") for number in range(300)])
    for number, client in enumerate(clients):
        assert client.json() == {"number": number} if number % 3 else is_refused(client)
    accepted = sorted(number_of(kept.message) for kept in engines.memory.kept.values())
    named = sorted(int(str(failure.task.args[0])) for failure in engines.failures)
    assert (accepted, named) == ([n for n in range(300) if n % 3], list(range(0, 300, 3)))


@RUN_AFTER
async def test_a_failure_after_the_start_is_an_error_with_name_and_id(run_after: str, log: Log) -> None:
    """The response has gone out, and stays as it is."""
    engines = Engines()
    batches = iter([None, REFUSED])

    async def answer(messages: Sequence[Message]) -> Any:
        return [next(batches)] * len(messages)

    engines.memory.answer = answer

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            tasks.add_task(send, "second")

        tasks.add_task(send, "first")
        return StreamingResponse(body())

    app = application(handler, tasks=engines.setup(run_after=run_after))
    client = await request(app, "/")
    assert (client.status, client.body, client.error) == (200, b"one", None)
    [record] = log.records
    late = engines.memory.asked[1][0].task_id
    assert (record.levelname, record.getMessage()) == ("ERROR", f"background task send of GET / ({late}) failed")
    assert f"refused: send ({late})" in log.text


async def test_arguments_are_in_no_line_and_in_no_error(log: Log) -> None:
    """Unless somebody wants it."""
    for log_arguments in (False, True):
        engines = Engines()
        engines.memory.answer = answers(None, REFUSED)

        @get("/")
        async def handler(tasks: BackgroundTasks) -> None:
            tasks.add_task(send, "s3cret")
            tasks.add_task(send, to="s3cret")

        options = {"log_arguments": log_arguments, "observers": [engines.watched()]}
        app = application(handler, tasks=engines.setup(**options))
        assert is_refused(await request(app, "/"))
        assert ("s3cret" in log.text) is log_arguments
        assert "s3cret" not in repr(engines.heard)
        assert "s3cret" not in repr(engines.memory)
    assert log.messages[-1].endswith(" failed; it was called with (to='s3cret')")


async def test_a_block_outside_of_requests_raises(log: Log) -> None:
    """With all that was not accepted in one error; what it has for the process has run."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)
    app = engines.application()
    ran: list[str] = []

    async def block() -> None:
        async with collect_background_tasks(app) as tasks:
            tasks.add_task(send, "a")
            tasks.add_task(ran.append, "here")
            tasks.add_task(send, "b")

    with pytest.raises(BackgroundTasksNotAccepted) as caught:
        await block()
    assert ([record.path for record in caught.value.refused], ran) == (["outside", "outside"], ["here"])
    assert len(engines.failures) == 2


async def test_a_block_that_fails_raises_its_own_error() -> None:
    """What it added is dropped; what waits for its failure is handed over, and named if that is refused."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)

    async def block() -> None:
        async with collect_background_tasks(engines.application()) as tasks:
            tasks.add_task(send, "dropped")
            tasks.using(when="failure").add_task(send, "failure")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert [failure.task.args for failure in engines.failures] == [("failure",)]


async def test_a_nested_block_may_be_excused() -> None:
    """Who catches the error goes on with the request."""
    engines = Engines()
    engines.memory.answer = answers(REFUSED)

    @get("/")
    async def handler() -> dict[str, str]:
        try:
            async with collect_background_tasks(app) as tasks:
                tasks.add_task(send, "a")
        except BackgroundTasksNotAccepted:
            return {"mail": "later"}
        return {}

    app = engines.application(handler)
    client = await request(app, "/")
    assert (client.status, client.json()) == (200, {"mail": "later"})
