"""Promise 9: a task sees the context variables as they were when it was added; what it sets stays its own."""

import contextvars
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import pytest
from ellar.common import get

from bg_di import BackgroundTasks
from tests.harness import application, concurrently, request

USER: ContextVar[str] = ContextVar("user", default="nobody")


async def see(into: list[str]) -> None:
    await anyio.lowlevel.checkpoint()
    into.append(USER.get())
    USER.set("changed by a task")
    await anyio.lowlevel.checkpoint()
    assert USER.get() == "changed by a task"


def see_sync(into: list[str]) -> None:
    into.append(USER.get())
    USER.set("changed by a task")


@pytest.mark.parametrize("sync_handler", [True, False])
async def test_a_task_sees_what_was_set_when_it_was_added(sync_handler: bool) -> None:
    """Also from a sync handler, whose context is a copy in a thread; one task's changes reach no other."""
    seen: list[str] = []

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(see, seen)
        USER.set("ada")
        tasks.add_task(see, seen)
        tasks.add_task(see_sync, seen)
        USER.set("grace")
        tasks.add_task(see_sync, seen)
        tasks.add_task(lambda: see(seen))

    @get("/sync")
    def sync(tasks: BackgroundTasks) -> None:
        add(tasks)

    @get("/async")
    async def handler(tasks: BackgroundTasks) -> None:
        add(tasks)

    await request(application(sync, handler), "/sync" if sync_handler else "/async")
    assert seen == ["nobody", "ada", "ada", "grace", "grace"]


async def test_a_thread_that_carries_the_context_hands_its_own_on() -> None:
    """A task added in such a thread sees the thread's variables."""
    seen: list[str] = []

    @get("/")
    def handler(tasks: BackgroundTasks) -> None:
        def in_thread() -> None:
            USER.set("thread")
            tasks.add_task(see, seen)

        contextvars.copy_context().run(in_thread)

    await request(application(handler), "/")
    assert seen == ["thread"]


async def test_what_a_task_adds_sees_what_the_task_sees() -> None:
    """The task's own context is the one that is carried on."""
    seen: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        async def adding() -> None:
            USER.set("task")
            tasks.add_task(see, seen)

        tasks.add_task(adding)

    await request(application(handler), "/")
    assert seen == ["task"]


async def test_child_tasks_and_timeouts_work_inside_a_task() -> None:
    """Task groups, cancel scopes and timeouts of the event loop are as in any coroutine."""
    seen: list[Any] = []

    async def task() -> None:
        USER.set("parent")

        async def child() -> None:
            seen.append(USER.get())

        async with anyio.create_task_group() as group:
            group.start_soon(child)
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        seen.append(scope.cancelled_caught)
        seen.append(await anyio.to_thread.run_sync(USER.get))

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(task)

    await request(application(handler), "/")
    assert seen == ["parent", True, "parent"]


async def test_hundreds_of_requests_keep_their_contexts_apart() -> None:
    """Each task sees its own request's variable, after it has suspended."""
    seen: dict[str, list[str]] = {}

    async def task(name: str) -> None:
        await see(seen.setdefault(name, []))

    @get("/")
    async def handler(name: str, tasks: BackgroundTasks) -> None:
        USER.set(name)
        await anyio.lowlevel.checkpoint()
        tasks.add_task(task, name)

    app = application(handler)
    names = [str(number) for number in range(300)]
    await concurrently([partial(request, app, "/", query=f"name={name}") for name in names])
    assert seen == {name: [name] for name in names}
