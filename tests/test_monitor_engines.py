"""The monitor asks the engines too: how a task stands there, and to take it back, from any thread and event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import anyio
import pytest
from ellar.app import App
from ellar.common import get

from bg_di import BackgroundTasks, BackgroundTasksMonitor, TaskReference
from bg_di.backends import Counts
from bg_di.errors import BackendIncapable, BackendUnavailable
from tests.backends.memory import Memory, MemoryBackend, MemoryEngine, SimpleBackend
from tests.handing_over import ON_ASYNCIO, REFUSED, Engines, Gate, answers, run_once, send
from tests.harness import request
from tests.servers.stage import PATIENCE


def adding(into: list[TaskReference]) -> Any:
    """A route that adds one task for an engine, and keeps what stands for it."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        into.append(tasks.using(backend="durable").add_task(send, "a"))

    return handler


def in_a_thread(call: Callable[[], Any]) -> Any:
    """What a call returns in a thread without an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
def references() -> list[TaskReference]:
    return []


@pytest.fixture
def app(engines: Engines, references: list[TaskReference]) -> App:
    return engines.application(adding(references))


@pytest.fixture
def monitor(app: App) -> BackgroundTasksMonitor:
    return cast(BackgroundTasksMonitor, app.injector.get(BackgroundTasksMonitor))


@ON_ASYNCIO
async def test_a_task_on_an_engine_stands_as_the_engine_says(
    engines: Engines, references: list[TaskReference], app: App, monitor: BackgroundTasksMonitor
) -> None:
    """From its waiting for acceptance to its end, also asked from a thread without an event loop."""
    gate = engines.memory.answer = Gate()

    async def ask() -> tuple[Any, Any]:
        task_id = references[0].task_id
        return monitor.state(task_id), await anyio.to_thread.run_sync(monitor.state, task_id)

    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await gate.asked.wait()
        assert await ask() == ("waiting", "waiting")
        assert [(record.name, record.state) for record in monitor.snapshot()] == [("send", "waiting")]
        assert not monitor.cancel(references[0].task_id)
        gate.opened.set()
    assert await ask() == ("accepted", "accepted")
    assert monitor.snapshot() == ()
    for state in ("running", "succeeded", "dead"):
        engines.memory.one().state = state
        assert await ask() == (state, state)
    assert (engines.memory.opened, engines.other.opened) == (1, 1)


@ON_ASYNCIO
async def test_it_is_taken_back_before_it_has_started(
    engines: Engines, references: list[TaskReference], app: App, monitor: BackgroundTasksMonitor
) -> None:
    """Once."""
    await request(app, "/")
    task_id = references[0].task_id
    assert monitor.cancel(task_id)
    assert (monitor.state(task_id), monitor.cancel(task_id)) == ("cancelled", False)


@ON_ASYNCIO
async def test_what_was_refused_is_remembered_here(
    engines: Engines, references: list[TaskReference], app: App, monitor: BackgroundTasksMonitor
) -> None:
    """No engine knows it."""
    engines.memory.answer = answers(REFUSED)
    await request(app, "/")
    task_id = references[0].task_id
    assert (monitor.state(task_id), monitor.cancel(task_id), monitor.state("unknown")) == ("failed", False, None)
    [record] = monitor.history()
    assert (record.state, record.reason is not None and "tasks.db is full" in record.reason) == ("failed", True)


@ON_ASYNCIO
async def test_an_engine_that_cannot_is_named(references: list[TaskReference]) -> None:
    """That a task was accepted there says nothing of how it stands now; what has ended here is known."""
    memory = Memory()
    engines = Engines()
    app = engines.application(
        adding(references),
        options={"backends": {"durable": SimpleBackend(memory=memory), "other": SimpleBackend(memory=memory)}},
    )
    await request(app, "/")
    monitor = app.injector.get(BackgroundTasksMonitor)
    task_id = references[0].task_id
    assert monitor.counts() == {}
    missing = f", and the task '{task_id}' may be there"
    with pytest.raises(BackendIncapable) as refused:
        monitor.state(task_id)
    assert str(refused.value) == (
        f"the backend 'durable', 'other' cannot tell how its tasks stand (no capability 'listing'){missing}"
    )
    with pytest.raises(BackendIncapable) as refused:
        monitor.cancel(task_id)
    assert str(refused.value) == (
        f"the backend 'durable', 'other' cannot take back a task that waits (no capability 'cancel'){missing}"
    )


@ON_ASYNCIO
async def test_what_has_ended_here_is_known_without_the_engine() -> None:
    """It cannot be taken back, either."""
    engines = Engines()
    references: list[TaskReference] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        references.append(tasks.using(backend="in_process").add_task(asyncio.sleep, 0))

    backends = {name: SimpleBackend(memory=engines.memory) for name in ("durable", "other")}
    app = engines.application(handler, options={"backends": backends})
    await request(app, "/")
    monitor = app.injector.get(BackgroundTasksMonitor)
    [reference] = references
    assert (monitor.state(reference.task_id), monitor.cancel(reference.task_id)) == ("succeeded", False)


class Away(MemoryBackend):
    """Its engine cannot be opened, nor asked."""

    def open(self, application: str) -> MemoryEngine:
        raise BackendUnavailable("tasks.db", "is on a disk that is not there")


def test_an_engine_that_is_away_is_an_error(engines: Engines) -> None:
    """It might know the task."""
    app = engines.application(options={"backends": {"durable": Away(), "other": Away()}})
    monitor = app.injector.get(BackgroundTasksMonitor)
    for ask in (monitor.state, monitor.cancel):
        with pytest.raises(BackendUnavailable, match="not there"):
            ask("anything")
    with pytest.raises(BackendUnavailable, match="not there"):
        monitor.counts()


def test_counts_are_those_of_each_engine(engines: Engines, app: App, monitor: BackgroundTasksMonitor) -> None:
    """By its name."""
    asyncio.run(request(app, "/"))
    nothing = Counts(waiting=0, running=0, dead=0, oldest=0)
    counts = monitor.counts()
    assert (counts["durable"].waiting, counts["other"]) == (1, nothing)


def test_loops_one_after_another_leave_nothing_open(engines: Engines, app: App) -> None:
    """As those of a test client, which are closed without a word: the next one gives back what they opened."""
    for _ in range(300):
        assert asyncio.run(request(app, "/")).status == 200
        assert engines.memory.opened - engines.memory.abandoned == 1
    assert (engines.memory.opened, engines.memory.closed, len(engines.memory.kept)) == (300, 0, 300)


def test_without_an_event_loop_one_handle_serves_all(
    engines: Engines, references: list[TaskReference], app: App, monitor: BackgroundTasksMonitor
) -> None:
    """Whoever asks; it is given back when the application shuts down."""
    assert in_a_thread(lambda: monitor.state("unknown")) is None
    assert monitor.state("unknown") is None
    assert (engines.memory.opened, engines.other.opened) == (1, 1)
    assert asyncio.run(request(app, "/")).status == 200
    assert in_a_thread(lambda: monitor.state(references[0].task_id)) == "accepted"
    assert (engines.memory.opened, engines.memory.abandoned) == (2, 1)
    asyncio.run(run_once(app))
    assert (engines.memory.abandoned, engines.other.abandoned) == (2, 1)


def test_a_thread_uses_the_handle_of_a_loop(
    engines: Engines, references: list[TaskReference], app: App, monitor: BackgroundTasksMonitor
) -> None:
    """If one is open."""

    async def serve() -> None:
        await request(app, "/")
        assert await asyncio.to_thread(monitor.cancel, references[0].task_id)

    asyncio.run(serve())
    assert engines.memory.opened == 1


def test_loops_in_several_threads_at_once_have_each_their_own(engines: Engines, app: App) -> None:
    """And each task is accepted once."""
    ready = threading.Barrier(4, timeout=PATIENCE)

    async def serve() -> None:
        await asyncio.to_thread(ready.wait)
        for _ in range(25):
            assert (await request(app, "/")).status == 200
        await asyncio.to_thread(ready.wait)

    threads = [threading.Thread(target=asyncio.run, args=(serve(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (engines.memory.opened, len(engines.memory.kept)) == (4, 100)
