"""The application that chaos is brought over: what its tasks do is on the disk before they go on."""

import asyncio
import os
import signal
from pathlib import Path
from random import Random

from ellar.app import App, AppFactory
from ellar.common import Inject, Module, ModuleRouter
from ellar.core import ModuleBase

from bg_di import INJECTED, BackgroundTasks, BackgroundTasksModule, Retry, TaskContext, background_task
from bg_di.backends.sqlite import SqliteBackend
from tests.chaos.record import Record
from tests.chaos.windows import Death, DyingObserver

LEASE = 3.0
MAX_DELIVERIES = 5
POISON = 997  # what is divisible by it kills its process, each time
FAILS_ONCE = 10


class Once(Exception):
    """What a first attempt may raise."""


def create(folder: Path, death: Death, record: Record, *, embedded: bool, seed: int) -> App:
    """The application, on the file in `folder`."""
    random = Random(seed)

    @background_task(name="work", backend="durable", retry=Retry(on=Once, attempts=2, wait_initial=0.05, wait_jitter=0))
    async def work(number: int, context: Inject[TaskContext] = INJECTED) -> None:
        run = {"task_id": context.task_id, "attempt": context.attempt, "delivery": context.delivery}
        record.write("started", **run)
        if number % POISON == 0:
            record.write("poison")
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(random.random() * 0.05)  # the load: something to be killed in
        if number % FAILS_ONCE == 0 and context.attempt == 1:
            raise Once
        record.write("ended", **run)

    router = ModuleRouter("/")

    @router.post("/{number}")
    async def add(number: int, tasks: BackgroundTasks) -> str:
        return tasks.using(when="always").add_task(work, number).task_id

    backend = SqliteBackend(
        folder / "tasks.db", embedded=embedded, lease=LEASE, max_deliveries=MAX_DELIVERIES, busy_timeout=0.5
    )
    tasks = BackgroundTasksModule.setup(
        name="chaos", tasks=[work], backends={"durable": backend}, observers=[DyingObserver(death)]
    )
    return AppFactory.create_from_app_module(Module(modules=[tasks], routers=[router])(type("Root", (ModuleBase,), {})))
