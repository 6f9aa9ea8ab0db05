"""Promise 12 of start and end: workers start when all else has, and stop before anything does."""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from ellar.app import App
from ellar.common import IApplicationShutdown, IApplicationStartup, Module, get
from ellar.core import ModuleBase
from ellar.testing import Test
from starlette.testclient import TestClient

from bg_di import BackgroundTasks, BackgroundTasksModule, background_task, collect_background_tasks
from bg_di.backends.sqlite import SqliteBackend
from bg_di.edge.lifespan import WORKERS_ONLY
from bg_di.errors import BackendIncapable, BackendOccupied, BackendUnavailable
from tests.backends.memory import Memory, MemoryBackend, MemoryEngine
from tests.backends.shop import Shop
from tests.clock import JUMPING
from tests.conftest import BACKENDS
from tests.harness import Lifespan, Log, application, module, request, running

ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", BACKENDS[:2])
ON_TRIO = pytest.mark.parametrize("anyio_backend", BACKENDS[2:])
ran: list[str] = []


@background_task(name="task")
async def task(what: str = "task") -> None:
    ran.append(what)


@get("/")
async def adds(tasks: BackgroundTasks) -> None:
    tasks.add_task(task)


def hooked(on_startup: Any = None, on_shutdown: Any = None) -> Any:
    """A module that does something when the application starts and ends."""

    @Module()
    class Hooked(ModuleBase, IApplicationStartup, IApplicationShutdown):
        async def on_startup(self, app: App) -> None:
            if on_startup is not None:
                await on_startup()

        async def on_shutdown(self) -> None:
            if on_shutdown is not None:
                await on_shutdown()

    return Hooked


@ON_ASYNCIO
@pytest.mark.parametrize("run_after", ["response", "request"])
async def test_workers_start_last_and_stop_first(run_after: str) -> None:
    """What the application's own hooks have opened is there as long as tasks run; the engine is closed at the end."""
    events: list[str] = []
    memory = Memory()
    memory.consuming = lambda: events.append("worker starts")
    memory.ending = lambda what: events.append(f"engine: {what}")

    async def on_startup() -> None:
        await anyio.lowlevel.checkpoint()
        events.append("application starts")

    async def on_shutdown() -> None:
        events.append("application ends")
        async with collect_background_tasks(shop.app) as tasks:
            tasks.add_task(task)

    shop = Shop(task, memory=memory, more={"modules": [hooked(on_startup, on_shutdown)]}, run_after=run_after)
    async with running(shop.app) as lifespan:
        assert events == ["application starts", "worker starts"]
        assert lifespan.said == ["startup.complete"]
    assert events[2:] == ["engine: stop", "application ends", "engine: close"]
    assert lifespan.said == ["startup.complete", "shutdown.complete"]
    assert memory.one().state == "accepted"


@ON_ASYNCIO
async def test_a_worker_that_cannot_start_is_a_failed_start_up(log: Log) -> None:
    """What has started ends in its own way, before the server hears why."""
    events: list[str] = []

    async def on_shutdown() -> None:
        events.append("application ends")

    def consuming() -> None:
        raise BackendUnavailable("tasks.db", "is read-only")

    shop = Shop(task, more={"modules": [hooked(on_shutdown=on_shutdown)]})
    shop.memory.consuming = consuming
    async with running(shop.app) as lifespan:
        assert events == ["application ends"]
        assert lifespan.is_over
    assert lifespan.said == [
        "startup.failed",
        "a worker of background tasks could not start: bg_di.errors.BackendUnavailable: tasks.db is read-only",
    ]
    assert (type(lifespan.error), shop.memory.closed) == (BackendUnavailable, 1)


@ON_ASYNCIO
async def test_what_fails_when_a_failed_start_up_ends_is_told_too() -> None:
    """The server hears of the start-up's failure all the same, or it would serve without a worker."""

    async def on_shutdown() -> None:
        raise LookupError("no pool")

    def consuming() -> None:
        raise RuntimeError("a bug")

    shop = Shop(task, more={"modules": [hooked(on_shutdown=on_shutdown)]})
    shop.memory.consuming = consuming
    async with running(shop.app) as lifespan:
        pass
    assert str(lifespan.error) == "a bug"
    assert lifespan.said == [
        "startup.failed",
        (
            "a worker of background tasks could not start: RuntimeError: a bug; "
            "then the application could not shut down: LookupError: no pool"
        ),
    ]


@ON_ASYNCIO
async def test_if_the_second_worker_cannot_start_the_first_one_stops() -> None:
    """And gives back what it had taken."""
    first, second = Memory(), Memory()

    def consuming() -> None:
        raise BackendUnavailable("the second", "is away")

    second.consuming = consuming
    shop = Shop(task, backends={"engine": MemoryBackend(memory=first), "second": MemoryBackend(memory=second)})
    async with running(shop.app) as lifespan:
        pass
    assert lifespan.said[0] == "startup.failed"
    assert (first.consumers, first.closed, second.closed) == ([], 1, 1)


@ON_ASYNCIO
async def test_an_application_that_fails_to_start_starts_no_worker() -> None:
    """What it has opened of the engine until then is closed, before the server hears of it."""

    async def on_startup() -> None:
        async with collect_background_tasks(shop.app) as tasks:
            tasks.add_task(task)
        raise LookupError("no pool")

    def consuming() -> None:
        raise AssertionError("never begins")

    shop = Shop(task, more={"modules": [hooked(on_startup)]})
    shop.memory.consuming = consuming
    async with running(shop.app) as lifespan:
        assert lifespan.said[0] == "startup.failed"
        assert "LookupError: no pool" in lifespan.said[1]
        assert (shop.memory.opened, shop.memory.closed) == (1, 1)
    assert isinstance(lifespan.error, LookupError)


@ON_ASYNCIO
async def test_a_lifespan_that_crashes_gives_everything_back() -> None:
    """A server may break off in the middle, without a word about the shutdown."""
    started = anyio.Event()

    @background_task(name="endless")
    async def endless() -> None:
        started.set()
        await anyio.sleep(3600)

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await started.wait()
        raise ConnectionError("the server has gone")

    async def send(message: Any) -> None: ...

    messages = [{"type": "lifespan.startup"}]
    shop = Shop(endless, grace_period=0)
    await shop.add(endless)
    with pytest.raises(ConnectionError):
        await shop.app({"type": "lifespan", "state": {}}, receive, send)
    assert shop.memory.one().state == "accepted"
    assert (shop.memory.consumers, shop.memory.closed) == ([], 1)


def test_an_event_loop_that_ends_gives_everything_back(log: Log) -> None:
    """As when a server is told twice to exit: it says nothing of the shutdown, and all that runs is cancelled."""
    cleaned: list[str] = []

    @background_task(name="endless")
    async def endless() -> None:
        try:
            started.set()
            await anyio.sleep(3600)
        finally:
            await anyio.lowlevel.checkpoint()
            cleaned.append("cleaned")

    async def main() -> None:
        messages = [{"type": "lifespan.startup"}]

        async def receive() -> Any:
            return messages.pop() if messages else await anyio.sleep_forever()

        async def send(message: Any) -> None: ...

        await shop.add(endless)
        keep.append(asyncio.create_task(shop.app({"type": "lifespan", "state": {}}, receive, send)))
        await started.wait()

    keep: list[Any] = []
    started = asyncio.Event()
    shop = Shop(endless)
    asyncio.run(main())
    kept = shop.memory.one()
    assert (kept.state, kept.attempt, kept.delivery) == ("accepted", 0, 0)
    assert cleaned == ["cleaned"]
    assert (shop.memory.consumers, shop.memory.closed) == ([], 1)
    assert [message.rpartition(" was cut off")[1] for message in log.messages] == [" was cut off"]


@ON_TRIO
async def test_engines_refuse_to_start_on_trio() -> None:
    """They are asyncio only, and say so."""
    shop = Shop(task)
    async with running(shop.app) as lifespan:
        pass
    assert lifespan.said == [
        "startup.failed",
        "engines of background tasks work on asyncio only: run the application on it",
    ]
    assert (type(lifespan.error), shop.memory.opened) == (BackendIncapable, 0)


async def test_without_engines_the_lifespan_passes_through() -> None:
    """On any event loop."""
    ran.clear()
    app = application(adds, tasks=BackgroundTasksModule.setup(tasks=[task]))
    async with running(app) as lifespan:
        await request(app, "/")
    assert lifespan.said == ["startup.complete", "shutdown.complete"]
    assert ran == ["task"]


@ON_ASYNCIO
async def test_a_worker_that_is_not_embedded_works_elsewhere() -> None:
    """Only where an application is run for its workers."""
    ran.clear()
    shop = Shop(task, routes=[adds], backend={"embedded": False})
    async with running(shop.app):
        await request(shop.app, "/")
        assert shop.memory.consumers == []
    assert shop.memory.one().state == "accepted"
    async with running(shop.app, **{WORKERS_ONLY: {"engine"}}):
        await shop.memory.until("acknowledge")
    assert ran == ["task"]


NO_WORKER = (
    "tasks go to the backend 'engine', and no worker in this process takes them: the application was not started up, "
    "as its server runs no lifespan, or it is mounted in another one; run python -m bg_di worker, and say "
    "embedded=False where that is so"
)


@ON_ASYNCIO
async def test_that_nobody_takes_what_is_accepted_is_said_once(log: Log) -> None:
    """Where the lifespan does not run, which is nobody's error: nothing else shows it."""
    shop = Shop(task, routes=[adds])
    for _ in range(2):
        assert (await request(shop.app, "/")).status == 200
    [record] = log.records
    assert (record.levelname, record.getMessage()) == ("WARNING", NO_WORKER)


@ON_ASYNCIO
@pytest.mark.parametrize("embedded", [True, False])
async def test_it_is_not_said_where_somebody_takes_it(embedded: bool, log: Log) -> None:
    """Here or elsewhere, from the first start-up hook on; nor of what is added outside of requests, as in a script."""

    async def on_startup() -> None:
        await request(shop.app, "/")

    shop = Shop(task, routes=[adds], more={"modules": [hooked(on_startup)]}, backend={"embedded": embedded})
    await shop.add(task)
    if embedded:
        async with running(shop.app):
            await request(shop.app, "/")
    else:
        await request(shop.app, "/")
    assert log.messages == []


class Preparing(MemoryEngine):
    """Says that it was to prepare, and may fail."""

    def __init__(self, backend: "Prepared", application: str) -> None:
        super().__init__(backend, application)
        self._failure = backend.failure

    async def prepare(self) -> None:
        self._memory.tell("prepare", "")
        if self._failure is not None:
            raise self._failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(MemoryBackend):
    failure: Exception | None

    def open(self, application: str) -> Preparing:
        return Preparing(self, application)


def preparing(failure: Exception | None, *, embedded: bool) -> tuple[Memory, App]:
    """An application that hands tasks over, and what its engine has heard, which fails to prepare."""
    memory = Memory()
    backends = {"engine": Prepared(memory=memory, embedded=embedded, failure=failure)}
    return memory, application(tasks=BackgroundTasksModule.setup(name="shop", tasks=[task], backends=backends))


@ON_ASYNCIO
async def test_what_tasks_are_kept_in_is_made_at_start_up() -> None:
    """Where no worker does so as it begins."""
    memory, app = preparing(None, embedded=False)
    async with running(app) as lifespan:
        assert lifespan.said == ["startup.complete"]
        assert memory.told == [("prepare", "")]
    memory, app = preparing(None, embedded=True)
    async with running(app):
        assert memory.told == []


@ON_ASYNCIO
async def test_an_engine_that_is_away_does_not_hinder_the_start(log: Log) -> None:
    """It may be back when there are tasks. It is named."""
    _, app = preparing(BackendUnavailable("broker", "is away"), embedded=False)
    async with running(app) as lifespan:
        assert lifespan.said == ["startup.complete"]
    assert log.messages == [
        "the backend 'engine' cannot keep tasks yet; it is tried again when there are some: broker is away"
    ]


@ON_ASYNCIO
@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (BackendOccupied("broker", "has another queue"), "bg_di.errors.BackendOccupied: broker has another queue"),
        (ValueError("no"), "ValueError: no"),
    ],
)
async def test_an_engine_that_never_will_do_is_a_failed_start_up(failure: Exception, why: str) -> None:
    """Somebody has to change something first."""
    _, app = preparing(failure, embedded=False)
    async with running(app) as lifespan:
        assert lifespan.said == ["startup.failed", f"background tasks cannot be kept: {why}"]


@ON_ASYNCIO
async def test_without_a_lifespan_tasks_are_accepted_and_left() -> None:
    """A mounted application has none; another process works for it."""
    shop = Shop(task, routes=[adds])
    assert (await request(shop.app, "/")).status == 200
    assert shop.memory.one().state == "accepted"
    assert shop.memory.consumers == []


@ON_ASYNCIO
async def test_without_listed_tasks_there_is_no_worker() -> None:
    """It would have nothing to do."""
    shop = Shop()
    async with running(shop.app):
        assert shop.memory.consumers == []
    assert shop.memory.opened == 0


def test_an_application_may_run_again_in_another_loop() -> None:
    """With workers and handles of their own; what the first run has left, the second does."""
    ran.clear()
    shop = Shop(task)

    async def run(number: int) -> None:
        async with running(shop.app):
            await shop.add(task, f"run {number}")
            await shop.memory.until(*["acknowledge"] * (number + 1))

    for number in range(2):
        asyncio.run(run(number))
    assert ran == ["run 0", "run 1"]
    assert (shop.memory.opened, shop.memory.closed, shop.memory.abandoned) == (2, 2, 0)


def test_starlettes_test_client_runs_the_worker() -> None:
    """With its `with` block, as any lifespan; without it, tasks are left."""
    ran.clear()
    memory = Memory()
    setup = BackgroundTasksModule.setup(
        name="shop", tasks=[task], backends={"engine": MemoryBackend(memory=memory)}, default_backend="engine"
    )
    testing: Any = Test.create_test_module(modules=[setup, module(routers=[adds])])
    client = testing.get_test_client()
    assert client.get("/").status_code == 200
    assert memory.one().state == "accepted"
    with client:
        client.portal.call(memory.until, "acknowledge")
    assert ran == ["task"]


@pytest.mark.parametrize("anyio_backend", JUMPING[:1])
async def test_running_tasks_have_the_grace_period_and_no_more(log: Log) -> None:
    """In seconds, for all of them together."""
    began = anyio.Event()

    @background_task(name="sleeps")
    async def sleeps(seconds: float) -> None:
        began.set()
        await anyio.sleep(seconds)

    shop = Shop(sleeps, grace_period=10)
    for seconds in (9.0, 9.5, 11.0):
        await shop.add(sleeps, seconds)
    lifespan, before = Lifespan(), 0.0
    async with anyio.create_task_group() as group:
        group.start_soon(lifespan.serve, shop.app, {})
        await lifespan.tell("startup")
        await began.wait()
        before = anyio.current_time()
        await lifespan.tell("shutdown")
    assert 9.9 < anyio.current_time() - before < 10.1
    assert sorted(kept.state for kept in shop.memory.kept.values()) == ["accepted", "succeeded", "succeeded"]
    assert "was cut off" in log.messages[0]


def test_a_test_client_hears_that_the_application_does_not_start(tmp_path: Path) -> None:
    """It raises what ended the start-up, where it would wait for ever for the end of what never began."""
    setup = BackgroundTasksModule.setup(
        name="shop", tasks=[task], backends={"durable": SqliteBackend(str(tmp_path / "no" / "such" / "tasks.db"))}
    )
    raised: list[BackendUnavailable] = []

    def start() -> None:
        with pytest.raises(BackendUnavailable, match=r"tasks\.db") as error, TestClient(application(tasks=setup)):
            pass
        raised.append(error.value)

    starting = threading.Thread(target=start, daemon=True)
    starting.start()
    starting.join(30)
    assert len(raised) == 1, "it would wait for ever"
