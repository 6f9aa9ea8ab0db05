"""Tasks in OpenTelemetry: a span for each, and metrics of what was added, waits, runs, was dropped and has ended."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib.metadata import version
from time import perf_counter
from typing import Final

from bg_di.calls.steps import in_words
from bg_di.errors import BackendUnavailable
from bg_di.monitor import BackgroundTasksMonitor
from bg_di.observers.outcome import Outcome
from bg_di.observing.observer import Event, TaskObserver
from bg_di.record import TaskRecord

try:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
    from opentelemetry.trace import (
        INVALID_SPAN,
        Link,
        Span,
        SpanKind,
        StatusCode,
        TracerProvider,
        get_current_span,
        get_tracer,
        set_span_in_context,
        use_span,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"bg_di.observers.otel needs {error.name}, which is not installed: pip install 'bg_di[otel]'", name=error.name
    ) from error

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
_OPERATION: Final = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
_OUTCOME: Final = "bg_di.task.outcome"
# In seconds, as the semantic conventions want them for `messaging.process.duration`.
_BOUNDARIES: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class OpenTelemetryObserver(TaskObserver):
    """Reports tasks to OpenTelemetry. It needs the extra ``bg_di[otel]``.

    A task is to the semantic conventions a message that is processed: its span is ``process <name>``, of the kind
    CONSUMER and with their ``messaging.*`` attributes, the task's name as the destination. It is the root of a trace of
    its own, as the request's span may have ended, with a link to the span in which the task was added: the request's,
    or one inside it. It is current while the task runs, and baggage is kept.

    ``bg_di.task.outcome``, on spans and metrics, is how it ended, in the words of `bg_di.TaskRecord`. If it failed or
    took too long, the span has the status ERROR, ``error.type`` and the exception; each attempt that fails is an event
    ``bg_di.task.attempt.failed``. If it was cancelled, that is its outcome and no error.

    The metrics have the task's name, never an id or a path: ``messaging.process.duration``, ``bg_di.task.added``,
    ``bg_di.task.waiting``, ``bg_di.task.running`` and ``bg_di.task.dropped``, which counts all that did not run, with
    the outcome ``"dropped"``, ``"skipped"``, ``"cancelled"`` or ``"refused"``. What an engine has accepted waits there,
    and here no more.

    It adds no arguments of tasks. What an error says of itself is in the exception.

    Args:
        tracer_provider: that spans go to. None: the global one, also if it is set later.
        meter_provider: that metrics go to. None: likewise.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        scope = "bg_di", version("bg_di")
        self._tracer = get_tracer(*scope, tracer_provider, _SCHEMA)
        meter = get_meter(*scope, meter_provider, _SCHEMA)
        self._duration = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._added = meter.create_counter("bg_di.task.added", "{task}", "Tasks that were added.")
        self._waiting = meter.create_up_down_counter("bg_di.task.waiting", "{task}", "Tasks that have not started.")
        self._running = meter.create_up_down_counter("bg_di.task.running", "{task}", "Tasks that run.")
        self._dropped = meter.create_counter("bg_di.task.dropped", "{task}", "Tasks that did not run, by outcome.")

    @contextmanager
    def task(self, record: TaskRecord) -> Generator[None]:
        about, outcome = _about(record), Outcome()
        ended: dict[str, str] = {}
        # What use_span records by itself leaves out a CancelledError of the task's own code.
        with use_span(
            self._span(record), end_on_exit=True, record_exception=False, set_status_on_exception=False
        ) as span:
            self._running.add(1, about)
            started = perf_counter()
            try:
                with outcome:
                    yield
            except BaseException as error:
                if outcome.is_failure:
                    ended["error.type"] = _type(error)
                    span.set_status(StatusCode.ERROR, in_words(error))
                    span.record_exception(error)
                raise
            finally:
                ended[_OUTCOME] = outcome.state
                span.set_attributes(ended)
                self._running.add(-1, about)
                # While the span is current, which makes it the example for what is measured.
                self._duration.record(perf_counter() - started, {**about, **_OPERATION, **ended})

    @contextmanager
    def attempt(self, record: TaskRecord) -> Generator[None]:
        span, outcome = get_current_span(), Outcome()
        try:
            with outcome:
                yield
        except BaseException as error:
            if outcome.is_failure:
                span.add_event(
                    "bg_di.task.attempt.failed", {"bg_di.task.attempt": record.attempt, "error.type": _type(error)}
                )
            raise

    def event(self, kind: Event, record: TaskRecord) -> None:
        about = _about(record)
        if kind == "added":
            self._added.add(1, about)
            self._waiting.add(1, about)
            return
        self._waiting.add(-1, about)
        if kind not in {"released", "accepted"}:
            self._dropped.add(1, {**about, _OUTCOME: kind})

    def _span(self, record: TaskRecord) -> Span:
        added_in = get_current_span().get_span_context()
        return self._tracer.start_span(
            f"process {record.name}",
            # Without a parent, but with the baggage, which processors read there.
            set_span_in_context(INVALID_SPAN),
            SpanKind.CONSUMER,
            {**_about(record), **_OPERATION, "messaging.message.id": record.task_id},
            [Link(added_in)] if added_in.is_valid else (),
        )


def _about(record: TaskRecord) -> dict[str, str]:
    return {"messaging.system": "bg_di", "messaging.destination.name": record.name}


def _type(error: BaseException) -> str:
    module, name = type(error).__module__, type(error).__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def observe_backends(monitor: BackgroundTasksMonitor, *, meter_provider: MeterProvider | None = None) -> None:
    """Report how much there is to do on an application's engines, whenever metrics are collected.

    These are gauges by ``bg_di.backend.name``: ``bg_di.backend.waiting``, ``.running``, ``.dead`` and ``.oldest``, the
    seconds for which a task has been due. They are what `BackgroundTasksMonitor.counts` tells, also of what other
    processes have handed over: it is enough if one of them reports. While an engine cannot be used, there are none.

    Args:
        monitor: of the application.
        meter_provider: None: the global one, also if it is set later.
    """
    meter = get_meter("bg_di", version("bg_di"), meter_provider, _SCHEMA)

    def report(key: str, unit: str, about: str) -> None:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            try:
                counts = monitor.counts()
            except BackendUnavailable:
                return []
            return [Observation(getattr(each, key), {"bg_di.backend.name": name}) for name, each in counts.items()]

        meter.create_observable_gauge(f"bg_di.backend.{key}", [observe], unit, about)

    report("waiting", "{task}", "Tasks that are accepted and do not run.")
    report("running", "{task}", "Tasks that run.")
    report("dead", "{task}", "Tasks that are kept and not run again by themselves.")
    report("oldest", "s", "For how long the task that is due for longest has been.")
