"""`LogObserver`: what happens to tasks, in fields that structlog renders."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from json import loads
from typing import Any
from uuid import uuid4

import anyio
import pytest
import structlog
from ellar.app import App
from ellar.common import get
from ellar.di import ProviderConfig
from structlog.stdlib import ExtraAdder, ProcessorFormatter

from bg_di import (
    BackgroundTasks,
    BackgroundTasksModule,
    Retry,
    TaskErrorHandler,
    TaskFailure,
    background_task,
    current_background_tasks,
)
from bg_di.observers.log import LogObserver
from tests.harness import Log, application, concurrently, request

SECRET = uuid4().hex
OF_THE_TASK = {"task_id", "task_name", "method", "path", "attempt"}


class Lines:
    """What an application has logged, as structlog renders it in JSON."""

    def __init__(self) -> None:
        self.stream = StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(
            ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_log_level, ExtraAdder()],
                processors=[
                    ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
            )
        )

    @property
    def all(self) -> list[dict[str, Any]]:
        return list(map(loads, self.stream.getvalue().splitlines()))

    @property
    def ended(self) -> list[dict[str, Any]]:
        return [line for line in self.all if "outcome" in line]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged on ``bg_di``, from DEBUG on."""
    lines, logger = Lines(), logging.getLogger("bg_di")
    logger.addHandler(lines.handler)
    logger.setLevel(logging.DEBUG)
    yield lines
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(lines.handler)


def adding(add: Callable[[BackgroundTasks], Any], *observers: Any, **more: Any) -> App:
    """An application whose one route adds tasks."""

    @get("/{item}")
    async def handler(item: str, tasks: BackgroundTasks) -> None:
        add(tasks)

    setup = {"observers": observers or (LogObserver,), **more.pop("setup", {})}
    return application(handler, tasks=BackgroundTasksModule.setup(**setup), **more)


@background_task(name="works")
async def works(secret: str) -> None: ...


@background_task(name="works_in_a_thread")
def works_in_a_thread(secret: str) -> None: ...


@background_task(name="fails")
async def fails(secret: str) -> None:
    raise ValueError("on purpose")


@background_task(name="fails_in_a_thread")
def fails_in_a_thread(secret: str) -> None:
    raise ValueError("on purpose")


@background_task(name="cancels_itself")
async def cancels_itself(secret: str) -> None:
    raise asyncio.CancelledError


@background_task(name="takes_too_long", timeout=0.01)
async def takes_too_long(secret: str) -> None:
    await anyio.sleep_forever()


OUTCOMES: list[tuple[Any, str]] = [
    (works, "succeeded"),
    (works_in_a_thread, "succeeded"),
    (fails, "failed"),
    (fails_in_a_thread, "failed"),
    (cancels_itself, "failed"),
    (takes_too_long, "timed_out"),
]


@pytest.mark.parametrize(("task", "outcome"), OUTCOMES, ids=lambda of: getattr(of, "__name__", of))
async def test_the_end_of_a_task_is_one_line_with_all_its_fields(task: Any, outcome: str, lines: Lines) -> None:
    """Flat, under names of their own, and none is an argument."""
    await request(adding(lambda tasks: tasks.add_task(task, SECRET)), "/x")
    [line] = lines.ended
    assert line.keys() == {*OF_THE_TASK, "outcome", "duration", "event", "level"}
    assert (line["task_name"], line["method"], line["path"]) == (task.__name__, "GET", "/x")
    assert (line["attempt"], line["outcome"], line["level"]) == (1, outcome, "info")
    assert 0 <= line["duration"] < 10
    assert line["event"].startswith(f"background task {task.__name__} of GET /x {outcome} after ")
    assert SECRET not in lines.stream.getvalue()


async def test_what_is_ahead_of_the_end_is_logged_at_debug(lines: Lines) -> None:
    """Added, released, tried; each line names the same task."""
    await request(adding(lambda tasks: tasks.add_task(works, SECRET)), "/x")
    *ahead, end = lines.all
    of_it = "background task works of GET /x"
    assert [(line["level"], line["event"], line["attempt"]) for line in ahead] == [
        ("debug", f"{of_it} was added", 0),
        ("debug", f"{of_it} was released", 0),
        ("debug", f"{of_it} starts its attempt 1", 1),
    ]
    assert all(line.keys() == {*OF_THE_TASK, "event", "level"} for line in ahead)
    assert {line["task_id"] for line in ahead} == {end["task_id"]}


async def test_the_traceback_of_a_failing_task_is_logged_once(lines: Lines) -> None:
    """By the error handler, whose line has the same names for what it knows."""
    await request(adding(lambda tasks: tasks.add_task(fails, SECRET)), "/x")
    [line] = [line for line in lines.all if "exception" in line]
    told = {key: line[key] for key in line.keys() & OF_THE_TASK}
    [ended] = lines.ended
    assert told == {"task_name": "fails", "method": "GET", "path": "/x", "task_id": ended["task_id"]}
    assert line["level"] == "error"
    assert ended["outcome"] == "failed"


@pytest.mark.parametrize("attempts", [2, 3])
async def test_a_task_that_is_tried_again_ends_once(attempts: int, lines: Lines) -> None:
    """With the number of its last attempt; one that failed before is no failure of the task."""
    tried: list[str] = []

    @background_task(name="flaky", retry=Retry(on=ValueError, attempts=attempts, wait_initial=0, wait_jitter=0))
    async def flaky() -> None:
        tried.append("once more")
        if len(tried) < 3:
            raise ValueError

    await request(adding(lambda tasks: tasks.add_task(flaky)), "/x")
    [line] = lines.ended
    assert (line["attempt"], line["outcome"]) == (attempts, "succeeded" if attempts == 3 else "failed")
    started = [line["attempt"] for line in lines.all if "starts its attempt" in line["event"]]
    assert started == list(range(1, attempts + 1))


async def test_what_a_task_adds_counts_its_own_attempts(lines: Lines) -> None:
    """Its context is a copy of that of the task that added it."""

    @background_task(name="first", retry=Retry(on=ValueError, attempts=2, wait_initial=0, wait_jitter=0))
    async def first(tried: list[bool]) -> None:
        current_background_tasks().add_task(works, SECRET)
        tried.append(True)
        if len(tried) == 1:
            raise ValueError

    await request(adding(lambda tasks: tasks.add_task(first, [])), "/x")
    assert [(line["task_name"], line["attempt"]) for line in lines.ended] == [("first", 2), ("works", 1)]


async def test_a_task_whose_request_is_cancelled_is_cancelled(lines: Lines) -> None:
    """The core says that it was cut off, with the same names."""
    runs = anyio.Event()

    @background_task(name="stays")
    async def stays(secret: str) -> None:
        runs.set()
        await anyio.sleep_forever()

    app = adding(lambda tasks: (tasks.add_task(stays, SECRET), tasks.add_task(works, SECRET)))
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/x")
        await runs.wait()
        group.cancel_scope.cancel()
    assert [(line["task_name"], line["outcome"]) for line in lines.ended] == [("stays", "cancelled")]
    errors = [line for line in lines.all if line["level"] == "error"]
    assert [(line["task_name"], line["method"], line["path"]) for line in errors] == [
        ("stays", "GET", "/x"),
        ("works", "GET", "/x"),
    ]
    assert SECRET not in lines.stream.getvalue()


async def test_what_does_not_run_is_logged_by_the_core_alone(lines: Lines) -> None:
    """Dropped or skipped: one line, with the same names."""

    def add(tasks: BackgroundTasks) -> None:
        tasks.using(when="failure").add_task(works_in_a_thread, SECRET)
        tasks.add_task(fails, SECRET)
        tasks.add_task(works, SECRET)

    await request(adding(add), "/x")
    warnings = [line for line in lines.all if line["level"] == "warning"]
    assert [(line["task_name"], line["method"], line["path"]) for line in warnings] == [
        ("works_in_a_thread", "GET", "/x"),
        ("works", "GET", "/x"),
    ]
    assert [line["task_name"] for line in lines.ended] == ["fails"]


async def test_an_error_handler_that_fails_is_logged_with_the_fields_too(lines: Lines) -> None:
    """They are those of the task that it was told of."""

    class Broken(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            raise RuntimeError

    provided: list[Any] = [ProviderConfig(TaskErrorHandler, use_class=Broken)]
    await request(adding(lambda tasks: tasks.add_task(fails, SECRET), providers=provided), "/x")
    [line] = [line for line in lines.all if line["level"] == "error"]
    assert (line["task_name"], line["method"], line["path"]) == ("fails", "GET", "/x")


async def test_it_logs_where_and_as_it_is_told() -> None:
    """Two of them do not take each other's attempts."""
    logs = [Log(), Log()]
    loggers = [logging.getLogger(f"{__name__}.{which}") for which in "ab"]
    for handler, logger in zip(logs, loggers, strict=True):
        logger.handlers = [handler]
    observers = [LogObserver(logger=logger, level=logging.WARNING) for logger in loggers]
    await request(adding(lambda tasks: tasks.add_task(works, SECRET), *observers), "/x")
    for handler, logger in zip(logs, loggers, strict=True):
        [line] = handler.records
        assert (line.name, line.levelno, vars(line)["attempt"]) == (logger.name, logging.WARNING, 1)


@pytest.mark.parametrize(
    "bound",
    [[], [LogObserver], [ProviderConfig(LogObserver, use_value=LogObserver())]],
    ids=["unbound", "bound", "a value"],
)
async def test_the_container_builds_it(bound: list[Any], lines: Lines) -> None:
    """Given as a class, it has its defaults, whether it is bound or not."""
    await request(adding(lambda tasks: tasks.add_task(works, SECRET), LogObserver, providers=bound), "/x")
    [line] = lines.ended
    assert line["level"] == "info"


async def test_concurrent_requests_are_told_apart(lines: Lines) -> None:
    """Each line has the fields of its own task."""

    @background_task(name="suspends")
    async def suspends() -> None:
        await anyio.lowlevel.checkpoint()

    app = adding(lambda tasks: (tasks.add_task(suspends), tasks.add_task(works_in_a_thread, SECRET)))
    await concurrently([partial(request, app, f"/{number}") for number in range(100)])
    ended = lines.ended
    assert len({line["task_id"] for line in ended}) == 200
    assert {(line["task_name"], line["path"]) for line in ended} == {
        (name, f"/{number}") for name in ("suspends", "works_in_a_thread") for number in range(100)
    }
    assert {line["attempt"] for line in ended} == {1}
