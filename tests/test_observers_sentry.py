"""`SentryObserver`: with the real SDK, which sends into a list."""

import asyncio
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import pytest
import sentry_sdk
from ellar.app import App
from ellar.common import get
from ellar.di import ProviderConfig
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.transport import Transport

from bg_di import (
    BackgroundTasks,
    BackgroundTasksModule,
    Retry,
    TaskErrorHandler,
    TaskFailure,
    background_task,
    current_background_tasks,
)
from bg_di.observers.sentry import SentryObserver
from bg_di.observing.observer import TaskObserver
from tests.harness import Log, application, concurrently, request

SECRET = uuid4().hex


class Sent(Transport):
    """Keeps what would be sent to Sentry."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[tuple[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.items += [(item.headers["type"], json.loads(item.get_bytes())) for item in envelope.items]

    def of(self, kind: str) -> list[Any]:
        return [payload for kept, payload in self.items if kept == kind]

    @property
    def events(self) -> list[Any]:
        return self.of("event")


Start = Callable[..., Sent]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the SDK as a user does, with all integrations that it enables by itself."""

    def init(**options: Any) -> Sent:
        sent = Sent()
        sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=sent, **options)
        return sent

    yield init
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_global_scope().clear()


def plain(app: Any) -> Any:
    return app


def wrapped_by_sentry(app: Any) -> Any:
    """Ellar's App is none of Starlette's, which the SDK would wrap by itself."""
    return SentryAsgiMiddleware(app)


WRAPPED = pytest.mark.parametrize("wrapped", [plain, wrapped_by_sentry])


def adding(add: Callable[[BackgroundTasks], Any], *observers: Any, on_error: str = "stop", **more: Any) -> App:
    """An application whose one route adds tasks."""

    @get("/{item}")
    async def handler(item: str, tasks: BackgroundTasks) -> None:
        add(tasks)

    tasks = BackgroundTasksModule.setup(observers=observers or [SentryObserver], on_error=on_error)
    return application(handler, tasks=tasks, **more)


@background_task(name="works")
async def works(secret: str) -> None: ...


@background_task(name="fails")
async def fails(secret: str) -> None:
    await anyio.lowlevel.checkpoint()
    raise ValueError("on purpose")


@background_task(name="fails_in_a_thread")
def fails_in_a_thread(secret: str) -> None:
    sentry_sdk.set_tag("of the thread", "kept")
    raise ValueError("on purpose")


@background_task(name="cancels_itself")
async def cancels_itself(secret: str) -> None:
    raise asyncio.CancelledError


@background_task(name="takes_too_long", timeout=0.01)
async def takes_too_long(secret: str) -> None:
    await anyio.sleep_forever()


FAILING = pytest.mark.parametrize(
    ("task", "error"),
    [
        (fails, "ValueError"),
        (fails_in_a_thread, "ValueError"),
        (cancels_itself, "CancelledError"),
        (takes_too_long, "TaskTimedOut"),
    ],
    ids=lambda of: getattr(of, "__name__", of),
)


@FAILING
@WRAPPED
@pytest.mark.parametrize("disabled", [[], [DedupeIntegration]], ids=["deduplicated", "not deduplicated"])
async def test_a_failed_task_is_one_event(task: Any, error: str, wrapped: Any, disabled: Any, start: Start) -> None:
    """Although the default error handler logs it too, and however it failed; no argument is sent."""
    sent = start(disabled_integrations=disabled, include_local_variables=False)
    await request(wrapped(adding(lambda tasks: tasks.add_task(task, SECRET))), "/x")
    [event] = sent.events
    assert (event["transaction"], event["transaction_info"]) == (task.__name__, {"source": "task"})
    assert [each["type"] for each in event["exception"]["values"]] == [error]
    context = event["contexts"]["background_task"]
    assert context.pop("task_id") == event["tags"]["task_id"]
    assert context == {"name": task.__name__, "method": "GET", "path": "/x", "attempt": 1}
    assert ("of the thread" in event["tags"]) == (task is fails_in_a_thread)
    assert SECRET not in json.dumps(sent.items)


async def test_an_error_handler_that_reports_to_sentry_makes_no_second_event(start: Start) -> None:
    """It runs in the context of the task, where Sentry's own deduplication knows the error."""
    sent = start()

    class Reporting(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            await anyio.lowlevel.checkpoint()
            sentry_sdk.capture_exception(failure.error)

    provided: list[Any] = [ProviderConfig(TaskErrorHandler, use_class=Reporting)]
    await request(adding(lambda tasks: tasks.add_task(fails, SECRET), providers=provided), "/x")
    assert len(sent.events) == 1


async def test_other_errors_that_are_logged_reach_sentry(start: Start) -> None:
    """Of an error handler and of another observer, although they come between the capture and its line."""
    sent = start()

    class Broken(TaskObserver):
        def task(self, record: Any) -> Any:
            return self

        def __enter__(self) -> None: ...

        def __exit__(self, *ended: Any) -> None:
            raise KeyError("the observer's")

    class Misled(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            raise RuntimeError("the handler's")

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(fails, SECRET)

    provided: list[Any] = [ProviderConfig(TaskErrorHandler, use_class=Misled)]
    await request(adding(add, SentryObserver, providers=provided), "/x")
    assert [event["exception"]["values"][-1]["type"] for event in sent.events] == ["ValueError", "RuntimeError"]
    sent.items.clear()
    await request(adding(add, Broken(), SentryObserver), "/x")
    assert [event["exception"]["values"][-1]["type"] for event in sent.events] == ["ValueError", "KeyError"]


async def test_attempts_that_fail_are_no_event_if_one_succeeds(start: Start) -> None:
    """A task has failed when its last attempt has."""
    sent, tried = start(), list[int]()

    def flaky(failures: int) -> Any:
        retry = Retry(on=ValueError, attempts=3, wait_initial=0, wait_jitter=0)

        @background_task(name=f"fails {failures} times", retry=retry)
        async def task() -> None:
            tried.append(failures)
            if tried.count(failures) <= failures:
                raise ValueError

        return task

    await request(adding(lambda tasks: [tasks.add_task(flaky(failures)) for failures in (0, 2, 3)]), "/x")
    assert (tried.count(2), tried.count(3)) == (3, 3)
    [event] = sent.events
    assert event["transaction"] == "fails 3 times"
    assert event["contexts"]["background_task"]["attempt"] == 3


async def test_a_cancelled_task_has_not_failed(start: Start) -> None:
    """That it was cut off, and that another one never started, are lines of the log, which Sentry gets as such."""
    sent, runs = start(traces_sample_rate=1.0), anyio.Event()

    @background_task(name="stays")
    async def stays() -> None:
        runs.set()
        await anyio.sleep_forever()

    app = adding(lambda tasks: (tasks.add_task(stays), tasks.add_task(works, SECRET)))
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/x")
        await runs.wait()
        group.cancel_scope.cancel()
    lines = [event["logentry"]["formatted"] for event in sent.events]
    assert [line.split(":")[0] for line in lines] == [
        "background task stays of GET /x was cut off while it ran",
        "background task works of GET /x never started",
    ]
    assert not any("exception" in event for event in sent.events)
    [transaction] = sent.of("transaction")
    assert "status" not in transaction["contexts"]["trace"]


async def test_what_does_not_run_is_no_event(start: Start) -> None:
    """What is dropped or skipped is a warning."""
    sent = start()

    def add(tasks: BackgroundTasks) -> None:
        tasks.using(when="failure").add_task(works, SECRET)
        tasks.add_task(fails, SECRET)
        tasks.add_task(works, SECRET)

    await request(adding(add), "/x")
    assert [event["transaction"] for event in sent.events] == ["fails"]


@WRAPPED
async def test_nothing_leaks_into_the_next_task_or_request(wrapped: Any, start: Start) -> None:
    """Neither tags, breadcrumbs, a user nor the name; what the request has set, its tasks see."""
    sent = start()

    def marks(name: str) -> Any:
        @background_task(name=name)
        async def task() -> None:
            sentry_sdk.set_tag(name, "set")
            sentry_sdk.set_user({"id": name})
            sentry_sdk.add_breadcrumb(message=name)
            await anyio.lowlevel.checkpoint()
            raise ValueError

        return task

    @get("/add")
    async def handler(tasks: BackgroundTasks) -> None:
        sentry_sdk.get_current_scope().set_tag("route", "set")
        tasks.add_task(marks("first"))
        tasks.add_task(marks("second"))

    @get("/next")
    async def after() -> None:
        sentry_sdk.capture_message("the next request")

    app = application(
        handler, after, tasks=BackgroundTasksModule.setup(observers=[SentryObserver], on_error="continue")
    )
    with sentry_sdk.isolation_scope() as around:
        await request(wrapped(app), "/add")
        await request(wrapped(app), "/next")
        assert "first" not in around._tags
    first, second, other = sent.events
    for event, own, foreign in ((first, "first", "second"), (second, "second", "first")):
        assert (event["transaction"], event["user"]["id"]) == (own, own)
        assert event["tags"].keys() == {"route", own, "task_id"}
        crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
        assert own in crumbs
        assert foreign not in crumbs
    assert not {"first", "second", "task_id"} & other.get("tags", {}).keys()
    assert "user" not in other
    assert "background_task" not in other["contexts"]
    assert other.get("transaction") not in {"first", "second"}


async def test_a_task_that_a_task_has_added_has_a_scope_of_its_own(start: Start) -> None:
    """It begins with what the adding one has set, under its own name."""
    sent = start(traces_sample_rate=1.0)

    @background_task(name="adds")
    async def adds() -> None:
        sentry_sdk.set_tag("adding", "set")
        current_background_tasks().add_task(fails_in_a_thread, SECRET)
        current_background_tasks().add_task(fails, SECRET)

    await request(wrapped_by_sentry(adding(lambda tasks: tasks.add_task(adds), on_error="continue")), "/x")
    assert [(event["transaction"], *sorted(event["tags"])) for event in sent.events] == [
        ("fails_in_a_thread", "adding", "of the thread", "task_id"),
        ("fails", "adding", "task_id"),
    ]
    assert len({event["tags"]["task_id"] for event in sent.events}) == 2
    *tasks, its_request = sent.of("transaction")
    assert [each["transaction"] for each in tasks] == ["adds", "fails_in_a_thread", "fails"]
    parents = {each["contexts"]["trace"]["parent_span_id"] for each in tasks}
    assert parents == {its_request["contexts"]["trace"]["span_id"]}


async def test_concurrent_requests_of_two_applications_are_told_apart(start: Start) -> None:
    """Each of hundreds of events has the marks of its own task only."""
    sent = start()

    @background_task(name="marks")
    async def marks(mark: str) -> None:
        sentry_sdk.set_tag("mark", mark)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        sentry_sdk.add_breadcrumb(message=mark)
        await anyio.lowlevel.checkpoint()
        raise ValueError(mark)

    def app(which: str) -> Any:
        @get("/{number}")
        async def handler(number: int, tasks: BackgroundTasks) -> None:
            tasks.add_task(marks, f"{which}{number}")
            await anyio.lowlevel.checkpoint()
            tasks.add_task(marks, f"{which}{number}, too")

        setup = BackgroundTasksModule.setup(observers=[SentryObserver], on_error="continue")
        return wrapped_by_sentry(application(handler, tasks=setup))

    apps = [app("a"), app("b")]
    await concurrently([partial(request, each, f"/{number}") for number in range(150) for each in apps])
    assert len(sent.events) == 600
    for event in sent.events:
        mark = event["exception"]["values"][-1]["value"]
        assert (event["tags"]["mark"], event["transaction"]) == (mark, "marks")
        assert event["contexts"]["background_task"]["path"] == "/" + mark.split(",")[0][1:]
        crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb.get("type") != "log"]
        assert crumbs == [mark]
    assert len({event["tags"]["task_id"] for event in sent.events}) == 600


async def test_a_task_is_a_transaction_in_the_trace_of_its_request(start: Start) -> None:
    """One for each, and the request keeps its name."""
    sent = start(traces_sample_rate=1.0)
    app = adding(lambda tasks: (tasks.add_task(works, SECRET), tasks.add_task(fails, SECRET)))
    await request(wrapped_by_sentry(app), "/x")
    first, second, its_request = sent.of("transaction")
    for transaction, name in ((first, "works"), (second, "fails")):
        trace = transaction["contexts"]["trace"]
        assert (transaction["transaction"], transaction["transaction_info"]) == (name, {"source": "task"})
        assert trace["op"] == "queue.task"
        assert trace["trace_id"] == its_request["contexts"]["trace"]["trace_id"]
        assert trace["parent_span_id"] == its_request["contexts"]["trace"]["span_id"]
    assert its_request["transaction"] not in {"works", "fails"}
    assert [each["contexts"]["trace"].get("status") for each in (first, second)] == [None, "internal_error"]
    [event] = sent.events
    assert event["contexts"]["trace"]["span_id"] == second["contexts"]["trace"]["span_id"]


async def test_without_a_trace_around_it_a_task_begins_its_own(start: Start) -> None:
    """Otherwise one decision to sample would be that of all tasks of the process."""
    sent = start(traces_sample_rate=1.0)
    await request(adding(lambda tasks: [tasks.add_task(works, SECRET) for _ in range(2)]), "/x")
    assert [each["transaction"] for each in sent.of("transaction")] == ["works", "works"]
    assert len({each["contexts"]["trace"]["trace_id"] for each in sent.of("transaction")}) == 2


async def test_where_spans_are_streamed_a_task_is_a_segment(start: Start) -> None:
    """The SDK knows no transactions then."""
    sent = start(traces_sample_rate=1.0, trace_lifecycle="stream")
    await request(wrapped_by_sentry(adding(lambda tasks: tasks.add_task(fails, SECRET))), "/x")
    sentry_sdk.flush()
    spans = [span for envelope in sent.of("span") for span in envelope["items"]]
    [of_the_task] = [span for span in spans if span["name"] == "fails"]
    assert of_the_task["is_segment"]
    assert of_the_task["attributes"]["sentry.op"]["value"] == "queue.task"
    assert {span["trace_id"] for span in spans} == {of_the_task["trace_id"]}
    assert sent.of("transaction") == []
    assert [event["transaction"] for event in sent.events] == ["fails"]


@pytest.mark.parametrize("given", ["an instance", "a class", "a bound class"])
async def test_it_is_given_as_an_instance_or_a_class(given: str, start: Start) -> None:
    """The container builds the class."""
    sent = start()
    observer = SentryObserver() if given == "an instance" else SentryObserver
    bound = [SentryObserver] if given == "a bound class" else []
    await request(adding(lambda tasks: tasks.add_task(fails, SECRET), observer, providers=bound), "/x")
    assert len(sent.events) == 1


async def test_without_a_client_it_does_nothing(log: Log) -> None:
    """As nobody has started the SDK."""
    await request(adding(lambda tasks: tasks.add_task(fails, SECRET)), "/x")
    [message] = log.messages
    assert re.fullmatch(r"background task fails of GET /x \(\w+\) failed", message)


def test_without_the_sdk_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    monkeypatch.delitem(sys.modules, "bg_di.observers.sentry")
    with pytest.raises(ImportError, match=r"pip install 'bg_di\[sentry\]'"):
        importlib.import_module("bg_di.observers.sentry")
