"""What `check` tells, as metrics."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from bg_di import BackgroundTasksMonitor
from bg_di.commands.application import Application
from bg_di.observers.otel import observe_backends
from tests.commands import shop
from tests.commands.conftest import keep, message


async def collected() -> dict[str, dict[str, float]]:
    """Each gauge by the names of the backends, as an exporter's thread collects them while the application runs."""
    app, reader = shop.shop(), InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    engines = Application.of(app).engines
    for name in engines.backends:
        engines.of(name)
    observe_backends(app.injector.get(BackgroundTasksMonitor), meter_provider=provider)
    try:
        data: Any = await asyncio.to_thread(reader.get_metrics_data)
    finally:
        await engines.close()
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    return {
        metric.name: {point.attributes["bg_di.backend.name"]: point.value for point in metric.data.data_points}
        for scope in scopes
        for metric in scope.metrics
    }


def test_what_is_to_do_on_each_engine_is_a_gauge(file: Path, other: Path) -> None:
    """As the monitor tells it."""
    keep(file, [message("dead")], becoming="dead")
    keep(file, [message("one", at=time.time() - 100), message("two", at=time.time() + 100)])
    found = asyncio.run(collected())
    oldest = found.pop("bg_di.backend.oldest")
    assert found == {
        "bg_di.backend.waiting": {"durable": 2, "other": 0},
        "bg_di.backend.running": {"durable": 0, "other": 0},
        "bg_di.backend.dead": {"durable": 1, "other": 0},
    }
    assert oldest["other"] == 0
    assert 100 <= oldest["durable"] < 200


def test_while_an_engine_cannot_be_used_there_are_none(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And nobody is told so each time."""
    monkeypatch.setenv(shop.FILE, str(tmp_path / "gone" / "tasks.db"))
    assert asyncio.run(collected()) == {}
    assert caplog.records == []
