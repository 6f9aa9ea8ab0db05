"""Promise 3: the same collection where no request is, by ``collect_background_tasks``."""

from functools import partial
from typing import Any

import anyio
import pytest
from ellar.app import AppFactory
from ellar.common import Inject, Module
from ellar.core import ModuleBase
from ellar.di import injectable, singleton_scope
from ellar.testing import Test

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksUnavailable,
    TaskContext,
    background_task,
    collect_background_tasks,
    current_background_tasks,
)
from bg_di.testing import RecordingBackgroundTasks
from tests.harness import Log, application, concurrently
from tests.test_08_service_tasks import Mailer, Outbox


def command_line(*services: Any) -> Any:
    return application(providers=[Outbox, Mailer, *services])


async def test_the_tasks_run_at_the_end_of_the_block() -> None:
    """In order, with dependencies, and with what they add; services reach the same collection."""
    ran: list[Any] = []

    @injectable(scope=singleton_scope)
    class Service:
        def __init__(self, tasks: BackgroundTasks) -> None:
            self.tasks = tasks

    @background_task
    async def task(context: Inject[TaskContext] = INJECTED, tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        ran.append((context.method, context.path))
        tasks.add_task(ran.append, "added by a task")

    app = command_line(Service)
    service = app.injector.get(Service)
    async with collect_background_tasks(app) as tasks:
        tasks.add_task(task)
        tasks.add_task(Mailer.send, "ada")
        current_background_tasks().add_task(ran.append, "current")
        service.tasks.add_task(ran.append, "service")
        assert ran == []
    assert ran == [("COLLECT", "outside"), "current", "service", "added by a task"]
    assert app.injector.get(Outbox).sent == [("Mailer", "ada", "hello")]


async def test_after_the_block_nothing_is_taken() -> None:
    """Neither through what it gave, nor through what is current."""
    async with collect_background_tasks(command_line()) as tasks:
        pass
    with pytest.raises(BackgroundTasksUnavailable):
        tasks.add_task(print)
    with pytest.raises(BackgroundTasksUnavailable):
        current_background_tasks()


async def test_a_block_that_raises_drops_its_tasks_by_name(log: Log) -> None:
    """As a handler that raises does; ``when`` says otherwise."""
    ran: list[str] = []

    async def block() -> None:
        async with collect_background_tasks(command_line()) as tasks:
            tasks.add_task(ran.append, "success")
            tasks.using(when="failure").add_task(ran.append, "failure")
            raise LookupError

    with pytest.raises(LookupError):
        await block()
    assert ran == ["failure"]
    [line] = log.messages
    assert line.endswith("of COLLECT outside was dropped: its block failed with LookupError")


async def test_a_failing_task_is_reported_and_raises_nothing(log: Log) -> None:
    """The error handler hears of it."""

    async def fails() -> None:
        raise ValueError

    async with collect_background_tasks(command_line()) as tasks:
        tasks.add_task(fails)
    assert log.messages[0].endswith("fails of COLLECT outside failed")


async def test_a_block_that_is_cancelled_names_what_never_started(log: Log) -> None:
    """Its tasks do not run."""
    inside = anyio.Event()
    app = command_line()

    async def block() -> None:
        async with collect_background_tasks(app) as tasks:
            tasks.add_task(print, "never")
            inside.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(block)
        await inside.wait()
        group.cancel_scope.cancel()
    assert [line.split(": ")[0] for line in log.messages] == [
        "background task builtins:print of COLLECT outside never started"
    ]


async def test_hundreds_of_blocks_at_once_keep_to_themselves() -> None:
    """In two applications."""
    apps = [command_line(), command_line()]
    seen: list[tuple[int, int]] = []

    async def block(app: Any, number: int) -> None:
        async with collect_background_tasks(app) as tasks:
            await anyio.lowlevel.checkpoint()
            current_background_tasks().add_task(lambda: seen.append((number, 1)))
            await anyio.lowlevel.checkpoint()
            tasks.add_task(lambda: seen.append((number, 2)))

    await concurrently([partial(block, app, number) for number in range(100) for app in apps])
    assert sorted(seen) == sorted([(number, step) for number in range(100) for step in (1, 1, 2, 2)])


async def test_a_fake_stands_in_here_too() -> None:
    """As it does for a handler."""
    fake = RecordingBackgroundTasks()
    tested: Any = Test.create_test_module(modules=[BackgroundTasksModule])
    tested.override_provider(BackgroundTasks, use_value=fake)
    async with collect_background_tasks(tested.create_application()) as tasks:
        tasks.add_task(print, "never")
    fake.one(print, "never")


async def test_an_application_without_the_module_is_refused() -> None:
    """With the remedy."""

    @Module()
    class Without(ModuleBase): ...

    with pytest.raises(BackgroundTasksUnavailable, match="declare BackgroundTasksModule"):
        async with collect_background_tasks(AppFactory.create_from_app_module(Without)):
            pass
