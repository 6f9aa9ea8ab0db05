"""Report to Sentry: an event for each task that fails, a transaction for each task."""

from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from typing import Any, Final

from bg_di.log import logger
from bg_di.observers.outcome import Outcome
from bg_di.observing.observer import TaskObserver
from bg_di.record import TaskRecord

try:
    import sentry_sdk
    from sentry_sdk.scope import add_global_event_processor
    from sentry_sdk.types import Event, Hint
except ImportError as error:
    raise ImportError("bg_di.observers.sentry needs sentry-sdk: pip install 'bg_di[sentry]'") from error

_OP: Final = "queue.task"
_SOURCE: Final = "task"
# The error of the task in whose context this is, once it has been captured. Its id: itself it would be a cycle.
_captured: ContextVar[int | None] = ContextVar("bg_di.observers.sentry", default=None)


class SentryObserver(TaskObserver):
    """Sends one event for each task that fails, after its last attempt. A task that is cancelled has not failed.

    A task has an isolation scope of its own, forked from that of the request or the task that added it: what it sets
    there reaches nobody else. Its events have its name as transaction, the tag ``task_id`` and the context
    ``background_task``: its id, name, method, path and attempt. If Sentry traces, it is a transaction of its own (op
    ``queue.task``), in the trace of its request. The default `TaskErrorHandler` logs the same error, which makes no
    second event; what else bg_di logs at ERROR, Sentry's logging integration reports as it does any line.

    Arguments are never sent as such; but Sentry sends the local variables of all functions in a traceback, unless told
    ``sentry_sdk.init(include_local_variables=False)``.
    """

    def task(self, record: TaskRecord) -> AbstractContextManager[Any]:
        return _Reported(record)

    def attempt(self, record: TaskRecord) -> None:
        _describe(sentry_sdk.get_isolation_scope(), record)


class _Reported(Outcome):
    """A task in an isolation scope and a transaction of its own."""

    def __init__(self, record: TaskRecord) -> None:
        self._record = record

    def __enter__(self) -> "_Reported":
        super().__enter__()
        with ExitStack() as opened:
            scope = opened.enter_context(sentry_sdk.isolation_scope())
            scope.add_event_processor(self._named)
            _describe(scope, self._record)
            opened.enter_context(_transaction(self._record.name))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *ended: Any) -> None:
        super().__exit__(*ended)
        if self.is_failure:
            sentry_sdk.capture_exception(ended[1])
            _captured.set(id(ended[1]))
        self._opened.__exit__(*ended if self.is_failure else (None, None, None))

    def _named(self, event: Event, _: Hint) -> Event:
        # The request's own processor, which comes first, takes a name from a task for one to improve on.
        event["transaction"] = self._record.name
        event["transaction_info"] = {"source": _SOURCE}
        return event


def _describe(scope: sentry_sdk.Scope, record: TaskRecord) -> None:
    scope.set_tag("task_id", record.task_id)
    told = {key: getattr(record, key) for key in ("task_id", "name", "method", "path", "attempt")}
    scope.set_context("background_task", told)


def _transaction(name: str) -> AbstractContextManager[Any]:
    if sentry_sdk.get_client().options.get("trace_lifecycle") == "stream":
        from sentry_sdk.traces import start_span  # not in versions that cannot stream

        return start_span(name, {"sentry.op": _OP, "sentry.segment.name.source": _SOURCE}, parent_span=None)
    parent = sentry_sdk.get_current_span()
    if parent is None:
        return sentry_sdk.start_transaction(op=_OP, name=name, source=_SOURCE)
    headers = dict(parent.iter_headers())
    return sentry_sdk.start_transaction(sentry_sdk.continue_trace(headers, op=_OP, name=name, source=_SOURCE))


def _unless_captured(event: Event, hint: Hint) -> Event | None:
    line, raised = hint.get("log_record"), hint.get("exc_info")
    is_ours = line is not None and line.name == logger.name
    return None if is_ours and raised and id(raised[1]) == _captured.get() else event


# Sentry's own deduplication can be switched off, and knows only the last error. One for the process, as that is.
add_global_event_processor(_unless_captured)
