"""What tracing sends along with a task: OpenTelemetry's propagators, if the application uses it."""

import sys
from collections.abc import Mapping


def trace_here() -> Mapping[str, str]:
    """What says which trace the running code belongs to, such as ``traceparent``; empty without OpenTelemetry."""
    trace: dict[str, str] = {}
    # Whoever traces has imported that; it need not have propagated anything yet.
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import propagate

        propagate.inject(trace)
    return trace


def continue_trace(trace: Mapping[str, str]) -> None:
    """Let what runs in the current context belong to a trace."""
    if not trace:
        return
    # Whoever runs the task need not have traced anything yet; without OpenTelemetry there is nothing to continue.
    try:
        from opentelemetry import context, propagate
    except ImportError:
        return
    context.attach(propagate.extract(trace))
