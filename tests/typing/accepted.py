"""What both type checkers must accept."""

import functools
from collections.abc import Awaitable

from ellar.common import Inject, Module
from ellar.core import LazyModuleImport, ModuleBase
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.responses import JSONResponse

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    Retry,
    TaskErrorHandler,
    TaskFailure,
    TaskReference,
    background_task,
    current_background_tasks,
)
from bg_di.testing import AddedTask, RecordingBackgroundTasks


async def send(address: str, *, subject: str = "hello") -> bool:
    return True


def send_sync(address: str, copies: int = 1) -> None: ...


def send_later(address: str) -> Awaitable[None]:
    raise NotImplementedError


def takes_func(func: int, self: str) -> None: ...


class Mailer:
    async def send(self, address: str) -> None: ...

    @classmethod
    def of_class(cls, address: str) -> None: ...

    @staticmethod
    async def of_nothing(address: str) -> None: ...

    async def __call__(self, address: str) -> None: ...


def every_kind_of_call(tasks: BackgroundTasks) -> None:
    tasks.add_task(send, "ada@example.org")
    tasks.add_task(send, "ada@example.org", subject="welcome")
    tasks.add_task(send_sync, "ada@example.org", 2)
    tasks.add_task(send_sync, address="ada@example.org", copies=2)
    tasks.add_task(send_later, "ada@example.org")
    tasks.add_task(takes_func, func=1, self="x")
    tasks.add_task(Mailer().send, "ada@example.org")
    tasks.add_task(Mailer.of_class, "ada@example.org")
    tasks.add_task(Mailer.of_nothing, "ada@example.org")
    tasks.add_task(Mailer(), "ada@example.org")
    tasks.add_task(functools.partial(send, subject="welcome"), "ada@example.org")
    tasks.add_task(print, "a", "b", sep="")
    tasks.add_task(lambda: None)


@background_task
async def declared(address: str, mailer: Inject[Mailer] = INJECTED) -> bool:
    return True


@background_task(name="named", when="always")
def declared_sync(address: str) -> None: ...


class Service:
    @background_task(timeout=30, retry=Retry(on=OSError, attempts=3))
    async def send(self, address: str, *, subject: str = "hello") -> bool:
        return True

    @background_task
    def send_sync(self, address: str) -> None: ...

    @background_task
    @classmethod
    async def of_class(cls, address: str) -> None: ...


class Derived(Service): ...


async def declared_tasks(tasks: BackgroundTasks, service: Service) -> None:
    tasks.add_task(declared, "ada@example.org")
    tasks.add_task(declared, "ada@example.org", Mailer())
    tasks.add_task(declared_sync, address="ada@example.org")
    tasks.add_task(Service.send, "ada@example.org", subject="welcome")
    tasks.add_task(Derived.send, "ada@example.org")
    tasks.add_task(Service.send_sync, "ada@example.org")
    tasks.add_task(service.send, "ada@example.org")
    tasks.add_task(Service.of_class, "ada@example.org")
    called: bool = await declared("ada@example.org")
    called = await service.send("ada@example.org")
    called = await Service.send(service, "ada@example.org", subject="x")
    reference: TaskReference = tasks.using(when="always", timeout=3).add_task(Service.send, "ada@example.org")
    task_id: str = reference.task_id
    del called, task_id


def is_starlettes(tasks: BackgroundTasks) -> JSONResponse:
    starlettes: StarletteBackgroundTasks = tasks
    task: BackgroundTask = starlettes
    return JSONResponse({}, background=task)


def current() -> BackgroundTasks:
    return current_background_tasks()


class Handler(TaskErrorHandler):
    async def handle(self, failure: TaskFailure) -> None:
        error: BaseException = failure.error
        names: tuple[str, str, str] = failure.name, failure.method, failure.path
        task: BackgroundTask = failure.task
        del error, names, task


@Module(modules=[BackgroundTasksModule])
class Plain(ModuleBase): ...


@Module(modules=[BackgroundTasksModule.setup(run_after="request", on_error="continue", max_threads=10)])
class WithOptions(ModuleBase): ...


@Module(modules=[BackgroundTasksModule.register_setup(max_threads=10)])
class FromConfig(ModuleBase): ...


@Module(modules=[LazyModuleImport("bg_di:BackgroundTasksModule", "setup", run_after="request")])
class Lazy(ModuleBase): ...


async def recording() -> None:
    tasks = RecordingBackgroundTasks()
    real: BackgroundTasks = tasks
    real.add_task(send, "ada@example.org")
    one: BackgroundTask = tasks.one(send, "ada@example.org")
    every: list[AddedTask] = tasks.all(send, subject="hello")
    tasks.assert_not_added(send_sync)
    tasks.assert_none()
    await tasks.drain()
    del one, every
