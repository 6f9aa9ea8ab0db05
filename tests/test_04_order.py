"""Promise 4: one after another as added; a failing task ends the rest of its request, or does not."""

from functools import partial
from typing import Any
from weakref import WeakSet

import anyio
import pytest
from ellar.common import Inject, get
from ellar.core import WebSocket

from bg_di import BackgroundTasks, BackgroundTasksModule
from tests.harness import Client, Log, Socket, application, concurrently, request, websocket

RUN_AFTER = pytest.mark.parametrize("run_after", ["response", "request"])


async def suspending(into: list[Any], name: Any) -> None:
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    into.append(name)


async def fail() -> None:
    raise ValueError("on purpose")


@RUN_AFTER
async def test_tasks_run_one_after_another_as_added(run_after: str) -> None:
    """Async ones that suspend, sync ones in threads and quick ones do not overtake each other."""
    ran: list[int] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for number in range(0, 30, 3):
            tasks.add_task(suspending, ran, number)
            tasks.add_task(ran.append, number + 1)
            tasks.add_task(partial(suspending, ran), name=number + 2)

    await request(application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after)), "/")
    assert ran == list(range(30))


@RUN_AFTER
async def test_a_failing_task_ends_the_rest_by_name(run_after: str, log: Log) -> None:
    """The default, as Starlette and Ellar document it; what does not run is named."""
    ran: list[str] = []

    def after() -> None:
        ran.append("after")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(ran.append, "before")
        tasks.add_task(fail)
        tasks.add_task(after)

    client = await request(application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after)), "/")
    assert client.status == 200
    assert ran == ["before"]
    [failed, skipped] = log.messages
    assert failed == "background task tests.test_04_order:fail of GET / failed"
    assert skipped.endswith(
        "after of GET / was skipped: tests.test_04_order:fail failed before it and on_error is 'stop'"
    )


@RUN_AFTER
async def test_with_continue_the_rest_runs(run_after: str) -> None:
    """`on_error="continue"`: each task stands for itself."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)
        tasks.add_task(ran.append, "after")
        tasks.add_task(fail)
        tasks.add_task(ran.append, "last")

    module = BackgroundTasksModule.setup(run_after=run_after, on_error="continue")
    await request(application(handler, tasks=module), "/")
    assert ran == ["after", "last"]


@pytest.mark.parametrize("on_error", ["stop", "continue"])
async def test_what_a_failing_task_had_added_is_dropped_by_name(on_error: str, log: Log) -> None:
    """It stands and falls with the task that added it; what others added meanwhile does not."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        async def failing() -> None:
            tasks.add_task(ran.append, "from the failing")
            raise ValueError

        async def succeeding() -> None:
            tasks.add_task(ran.append, "from the succeeding")

        tasks.add_task(succeeding)
        tasks.add_task(failing)

    await request(application(handler, tasks=BackgroundTasksModule.setup(on_error=on_error)), "/")
    assert ran == ([] if on_error == "stop" else ["from the succeeding"])
    dropped = [line for line in log.messages if "was dropped" in line]
    assert len(dropped) == 1
    assert dropped[0].startswith("background task builtins:list.append of GET / was dropped: ")
    assert dropped[0].endswith("failing, which added it, failed")


async def test_a_chain_of_a_thousand_tasks_that_add_each_other_runs() -> None:
    """Not recursive, and nothing of the past is kept alive."""

    class Argument: ...

    arguments: WeakSet[Argument] = WeakSet()
    alive: list[int] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        async def link(_: Argument) -> None:
            alive.append(len(arguments))
            if len(alive) <= 1000:
                add_link()

        def add_link() -> None:
            arguments.add(argument := Argument())
            tasks.add_task(link, argument)

        add_link()

    await request(application(handler), "/")
    assert len(alive) == 1001
    assert max(alive) <= 3


async def test_requests_do_not_wait_for_each_others_tasks() -> None:
    """Order is a matter of one request: while one's tasks are held up, another's run."""
    release = anyio.Event()
    ran: list[str] = []

    @get("/{name}")
    async def handler(name: str, tasks: BackgroundTasks) -> None:
        if name == "held":
            tasks.add_task(release.wait)
        tasks.add_task(ran.append, name)

    app = application(handler)

    async def free() -> None:
        await concurrently([partial(request, app, "/free") for _ in range(100)])
        assert ran == ["free"] * 100
        release.set()

    await concurrently([partial(request, app, "/held"), free])
    assert ran[-1] == "held"


async def test_in_a_websocket_a_failing_task_ends_the_rest_of_its_round() -> None:
    """What is added after an `await tasks()` is a round of its own."""
    ran: list[str] = []

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await websocket.accept()
        tasks.add_task(fail)
        tasks.add_task(ran.append, "same round")
        await tasks()
        tasks.add_task(ran.append, "second round")
        await tasks()
        tasks.add_task(ran.append, "end")

    assert await Socket().run(application(handler), "/ws") is None
    assert ran == ["second round", "end"]


async def test_the_round_at_the_end_of_a_websocket_is_one_of_its_own() -> None:
    """Also if the one before it failed."""
    ran: list[str] = []

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)
        await tasks()
        tasks.add_task(ran.append, "end")

    await Socket().run(application(handler), "/ws")
    assert ran == ["end"]


async def test_what_a_websocket_handler_adds_while_a_failing_task_runs_is_its_own() -> None:
    """With ``on_error="continue"``: a running task does not answer for what is added beside it."""
    ran: list[str] = []
    runs, release = anyio.Event(), anyio.Event()

    async def fails_when_told() -> None:
        runs.set()
        await release.wait()
        raise ValueError

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        async def beside() -> None:
            await runs.wait()
            tasks.add_task(ran.append, "beside")
            release.set()

        tasks.add_task(fails_when_told)
        await concurrently([tasks, beside])

    app = application(handler, tasks=BackgroundTasksModule.setup(on_error="continue"))
    await Socket().run(app, "/ws")
    assert ran == ["beside"]


async def test_a_thousand_tasks_of_one_request_run_in_order() -> None:
    """All of them, also if each suspends."""
    ran: list[int] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for number in range(1000):
            tasks.add_task(suspending, ran, number)

    client = await Client().request(application(handler), "/")
    assert client.status == 200
    assert ran == list(range(1000))
