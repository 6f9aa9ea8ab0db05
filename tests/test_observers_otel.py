"""Tasks in OpenTelemetry: one span each, linked to the request's, and metrics of low cardinality."""

import asyncio
import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import starlette.applications
from ellar.common import Inject, get
from ellar.core import mount
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv._incubating.metrics.messaging_metrics import MESSAGING_PROCESS_DURATION
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from bg_di import (
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksMonitor,
    Retry,
    TaskObserver,
    TaskRecord,
    background_task,
    current_background_tasks,
)
from bg_di.observers.otel import OpenTelemetryObserver
from tests.harness import Log, application, concurrently, module, request, wrap
from tests.test_08_service_tasks import adding

RUN_AFTER = pytest.mark.parametrize("run_after", ["response", "request"])


class Telemetry:
    """Providers of a test's own, and what they export."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.providers: dict[str, Any] = {"tracer_provider": self.tracers, "meter_provider": self.meters}
        self.tracer = self.tracers.get_tracer("tests")

    def module(self, **options: Any) -> Any:
        return BackgroundTasksModule.setup(observers=[OpenTelemetryObserver(**self.providers)], **options)

    def around(self, app: ASGIApp) -> Any:
        return OpenTelemetryMiddleware(app, **self.providers)

    def spans(self, kind: SpanKind = SpanKind.CONSUMER) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.kind is kind]

    def metrics(self) -> dict[str, Any]:
        data: Any = self._reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes if scope.scope.name == "bg_di" for metric in scope.metrics}

    def sums(self, name: str) -> dict[Any, int]:
        """What a metric counts, by the task's name and the outcome."""
        return {
            (point.attributes["messaging.destination.name"], point.attributes.get("bg_di.task.outcome")): (
                point.count if name == MESSAGING_PROCESS_DURATION else point.value
            )
            for point in self.metrics()[name].data.data_points
        }

    def at_work(self) -> set[int]:
        """Each number of waiting and of running tasks that there is now, for any name."""
        return {*self.sums("bg_di.task.waiting").values(), *self.sums("bg_di.task.running").values()}

    def exported(self) -> str:
        spans = [span.to_json() for span in self._exporter.get_finished_spans()]
        return "\n".join([*spans, str(self._reader.get_metrics_data().to_json())])  # type: ignore[union-attr]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def attributes(of: Any) -> dict[str, Any]:
    return dict(of.attributes or {})


def context_of(span: ReadableSpan) -> trace.SpanContext:
    found: trace.SpanContext | None = span.context
    assert found is not None
    return found


def links(span: ReadableSpan) -> list[trace.SpanContext]:
    return [link.context for link in span.links]


@background_task(name="nothing")
async def nothing() -> None: ...


@background_task(name="fails")
async def fails() -> None:
    raise ValueError("on purpose")


def never() -> None:
    raise AssertionError("never runs")


@RUN_AFTER
@pytest.mark.parametrize("place", ["outside", "inside"])
async def test_a_task_has_one_span_linked_to_the_requests_and_child_of_nothing(
    place: str, run_after: str, telemetry: Telemetry
) -> None:
    """Wherever the instrumentation of ASGI stands."""
    app: Any = application(adding(lambda tasks: tasks.add_task(nothing)), tasks=telemetry.module(run_after=run_after))
    if place == "outside":
        app = telemetry.around(app)
    else:
        wrap(app, Middleware(OpenTelemetryMiddleware, **telemetry.providers))
    await request(app, "/")
    [server], [span] = telemetry.spans(SpanKind.SERVER), telemetry.spans()
    assert span.name == "process nothing"
    assert span.parent is None
    assert context_of(span).trace_id != context_of(server).trace_id
    assert links(span) == [context_of(server)]
    assert span.status.status_code is StatusCode.UNSET
    given = attributes(span)
    assert given.pop("messaging.message.id")
    assert given == {
        "messaging.system": "bg_di",
        "messaging.destination.name": "nothing",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "bg_di.task.outcome": "succeeded",
    }


async def test_the_span_it_is_linked_to_may_have_ended(telemetry: Telemetry) -> None:
    """Which is why it is no child of it."""
    app = application(adding(lambda tasks: tasks.add_task(nothing)), tasks=telemetry.module(run_after="request"))
    await request(wrap(app, Middleware(OpenTelemetryMiddleware, **telemetry.providers)), "/")
    [server], [span] = telemetry.spans(SpanKind.SERVER), telemetry.spans()
    assert server.end_time is not None
    assert span.start_time is not None
    assert server.end_time <= span.start_time


async def test_without_a_span_there_is_nothing_to_link_to(telemetry: Telemetry) -> None:
    """Nobody traces the request."""
    await request(application(adding(lambda tasks: tasks.add_task(nothing)), tasks=telemetry.module()), "/")
    [span] = telemetry.spans()
    assert span.parent is None
    assert links(span) == []


@RUN_AFTER
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_tasks_own_spans_are_children_of_its_span(kind: str, run_after: str, telemetry: Telemetry) -> None:
    """Also in the thread of a sync task; the next task sees nothing of it."""

    def in_a_thread() -> None:
        with telemetry.tracer.start_as_current_span("own"):
            pass

    async def in_the_loop() -> None:
        await anyio.lowlevel.checkpoint()
        in_a_thread()

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(in_the_loop if kind == "async" else in_a_thread)
        tasks.add_task(nothing)

    app = telemetry.around(application(adding(add), tasks=telemetry.module(run_after=run_after)))
    await request(app, "/")
    [server], [first, second] = telemetry.spans(SpanKind.SERVER), telemetry.spans()
    [own] = [span for span in telemetry.spans(SpanKind.INTERNAL) if span.name == "own"]
    assert own.parent == context_of(first)
    assert links(first) == links(second) == [context_of(server)]
    assert context_of(first).trace_id != context_of(second).trace_id


async def test_what_a_task_adds_is_linked_to_the_task(telemetry: Telemetry) -> None:
    """That is the span in which it was added."""

    async def adds() -> None:
        current_background_tasks().add_task(nothing)

    app = application(adding(lambda tasks: tasks.add_task(adds)), tasks=telemetry.module())
    await request(telemetry.around(app), "/")
    first, second = telemetry.spans()
    assert second.parent is None
    assert links(second) == [context_of(first)]


async def test_the_own_background_of_a_response_has_a_span_too(telemetry: Telemetry) -> None:
    """It is run as a task, and linked likewise."""

    @get("/")
    async def handler() -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(nothing))

    await request(telemetry.around(application(handler, tasks=telemetry.module())), "/")
    [server], [span] = telemetry.spans(SpanKind.SERVER), telemetry.spans()
    assert span.parent is None
    assert links(span) == [context_of(server)]


class Baggage(SpanProcessor):
    """Keeps what a processor sees of the baggage when a span starts."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        self.seen.append(baggage.get_baggage("tenant", parent_context))


async def test_a_task_keeps_the_baggage_of_its_request(telemetry: Telemetry) -> None:
    """For itself, and for processors that copy it to spans."""
    processor = Baggage()
    telemetry.tracers.add_span_processor(processor)
    seen: list[object] = []

    def add(tasks: BackgroundTasks) -> None:
        context.attach(baggage.set_baggage("tenant", "acme"))
        tasks.add_task(lambda: seen.append(baggage.get_baggage("tenant")))

    await request(application(adding(add), tasks=telemetry.module()), "/")
    assert seen == processor.seen == ["acme"]


@pytest.fixture(params=["instrument_app", "instrument"])
def starlette_app(request: pytest.FixtureRequest, telemetry: Telemetry) -> Iterator[Any]:
    """A Starlette application, itself instrumented, as one or with all."""

    async def endpoint(request: Request) -> JSONResponse:
        current_background_tasks().add_task(nothing)
        return JSONResponse({}, background=BackgroundTask(background))

    async def background() -> None:
        with telemetry.tracer.start_as_current_span("of Starlette's own background"):
            pass

    routes = [Route("/x", endpoint)]
    if request.param == "instrument":
        StarletteInstrumentor().instrument(**telemetry.providers)
        yield starlette.applications.Starlette(routes=routes)
        StarletteInstrumentor().uninstrument()
    else:
        app = starlette.applications.Starlette(routes=routes)
        StarletteInstrumentor.instrument_app(app, **telemetry.providers)
        yield app
        StarletteInstrumentor.uninstrument_app(app)


@RUN_AFTER
@pytest.mark.parametrize("both", [True, False])
async def test_beside_the_instrumentation_of_starlette_no_span_is_there_twice(
    both: bool, run_after: str, telemetry: Telemetry, starlette_app: Any
) -> None:
    """The task of a mounted application is linked to the span of the innermost one."""
    feature = module(routers=[mount("/star", starlette_app)])
    app: Any = application(modules=[feature], tasks=telemetry.module(run_after=run_after))
    client = await request(telemetry.around(app) if both else app, "/star/x")
    assert client.status == 200
    [server], [span] = telemetry.spans(SpanKind.SERVER), telemetry.spans()
    assert span.name == "process nothing"
    assert span.parent is None
    [innermost] = links(span)
    [route] = [each for each in telemetry.spans(SpanKind.INTERNAL) if each.name == "GET /x"] if both else [server]
    assert innermost == context_of(route)
    assert innermost.trace_id == context_of(server).trace_id


async def test_a_failing_task_has_an_error_in_its_span(telemetry: Telemetry) -> None:
    """By status, type and exception; the request's span has none."""
    app = telemetry.around(application(adding(lambda tasks: tasks.add_task(fails)), tasks=telemetry.module()))
    await request(app, "/")
    [server], [span] = telemetry.spans(SpanKind.SERVER), telemetry.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError: on purpose"
    assert attributes(span)["bg_di.task.outcome"] == "failed"
    assert attributes(span)["error.type"] == "ValueError"
    attempt, exception = span.events
    assert attempt.name == "bg_di.task.attempt.failed"
    assert attributes(attempt) == {"bg_di.task.attempt": 1, "error.type": "ValueError"}
    assert exception.name == "exception"
    assert attributes(exception)["exception.message"] == "on purpose"
    assert server.status.status_code is StatusCode.UNSET
    assert telemetry.sums(MESSAGING_PROCESS_DURATION) == {("fails", "failed"): 1}
    [point] = telemetry.metrics()[MESSAGING_PROCESS_DURATION].data.data_points
    assert point.attributes["error.type"] == "ValueError"
    assert telemetry.at_work() == {0}


async def test_an_error_that_cannot_be_put_into_words_leaves_nothing_open(telemetry: Telemetry, log: Log) -> None:
    """Its text raises: the span ends without it."""

    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @background_task(name="unspeakable")
    async def unspeakable() -> None:
        raise Unspeakable

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(unspeakable)
        tasks.add_task(nothing)

    await request(application(adding(add), tasks=telemetry.module(on_error="continue")), "/")
    first, second = telemetry.spans()
    assert first.status.status_code is StatusCode.ERROR
    assert attributes(first)["error.type"].startswith(f"{__name__}.")
    assert second.parent is None
    assert links(second) == []
    assert telemetry.at_work() == {0}


async def test_a_task_that_takes_too_long_is_told_from_one_that_failed(telemetry: Telemetry) -> None:
    """By its outcome; it is an error as well."""

    @background_task(name="slow", timeout=0.001)
    async def slow() -> None:
        await anyio.sleep_forever()

    await request(application(adding(lambda tasks: tasks.add_task(slow)), tasks=telemetry.module()), "/")
    [span] = telemetry.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["bg_di.task.outcome"] == "timed_out"
    assert attributes(span)["error.type"] == "bg_di.errors.TaskTimedOut"
    assert telemetry.sums(MESSAGING_PROCESS_DURATION) == {("slow", "timed_out"): 1}


@RUN_AFTER
async def test_a_cancelled_task_is_no_error(run_after: str, telemetry: Telemetry) -> None:
    """Its span ends with that outcome; what waited behind it is counted as cancelled and has no span."""
    running = anyio.Event()

    @background_task(name="endless")
    async def endless() -> None:
        running.set()
        await anyio.sleep_forever()

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(endless)
        tasks.add_task(nothing)

    async with anyio.create_task_group() as group:
        group.start_soon(request, application(adding(add), tasks=telemetry.module(run_after=run_after)), "/")
        await running.wait()
        assert telemetry.sums("bg_di.task.running") == {("endless", None): 1}
        assert telemetry.sums("bg_di.task.waiting") == {("endless", None): 0, ("nothing", None): 1}
        group.cancel_scope.cancel()
    [span] = telemetry.spans()
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()
    assert attributes(span)["bg_di.task.outcome"] == "cancelled"
    assert "error.type" not in attributes(span)
    assert telemetry.sums(MESSAGING_PROCESS_DURATION) == {("endless", "cancelled"): 1}
    assert telemetry.sums("bg_di.task.dropped") == {("nothing", "cancelled"): 1}
    assert telemetry.at_work() == {0}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_error_of_the_tasks_own_is_a_failure(telemetry: Telemetry) -> None:
    """It awaited something that somebody else had cancelled."""

    async def awaits_what_is_cancelled() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    app = application(adding(lambda tasks: tasks.add_task(awaits_what_is_cancelled)), tasks=telemetry.module())
    await request(app, "/")
    [span] = telemetry.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["bg_di.task.outcome"] == "failed"
    assert [event.name for event in span.events] == ["bg_di.task.attempt.failed", "exception"]


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_retried_task_has_one_span_with_an_event_for_each_failing_attempt(
    succeeds: bool, telemetry: Telemetry
) -> None:
    """It is an error only if the last one fails."""
    tries: list[trace.SpanContext] = []

    @background_task(name="flaky", retry=Retry(on=OSError, attempts=3, wait_initial=0, wait_max=0, wait_jitter=0))
    async def flaky() -> None:
        tries.append(trace.get_current_span().get_span_context())
        if len(tries) < 3 or not succeeds:
            raise ConnectionError

    await request(application(adding(lambda tasks: tasks.add_task(flaky)), tasks=telemetry.module()), "/")
    [span] = telemetry.spans()
    assert tries == [context_of(span)] * 3
    numbers = [attributes(event)["bg_di.task.attempt"] for event in span.events if event.name != "exception"]
    assert numbers == [1, 2] if succeeds else [1, 2, 3]
    assert {attributes(event).get("error.type", "ConnectionError") for event in span.events} == {"ConnectionError"}
    assert span.status.status_code is (StatusCode.UNSET if succeeds else StatusCode.ERROR)
    outcome = "succeeded" if succeeds else "failed"
    assert telemetry.sums(MESSAGING_PROCESS_DURATION) == {("flaky", outcome): 1}
    assert telemetry.sums("bg_di.task.added") == {("flaky", None): 1}


async def test_what_does_not_run_is_counted_by_its_reason(telemetry: Telemetry) -> None:
    """Without a span, and it waits no more."""

    @get("/dropped")
    async def dropped(tasks: BackgroundTasks) -> None:
        tasks.add_task(nothing)
        raise ZeroDivisionError

    @get("/skipped")
    async def skipped(tasks: BackgroundTasks) -> None:
        tasks.add_task(fails)
        tasks.add_task(nothing)

    @get("/cancelled")
    async def cancelled(tasks: BackgroundTasks, monitor: Inject[BackgroundTasksMonitor]) -> None:
        assert monitor.cancel(tasks.using(when="always").add_task(nothing).task_id)

    app = application(dropped, skipped, cancelled, tasks=telemetry.module())
    for path in ("/dropped", "/skipped", "/cancelled"):
        await request(app, path)
    expected = {("nothing", outcome): 1 for outcome in ("dropped", "skipped", "cancelled")}
    assert telemetry.sums("bg_di.task.dropped") == expected
    assert telemetry.sums("bg_di.task.added") == {("nothing", None): 3, ("fails", None): 1}
    assert telemetry.at_work() == {0}
    assert [span.name for span in telemetry.spans()] == ["process fails"]


async def test_the_metrics_are_named_and_measured_as_the_conventions_say(telemetry: Telemetry) -> None:
    """Seconds in their buckets, tasks as tasks, and the span as the example."""
    await request(
        telemetry.around(application(adding(lambda tasks: tasks.add_task(nothing)), tasks=telemetry.module())), "/"
    )
    [span], metrics = telemetry.spans(), telemetry.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == {
        MESSAGING_PROCESS_DURATION: "s",
        "bg_di.task.added": "{task}",
        "bg_di.task.waiting": "{task}",
        "bg_di.task.running": "{task}",
    }
    [point] = metrics[MESSAGING_PROCESS_DURATION].data.data_points
    assert point.explicit_bounds[:2] == (0.005, 0.01)
    assert point.explicit_bounds[-1] == 10
    assert [exemplar.span_id for exemplar in point.exemplars] == [context_of(span).span_id]
    assert dict(point.attributes) == {
        "messaging.system": "bg_di",
        "messaging.destination.name": "nothing",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "bg_di.task.outcome": "succeeded",
    }


async def test_what_is_not_ours_is_named_by_the_conventions(telemetry: Telemetry) -> None:
    """Every attribute and the schema are known to them."""
    known = {
        value
        for names in (messaging_attributes, error_attributes)
        for value in vars(names).values()
        if type(value) is str
    }
    await request(application(adding(lambda tasks: tasks.add_task(fails)), tasks=telemetry.module()), "/")
    [span] = telemetry.spans()
    points = [point for metric in telemetry.metrics().values() for point in metric.data.data_points]
    used = {key for each in (span, *points) for key in attributes(each)}
    assert used - known == {"bg_di.task.outcome"}
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "bg_di"
    assert span.instrumentation_scope.schema_url in {schema.value for schema in Schemas}


async def test_a_task_that_starts_before_it_is_said_to_be_added_is_counted_right(telemetry: Telemetry) -> None:
    """A thread adds it, and the event loop is faster."""
    appended, started, told = threading.Event(), threading.Event(), threading.Event()

    class Delaying(TaskObserver):
        def event(self, kind: str, record: TaskRecord) -> None:
            if kind == "added" and record.name == "second":
                appended.set()
                started.wait()

    @background_task(name="second")
    async def second() -> None:
        started.set()
        await anyio.to_thread.run_sync(told.wait)
        assert telemetry.sums("bg_di.task.added")["second", None] == 1

    def add() -> None:
        current_background_tasks().add_task(second)
        told.set()

    @background_task(name="first")
    async def first() -> None:
        threading.Thread(target=copy_context().run, args=(add,)).start()
        await anyio.to_thread.run_sync(appended.wait)

    observers = [Delaying(), OpenTelemetryObserver(**telemetry.providers)]
    tasks = BackgroundTasksModule.setup(observers=observers)
    await request(application(adding(lambda tasks: tasks.add_task(first)), tasks=tasks), "/")
    assert [attributes(span)["bg_di.task.outcome"] for span in telemetry.spans()] == ["succeeded"] * 2
    assert telemetry.at_work() == {0}


@RUN_AFTER
async def test_hundreds_of_requests_to_two_applications_have_each_its_own_span(run_after: str) -> None:
    """All handlers are at work at once, then all tasks are; nothing gets into the other application's exporter."""
    number, both = 300, [Telemetry(), Telemetry()]
    met, arrived = [anyio.Event(), anyio.Event()], [0, 0]

    async def meet(at: int) -> None:
        arrived[at] += 1
        if arrived[at] == 2 * number:
            met[at].set()
        await met[at].wait()

    def calls(telemetry: Telemetry, linked: dict[int, int]) -> list[Callable[[], Any]]:
        async def task(key: str) -> None:
            await meet(1)
            linked[trace.get_current_span().get_span_context().span_id] = requests[key]

        @get("/{key}")
        async def handler(key: str, tasks: BackgroundTasks) -> None:
            await meet(0)
            requests[key] = trace.get_current_span().get_span_context().span_id
            tasks.add_task(task, key)

        requests: dict[str, int] = {}
        app = telemetry.around(application(handler, tasks=telemetry.module(run_after=run_after)))
        return [lambda key=key: request(app, f"/{key}") for key in range(number)]  # type: ignore[misc]

    expected: list[dict[int, int]] = [{}, {}]
    await concurrently([call for pair in zip(both, expected, strict=True) for call in calls(*pair)])
    for telemetry, linked in zip(both, expected, strict=True):
        found = [(context_of(span).span_id, [link.span_id for link in links(span)]) for span in telemetry.spans()]
        assert dict(found) == {task: [handler] for task, handler in linked.items()}
        assert len(found) == number
        assert set(linked.values()) == {context_of(span).span_id for span in telemetry.spans(SpanKind.SERVER)}
        assert list(telemetry.sums(MESSAGING_PROCESS_DURATION).values()) == [number]
        assert telemetry.at_work() == {0}


async def test_no_argument_of_a_task_is_exported(telemetry: Telemetry) -> None:
    """However it ends."""
    secret = "s3cr3t"

    @background_task(name="told", retry=Retry(on=OSError, attempts=2, wait_initial=0, wait_max=0, wait_jitter=0))
    async def told(what: str, *, error: type[Exception] | None = None) -> None:
        if error is not None:
            raise error

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for error in (None, OSError, ValueError):
            tasks.add_task(told, secret, error=error)

    @get("/dropped")
    async def dropped(tasks: BackgroundTasks) -> None:
        tasks.add_task(told, secret)
        raise ZeroDivisionError

    for on_error in ("continue", "stop"):
        app = telemetry.around(application(handler, dropped, tasks=telemetry.module(on_error=on_error)))
        await request(app, "/")
        await request(app, "/dropped")
    assert {outcome for _, outcome in telemetry.sums(MESSAGING_PROCESS_DURATION)} == {"succeeded", "failed"}
    assert {outcome for _, outcome in telemetry.sums("bg_di.task.dropped")} == {"dropped", "skipped"}
    assert "told" in telemetry.exported()
    assert secret not in telemetry.exported()


GLOBAL = """
import anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bg_di import BackgroundTasksModule
from bg_di.observers.otel import OpenTelemetryObserver
from tests.harness import application, request
from tests.test_08_service_tasks import adding

def greet(): ...

tasks = BackgroundTasksModule.setup(observers=[OpenTelemetryObserver])
app = application(adding(lambda tasks: tasks.add_task(greet)), tasks=tasks)
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
anyio.run(request, app, "/")
print([span.name for span in exporter.get_finished_spans()])
"""


def test_as_a_class_it_takes_the_global_providers_even_if_they_are_set_later() -> None:
    """In a process of its own: they can be set only once."""
    here = Path(__file__).parent.parent
    ran = subprocess.run([sys.executable, "-c", GLOBAL], cwd=here, capture_output=True, text=True, check=True)
    assert ran.stdout == "['process __main__:greet']\n"
    assert "OpenTelemetryObserver" not in ran.stderr


async def test_without_any_provider_the_task_runs_all_the_same(log: Log) -> None:
    """The API alone does nothing."""
    ran: list[str] = []
    tasks = BackgroundTasksModule.setup(observers=[OpenTelemetryObserver])
    await request(application(adding(lambda tasks: tasks.add_task(ran.append, "task")), tasks=tasks), "/")
    assert ran == ["task"]
    assert log.messages == []


def test_without_opentelemetry_the_import_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is missing."""
    monkeypatch.delitem(sys.modules, "bg_di.observers.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'bg_di\[otel\]'") as caught:
        importlib.import_module("bg_di.observers.otel")
    assert caught.value.name == "opentelemetry.metrics"
