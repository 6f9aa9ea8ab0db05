"""The pytest plugin: the fixture `background_tasks` and the marker of the same name. There is nothing to import.

Every run of pytest loads it where bg_di is installed, tests of other projects included. So it stands beside the package
and imports that where a test asks for the fixture: Ellar takes its time, and warns while it is imported.
"""

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest

if TYPE_CHECKING:
    from bg_di.testing import WatchedBackgroundTasks
    from bg_di.testing.matching import Only
    from bg_di.testing.stage import Stage

# Before it is imported, so that what its assertions compare is shown.
pytest.register_assert_rewrite("bg_di.testing")

_NAME = "background_tasks"
_BEFORE = pytest.StashKey[WeakSet[Any]]()
_SHARED = pytest.StashKey[WeakSet[Any]]()
_STAGE = pytest.StashKey["Stage"]()


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker."""
    config.addinivalue_line(
        "markers",
        f"{_NAME}(mode='run', only=None): how the fixture {_NAME} has tasks run: mode 'run', as always, or 'hold', "
        "when the test drains them; only those of the functions in only=[...]",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember which applications were there before the fixtures of a test have built its own, in whatever order.

    Who marks a test asks for the fixture, too.
    """
    item.stash[_BEFORE] = _covered()
    asked_for = getattr(item, "fixturenames", [])
    if item.get_closest_marker(_NAME) is not None and _NAME not in asked_for:
        asked_for.append(_NAME)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which applications tests share: here those that were built by what they import."""
    _shared(session.config).update(_covered())


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """And those that a fixture of a wider scope builds."""
    if fixturedef.scope == "function":
        return (yield)
    before = _covered()
    outcome = yield
    _shared(request.config).update(_covered() - before)
    return outcome


def _shared(config: pytest.Config) -> WeakSet[Any]:
    return config.stash.setdefault(_SHARED, WeakSet())


def _covered() -> WeakSet[Any]:
    overlay = sys.modules.get("bg_di.calls.overlay")
    return WeakSet(() if overlay is None else overlay.covered())


@pytest.fixture(autouse=True)
def _watched_from_the_start(request: pytest.FixtureRequest) -> None:
    """Set the fixture up before all others that are made for the test alone, in whatever order it names them.

    An application that one of them starts would have a worker on its real engine, which runs what waits there.
    """
    if _NAME in request.fixturenames:
        request.getfixturevalue(_NAME)


@pytest.fixture
def background_tasks(request: pytest.FixtureRequest) -> "Generator[WatchedBackgroundTasks]":
    """All background tasks that are added while the test runs, in every application of the process.

    A task that failed and that nobody looked at, and one that is held and was never run, fail the test at its end.
    """
    from bg_di.calls.overlay import put_over
    from bg_di.testing import WatchedBackgroundTasks
    from bg_di.testing.stage import Stage

    stash = request.node.stash
    stage = stash[_STAGE] = Stage(stash.get(_BEFORE, None), _shared(request.config))
    with _marked(request.node.get_closest_marker(_NAME), stage), put_over(stage):
        yield WatchedBackgroundTasks(stage)
    del stash[_STAGE]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Look at what is left of the tasks when the test has ended, as a part of the test."""
    outcome = yield
    stage = item.stash.get(_STAGE, None)
    if stage is not None:
        _check(stage)
    return outcome


def _check(stage: "Stage") -> None:
    try:
        stage.check()
    except AssertionError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _marked(marker: pytest.Mark | None, stage: "Stage") -> AbstractContextManager[None]:
    if marker is None:
        return nullcontext()
    try:
        said = signature(_in_mode).bind(stage, *marker.args, **marker.kwargs)
    except TypeError as error:
        raise pytest.UsageError(f"@pytest.mark.{_NAME}(mode='run', only=None): {error}") from None
    return _in_mode(*said.args, **said.kwargs)


def _in_mode(stage: "Stage", mode: str = "run", only: "Only" = None) -> AbstractContextManager[None]:
    if mode == "hold":
        return stage.held(only)
    if mode != "run":
        raise pytest.UsageError(f"@pytest.mark.{_NAME}(mode={mode!r}): give 'run' or 'hold'")
    if only is not None:
        raise pytest.UsageError(f"@pytest.mark.{_NAME}(only=...) says what is held: give mode='hold', too")
    return nullcontext()
