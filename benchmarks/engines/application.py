"""The application whose durable tasks are measured: one declared task that does nothing but leave a mark."""

import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from ellar.app import App, AppFactory
from ellar.common import Module
from ellar.core import ModuleBase

from benchmarks.engines.marks import MARKS
from bg_di import BackgroundTasksModule, background_task
from bg_di.backends import Backend, Engine, Message
from bg_di.commands.lifespan import running
from bg_di.edge.lifespan import WORKERS_ONLY
from bg_di.handing_over.engines import Engines
from bg_di.handing_over.listed import list_tasks
from bg_di.running.runner import Runner
from bg_di.wire import Envelope

NAME = "benchmark"
TASK = "noop"


@background_task(name=TASK, backend="durable")
async def noop(number: int) -> None:
    """It does nothing, so that what is measured is all around it."""
    await MARKS.task(number)


_FORMAT = list_tasks([noop], lambda func: {})[TASK].format


def application(backend: Backend, *, name: str = NAME, tasks: Sequence[Any] = (noop,), **module: Any) -> App:
    """An application whose tasks are on a backend. It works only where `working` says so, if the backend says so.

    Args:
        module: what its root module has besides.
    """
    configured = BackgroundTasksModule.setup(name=name, tasks=tasks, backends={"durable": backend})
    return AppFactory.create_from_app_module(Module(modules=[configured], **module)(type("Root", (ModuleBase,), {})))


def engine_of(app: App) -> Engine:
    """Its engine, in the running event loop."""
    return _engines(app).of("durable")


async def close(app: App) -> None:
    """Let go of the engine, if it is still open."""
    await _engines(app).close()


def message(number: int) -> Message:
    """A task as the application would hand it over."""
    now, task_id = time.time(), uuid.uuid4().hex
    envelope = Envelope(
        task_id=task_id,
        application=NAME,
        name=TASK,
        arguments=_FORMAT.encode((number,), {}),
        added_at=now,
    )
    return Message(task_id=task_id, name=TASK, body=envelope.to_bytes(), added_at=now, due_at=now)


async def fill(engine: Engine, tasks: int) -> None:
    """Let so many tasks wait."""
    for start in range(0, tasks, 1000):
        await engine.accept([message(number) for number in range(start, min(start + 1000, tasks))])


def working(app: App) -> AbstractAsyncContextManager[None]:
    """Run the application for its worker, as `python -m bg_di worker` does."""
    return running(app, {WORKERS_ONLY: ["durable"]})


def _engines(app: App) -> Engines:
    module: Any = app.injector.get_module(BackgroundTasksModule)
    engines: Engines = module.get(Runner).engines
    return engines
