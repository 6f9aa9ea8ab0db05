"""How a program becomes a real Ellar application, and what is seen of its requests."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import anyio
from ellar.app import App
from ellar.common import ControllerBase
from ellar.core import Config
from ellar.core.middleware import Middleware
from ellar.di import ProviderConfig
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect

from bg_di import BackgroundTasks, BackgroundTasksModule, BackgroundTasksMonitor, TaskObserver, TaskRecord
from tests.harness import application, concurrently, module
from tests.properties.adding import Run
from tests.properties.places import (
    Asgi,
    Scoped,
    Singleton,
    Transient,
    Unhandled,
    application_middleware,
    exception_handler,
    function_middleware,
    module_middleware,
)
from tests.properties.programs import Program
from tests.properties.routes import route
from tests.properties.tasks import Worker

MIDDLEWARE = {
    "function": Middleware(BaseHTTPMiddleware, dispatch=function_middleware),
    "gzip": Middleware(GZipMiddleware, minimum_size=0, compresslevel=9),
}
STACK = list(Config().MIDDLEWARE)
EXPECTED = (type(None), Unhandled, OSError, ClientDisconnect)
LINE = re.compile(
    r"background task (\S+) of GET (\S+) (?:\(\w+\) )?"
    r"(failed|was dropped|was skipped|was cut off|never started)"
)


class Recorder(TaskObserver):
    """Writes down what it hears of each task."""

    def __init__(self, runs: list[Run]) -> None:
        self.runs = runs

    def event(self, kind: str, record: TaskRecord) -> None:
        self._hear(kind, record)

    @contextmanager
    def task(self, record: TaskRecord) -> Iterator[None]:
        self._hear("running", record)
        try:
            yield
        except Exception:
            self._hear("failed", record)
            raise
        except BaseException:
            self._hear("cancelled", record)
            raise
        self._hear("succeeded", record)

    def attempt(self, record: TaskRecord) -> None:
        self._hear("attempt", record)

    def _hear(self, what: str, record: TaskRecord) -> None:
        number, name = which(record.path, record.name)
        self.runs[number].heard.setdefault(name, []).append(what)


def which(path: str, name: str) -> tuple[int, str]:
    """The number of the request that a task belongs to, and the task's name without the module."""
    return int(path.rpartition("/")[2]), name.rpartition(":")[2]


def build(program: Program, runs: list[Run], *, tasks: bool) -> App:
    """The application of a program; without tasks it is the control, and does not have the module."""
    routes = [route(f"/{number}", script, tasks=tasks) for number, script in enumerate(program.scripts)]
    controllers = [one for one in routes if isinstance(one, type) and issubclass(one, ControllerBase)]
    declared = BackgroundTasksModule.setup(
        run_after=program.run_after,
        on_error=program.on_error,
        observers=[Recorder(runs)] if program.observed else [],
        history=100_000,
    )
    feature = module(
        modules=[declared] if tasks and not program.at_root else [],
        routers=[one for one in routes if one not in controllers],
        controllers=controllers,
        providers=[Singleton, Transient, Scoped],
        body={"application": application_middleware, "module": module_middleware},
    )
    return application(
        tasks=declared if tasks and program.at_root else None,
        # The control never adds a task, but its constructors ask for something to add them to.
        providers=[Worker] if tasks else [ProviderConfig(BackgroundTasks, use_class=BackgroundTasks)],
        modules=[feature],
        config={
            "MIDDLEWARE": [Middleware(Asgi), *(MIDDLEWARE[name] for name in program.stack), *STACK],
            "EXCEPTION_HANDLERS": [exception_handler],
        },
    )


@contextmanager
def logged() -> Iterator[list[tuple[int, str, str]]]:
    """What ``bg_di`` logs meanwhile: number of the request, name of the task, what is said of it."""
    lines: list[tuple[int, str, str]] = []

    def keep(record: logging.LogRecord) -> bool:
        found = LINE.match(record.getMessage())
        if found is None:
            assert record.getMessage().startswith("run_after='response'"), record
        else:
            name, path, said = found.groups()
            lines.append((*which(path, name), said))
        return False

    logger = logging.getLogger("bg_di")
    # A filter, as nobody else should keep the tracebacks of all these programs.
    logger.addFilter(keep)
    try:
        yield lines
    finally:
        logger.removeFilter(keep)


def execute(program: Program, *, tasks: bool = True) -> list[Run]:
    """Send the requests of a program to its application, all at once."""
    visits = program.visits()
    runs = [Run(number, script, leaving, tasks) for number, (_, script, leaving) in enumerate(visits)]
    with logged() as lines:
        app = build(program, runs, tasks=tasks)
        paths = [f"/{route}/{number}" for number, (route, _, _) in enumerate(visits)]
        anyio.run(concurrently, [partial(run.request, app, path) for run, path in zip(runs, paths, strict=True)])
    assert all(type(run.client.error) in EXPECTED for run in runs)
    for number, name, said in lines:
        assert name not in runs[number].log, "a task is named once"
        runs[number].log[name] = said
    if tasks:
        monitor = app.injector.get(BackgroundTasksMonitor)
        assert monitor.snapshot() == ()
        for record in monitor.history():
            number, name = which(record.path, record.name)
            runs[number].ended.append((name, record.state))
    return runs
