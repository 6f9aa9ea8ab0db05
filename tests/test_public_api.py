"""The public names, and what importing them costs."""

import subprocess
import sys

import pytest

import bg_di
import bg_di.backends
import bg_di.testing


def test_the_public_names_are_those_of_the_contract() -> None:
    """A name more or less is a decision, not an accident."""
    assert sorted(bg_di.__all__) == [
        "BackgroundTaskError",
        "BackgroundTasks",
        "BackgroundTasksModule",
        "BackgroundTasksMonitor",
        "BackgroundTasksNotAccepted",
        "BackgroundTasksUnavailable",
        "INJECTED",
        "Retry",
        "TaskContext",
        "TaskErrorHandler",
        "TaskFailure",
        "TaskObserver",
        "TaskRecord",
        "TaskReference",
        "background_task",
        "collect_background_tasks",
        "current_background_tasks",
    ]
    assert bg_di.testing.__all__ == [
        "AddedTask",
        "BackendContract",
        "RecordingBackgroundTasks",
        "WatchedBackgroundTasks",
        "override_everywhere",
    ]
    assert bg_di.backends.__all__ == [
        "Accepted",
        "Backend",
        "BackendOccupied",
        "BackendUnavailable",
        "Capability",
        "Consumer",
        "Counts",
        "Delivery",
        "Engine",
        "Entry",
        "InProcessBackend",
        "Message",
        "OutcomeUnknown",
        "Seconds",
        "StoredState",
    ]


def test_every_public_name_says_what_it_is() -> None:
    """In its docstring."""
    for name in bg_di.__all__:
        assert getattr(bg_di, name).__doc__, name


@pytest.mark.parametrize("module", ["bg_di", "bg_di.backends", "bg_di.testing", "bg_di.pytest_plugin"])
def test_nothing_that_need_not_be_installed_is_imported(module: str) -> None:
    """The plugin of pytest is imported wherever bg_di is installed, whatever is tested there."""
    missing = ("httpx", "stamina", "aio_pika", "opentelemetry", "sentry_sdk", "sqlalchemy", "ellar_sql", "ellar_cli")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); import {module}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
