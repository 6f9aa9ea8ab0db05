"""The application that chaos is brought over: what its tasks do is on the disk before they go on."""

import asyncio
from random import Random

from ellar.app import App, AppFactory
from ellar.common import Inject, Module, ModuleRouter
from ellar.core import ModuleBase
from ellar.di import ProviderConfig

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksNotAccepted,
    Retry,
    TaskContext,
    TaskErrorHandler,
    TaskFailure,
    background_task,
)
from bg_di.backends import Backend
from tests.chaos.record import Record
from tests.chaos.windows import Death, DyingObserver

NAME = "chaos"
POISON = 997  # what is divisible by it kills its process, each time
FAILS_ONCE = 10


class Once(Exception):
    """What a first attempt may raise."""


class Hopeless(Exception):
    """What a task raises that is to be dead."""


class NotAccepted(TaskErrorHandler):
    """Writes down what clients are told."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def handle(self, failure: TaskFailure) -> None:
        if isinstance(failure.error, BackgroundTasksNotAccepted):
            for kind, tasks in (("refused", failure.error.refused), ("unknown", failure.error.unknown)):
                for task in tasks:
                    self._record.write(kind, task_id=task.task_id)


def create(backend: Backend, death: Death, record: Record, *, seed: int) -> App:
    """The application, on a backend."""
    random = Random(seed)

    @background_task(name="work", backend="durable", retry=Retry(on=Once, attempts=2, wait_initial=0.05, wait_jitter=0))
    async def work(number: int, seconds: float, hopeless: bool, context: Inject[TaskContext] = INJECTED) -> None:
        run = {"task_id": context.task_id, "attempt": context.attempt, "delivery": context.delivery}
        record.write("started", **run)
        if number % POISON == 0:
            death.comes("poison")
        await asyncio.sleep(seconds or random.random() * 0.05)  # the load: something to be killed in
        if number % FAILS_ONCE == 0 and context.attempt == 1:
            raise Once
        if hopeless:
            record.write("hopeless", **run)
            raise Hopeless
        record.write("ended", **run)

    router = ModuleRouter("/")

    @router.post("/{number}")
    async def add(number: int, tasks: BackgroundTasks, seconds: float = 0, hopeless: bool = False) -> str:
        return tasks.using(when="always").add_task(work, number, seconds, hopeless).task_id

    tasks = BackgroundTasksModule.setup(
        name=NAME, tasks=[work], backends={"durable": backend}, observers=[DyingObserver(death)]
    )
    handler = ProviderConfig(TaskErrorHandler, use_value=NotAccepted(record))
    root = Module(modules=[tasks], routers=[router], providers=[handler])(type("Root", (ModuleBase,), {}))
    return AppFactory.create_from_app_module(root)
