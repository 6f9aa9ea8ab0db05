"""Promise 12: the trace that added a task travels with it, if the application uses OpenTelemetry."""

import sys
from contextvars import copy_context

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider

from bg_di import collect_background_tasks
from bg_di.handing_over.trace import continue_trace
from bg_di.wire import Envelope
from tests.handing_over import ON_ASYNCIO, Engines, send

tracer = TracerProvider().get_tracer(__name__)


def sent(engines: Engines) -> Envelope:
    return Envelope.from_bytes(engines.memory.one().message.body)


@ON_ASYNCIO
async def test_the_current_span_travels() -> None:
    """Not that of the request or block, if `add_task` was called in one of its own; and it goes on elsewhere."""
    engines = Engines()
    async with collect_background_tasks(engines.application()) as tasks:
        with tracer.start_as_current_span("adding") as span:
            tasks.add_task(send, "a")
    here = span.get_span_context()
    assert list(sent(engines).trace) == ["traceparent"]
    assert sent(engines).trace["traceparent"].startswith(f"00-{here.trace_id:032x}-{here.span_id:016x}-")

    def runs() -> None:
        continue_trace(sent(engines).trace)
        assert trace.get_current_span().get_span_context().span_id == here.span_id

    copy_context().run(runs)


@ON_ASYNCIO
async def test_without_a_span_nothing_travels() -> None:
    """Though OpenTelemetry is there."""
    engines = Engines()
    async with collect_background_tasks(engines.application()) as tasks:
        tasks.add_task(send, "a")
    assert sent(engines).trace == {}
    continue_trace({})
    assert not trace.get_current_span().get_span_context().is_valid


@ON_ASYNCIO
async def test_the_baggage_of_a_client_spoils_no_task() -> None:
    """What is larger than a message takes is left behind."""
    engines = Engines()
    app = engines.application()
    token = context.attach(baggage.set_baggage("of-the-client", "x" * 4000))
    try:
        with tracer.start_as_current_span("adding"):
            async with collect_background_tasks(app) as tasks:
                tasks.add_task(send, "a")
    finally:
        context.detach(token)
    assert list(sent(engines).trace) == ["traceparent"]


@ON_ASYNCIO
async def test_without_opentelemetry_nothing_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything missed where a trace arrives."""
    engines = Engines()
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # what is not installed
    async with collect_background_tasks(engines.application()) as tasks:
        tasks.add_task(send, "a")
    assert sent(engines).trace == {}
    continue_trace({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
