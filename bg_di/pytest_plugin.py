"""The pytest plugin: the fixture `background_tasks` and the marker of the same name. There is nothing to import."""

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any
from weakref import WeakSet

import pytest

from bg_di.calls.overlay import covered, put_over

# Before it is imported, so that what its assertions compare is shown.
pytest.register_assert_rewrite("bg_di.testing")

from bg_di.testing.watched import Only, WatchedBackgroundTasks  # noqa: E402

_NAME = "background_tasks"
_BEFORE = pytest.StashKey[WeakSet[Any]]()


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker."""
    config.addinivalue_line(
        "markers",
        f"{_NAME}(mode='run', only=None): how the fixture {_NAME} has tasks run: mode 'run', as always, or 'hold', "
        "when the test drains them; only those of the functions in only=[...]",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember which applications were there before the fixtures of a test have built its own, in whatever order."""
    item.stash[_BEFORE] = WeakSet(covered())


@pytest.fixture
def background_tasks(request: pytest.FixtureRequest) -> Generator[WatchedBackgroundTasks]:
    """All background tasks that are added while the test runs, in every application of the process.

    A task that failed and that nobody looked at, and one that is held and was never run, fail the test at its end.
    """
    tasks = WatchedBackgroundTasks(request.node.stash.get(_BEFORE, None))
    with ExitStack() as stack:
        marker = request.node.get_closest_marker(_NAME)
        if marker is not None and _mode(*marker.args, **marker.kwargs) == "hold":
            stack.enter_context(tasks.held(_only(**marker.kwargs)))
        stack.enter_context(put_over(tasks))
        yield tasks


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Look at what is left of the tasks when the test has ended, as a part of the test."""
    outcome = yield
    tasks = getattr(item, "funcargs", {}).get(_NAME)
    if isinstance(tasks, WatchedBackgroundTasks):
        _check(tasks)
    return outcome


def _check(tasks: WatchedBackgroundTasks) -> None:
    try:
        tasks.check()
    except AssertionError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _mode(mode: str = "run", only: Any = None) -> str:
    if mode not in {"run", "hold"}:
        raise pytest.UsageError(f"@pytest.mark.{_NAME}(mode={mode!r}): give 'run' or 'hold'")
    if only is not None and mode == "run":
        raise pytest.UsageError(f"@pytest.mark.{_NAME}(only=...) says what is held: give mode='hold', too")
    return mode


def _only(mode: str = "hold", only: Only = None) -> Only:
    return only
