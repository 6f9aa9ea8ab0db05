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

from bg_di import BackgroundTasks, BackgroundTasksModule
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

MIDDLEWARE = {
    "function": Middleware(BaseHTTPMiddleware, dispatch=function_middleware),
    "gzip": Middleware(GZipMiddleware, minimum_size=0, compresslevel=9),
}
STACK = list(Config().MIDDLEWARE)
EXPECTED = (type(None), Unhandled, OSError, ClientDisconnect)
LINE = re.compile(
    r"background task tests\.properties\.adding:(\d+):(\S+) of GET (\S+) "
    r"(failed|was dropped|was skipped|was cut off|never started)"
)


def build(program: Program, *, tasks: bool) -> App:
    """The application of a program; without tasks it is the control, and does not have the module."""
    routes = [route(f"/{number}", script, tasks=tasks) for number, script in enumerate(program.scripts)]
    controllers = [one for one in routes if isinstance(one, type) and issubclass(one, ControllerBase)]
    declared = BackgroundTasksModule.setup(run_after=program.run_after, on_error=program.on_error) if tasks else None
    feature = module(
        modules=[declared] if declared and not program.at_root else [],
        routers=[one for one in routes if one not in controllers],
        controllers=controllers,
        providers=[Singleton, Transient, Scoped],
        body={"application": application_middleware, "module": module_middleware},
    )
    return application(
        tasks=declared if program.at_root else None,
        # The control never adds a task, but its constructors ask for something to add them to.
        providers=[] if tasks else [ProviderConfig(BackgroundTasks, use_class=BackgroundTasks)],
        modules=[feature],
        config={
            "MIDDLEWARE": [Middleware(Asgi), *(MIDDLEWARE[name] for name in program.stack), *STACK],
            "EXCEPTION_HANDLERS": [exception_handler],
        },
    )


@contextmanager
def logged() -> Iterator[list[tuple[int, str, str, str]]]:
    """What ``bg_di`` logs meanwhile: number of the request, name of the task, path, what is said of it."""
    lines: list[tuple[int, str, str, str]] = []

    def keep(record: logging.LogRecord) -> bool:
        found = LINE.match(record.getMessage())
        if found is None:
            assert record.getMessage().startswith("run_after='response'"), record
        else:
            number, name, path, said = found.groups()
            lines.append((int(number), name, path, said))
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
    with logged() as lines:
        app = build(program, tasks=tasks)
        visits = program.visits()
        runs = [Run(number, script, leaving, tasks) for number, (_, script, leaving) in enumerate(visits)]
        paths = [f"/{route}/" for route, _, _ in visits]
        anyio.run(concurrently, [partial(run.request, app, path) for run, path in zip(runs, paths, strict=True)])
    assert all(type(run.client.error) in EXPECTED for run in runs)
    for number, name, path, said in lines:
        assert path == paths[number]
        assert name not in runs[number].log, "a task is named once"
        runs[number].log[name] = said
    return runs
