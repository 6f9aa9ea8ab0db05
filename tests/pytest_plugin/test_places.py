"""The fixture hears of every application of the process, whoever serves and calls it."""

import socket
import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from ellar.app import App
from ellar.common import Inject, ModuleRouter
from ellar.core import WebSocket
from ellar.testing import Test
from starlette.testclient import TestClient

from bg_di import BackgroundTasks, BackgroundTasksModule, collect_background_tasks
from bg_di.backends.sqlite import SqliteBackend
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.testing import RecordingBackgroundTasks, WatchedBackgroundTasks
from tests.handing_over import ON_ASYNCIO
from tests.harness import application, websocket
from tests.pytest_plugin import shop
from tests.pytest_plugin.shop import Mailer, Provider, audit, bill, done

MANY = 300


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a shop on a real server, which began before any test."""
    app = shop.build(str(tmp_path_factory.mktemp("served") / "tasks.db"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=10))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    listening.close()


@pytest.fixture
def own(path: str) -> App:
    """A shop for one test."""
    return shop.build(path)


def test_on_a_live_server(served: str, background_tasks: WatchedBackgroundTasks) -> None:
    """Its tasks run after the response; who asks how one ended waits for it."""
    done.clear()
    httpx.post(f"{served}/accounts/?address=ada")
    httpx.post(f"{served}/accounts/billed?number=7")
    background_tasks.assert_ran(Mailer.send_welcome)
    background_tasks.assert_ran(background_tasks.assert_accepted(bill))
    httpx.post(f"{served}/accounts/audited?what=")
    background_tasks.assert_failed(background_tasks.one(audit, ""), ValueError)
    background_tasks.wait()
    assert sorted(done) == ["bill 7", "mail to ada"]


def test_what_a_live_server_does_not_end_in_time_is_named(
    served: str, background_tasks: WatchedBackgroundTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing fails unseen after the test."""
    free = threading.Event()

    class Stuck(Provider):
        async def deliver(self, address: str) -> None:
            await anyio.to_thread.run_sync(free.wait)

    monkeypatch.setattr(Provider, "deliver", Stuck.deliver)
    httpx.post(f"{served}/accounts/?address=ada")
    with pytest.raises(AssertionError, match=r"run on after 0.01 seconds:\n  welcome\('ada'\): running"):
        background_tasks.wait(timeout=0.01)
    free.set()
    background_tasks.wait()


@pytest.mark.background_tasks(mode="hold")
def test_tasks_of_a_live_server_are_held(served: str, background_tasks: WatchedBackgroundTasks) -> None:
    """And run in the event loop of the test."""
    done.clear()
    httpx.post(f"{served}/accounts/?address=ada")
    httpx.post(f"{served}/accounts/billed?number=7")
    background_tasks.wait()
    assert done == []
    anyio.run(background_tasks.drain)
    assert done == ["mail to ada", "bill 7"]


@ON_ASYNCIO
async def test_hundreds_of_requests_at_once(app: App, background_tasks: WatchedBackgroundTasks) -> None:
    """Each task is known once, with the engine's among them."""
    done.clear()
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
        anyio.create_task_group() as group,
    ):
        for number in range(MANY):
            group.start_soon(client.post, f"/accounts/?address={number}")
            group.start_soon(client.post, f"/accounts/billed?number={number}")
    for number in range(MANY):
        background_tasks.assert_ran(background_tasks.one(Mailer.send_welcome, str(number)))
        background_tasks.assert_ran(background_tasks.assert_accepted(background_tasks.one(bill, number)))
    assert len(done) == 2 * MANY


async def test_on_any_event_loop(app: App, background_tasks: WatchedBackgroundTasks) -> None:
    """As an application without a server: httpx calls it."""
    done.clear()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        await client.post("/accounts/?address=ada")
        with background_tasks.held():
            await client.post("/accounts/?address=held")
    background_tasks.assert_ran(background_tasks.one(Mailer.send_welcome, "ada"))
    assert done == ["mail to ada"]
    await background_tasks.drain()
    assert done == ["mail to ada", "mail to held"]


async def test_outside_of_requests(app: App, background_tasks: WatchedBackgroundTasks) -> None:
    """A block that collects is like a request."""
    async with collect_background_tasks(app) as tasks:
        tasks.add_task(audit, "a block")
    assert background_tasks.assert_ran(audit).method == "COLLECT"


def test_in_a_module_under_test_and_in_several_applications(
    background_tasks: WatchedBackgroundTasks, path: str
) -> None:
    """Each is told apart by `of`; one that has no module says so."""
    done.clear()
    router = ModuleRouter("/feature")

    @router.post("/")
    async def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(audit, "a feature")

    tested: Any = Test.create_test_module(modules=[BackgroundTasksModule], routers=[router])
    tested.get_test_client().post("/feature/")
    background_tasks.assert_ran(audit)
    other = shop.build(path)
    TestClient(other).post("/accounts/?address=ada")
    background_tasks.assert_ran(Mailer.send_welcome)

    async def perform() -> None:
        with pytest.raises(LookupError, match="there are 2"):
            await background_tasks.perform(audit, "x")
        await background_tasks.of(other).perform(bill, 7)
        await background_tasks.of(tested.create_application()).perform(audit, "it")

    anyio.run(perform)
    assert done == ["audit of a feature", "mail to ada", "bill 7", "audit of it"]
    with pytest.raises(BackgroundTasksUnavailable, match="declare BackgroundTasksModule"):
        background_tasks.of(application(tasks=None))


def test_the_only_application_of_a_test_is_meant(background_tasks: WatchedBackgroundTasks, path: str) -> None:
    """However many others are left of tests before."""
    shop.build(path)
    done.clear()
    anyio.run(background_tasks.perform, audit, "it")
    assert done == ["audit of it"]


def test_what_several_applications_hold_is_drained(
    own: App, background_tasks: WatchedBackgroundTasks, tmp_path: Path
) -> None:
    """Each runs what is its own, in the order in which all was added."""
    done.clear()
    other = shop.build(str(tmp_path / "other.db"))
    with background_tasks.held(only=bill):
        for number, app in enumerate([own, other, own, other]):
            TestClient(app).post(f"/accounts/billed?number={number}")
    TestClient(other).post("/accounts/?address=ada")
    anyio.run(background_tasks.drain)
    assert done == ["mail to ada", "bill 0", "bill 1", "bill 2", "bill 3"]


@pytest.mark.parametrize("another", [1, 2])
def test_what_a_fixture_has_built_for_a_test_is_meant(
    own: App, background_tasks: WatchedBackgroundTasks, another: int
) -> None:
    """Also if it did so before the fixture began."""
    done.clear()
    anyio.run(background_tasks.perform, audit, "it")
    assert done == ["audit of it"]


def test_a_fake_in_the_place_of_a_collection_is_not_heard_of(background_tasks: WatchedBackgroundTasks) -> None:
    """It runs nothing, and has the same words."""
    tasks = RecordingBackgroundTasks()
    router = ModuleRouter("/feature")

    @router.post("/")
    async def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(audit, "a feature")

    tested: Any = Test.create_test_module(modules=[BackgroundTasksModule], routers=[router])
    tested.override_provider(BackgroundTasks, use_value=tasks).get_test_client().post("/feature/")
    background_tasks.assert_none()
    with pytest.raises(AssertionError, match="expected that it has run"):
        tasks.assert_ran(audit)
    with tasks.collect() as got:
        tasks.add_task(audit, "another")
    anyio.run(partial(tasks.drain, only=[bill]))
    assert [task.state for task in tasks.all(audit)] == ["waiting", "waiting"]
    anyio.run(tasks.drain)
    tasks.assert_ran(tasks.one(audit, "a feature"))
    assert got.assert_ran(audit).args == ("another",)


def test_websockets_are_drained_at_their_end(background_tasks: WatchedBackgroundTasks, path: str) -> None:
    """And what they hand over is accepted, without a response to be before."""
    setup = BackgroundTasksModule.setup(
        name="chat", tasks=[bill], backends={"durable": SqliteBackend(path)}, default_backend="in_process"
    )

    @websocket("/ws")
    async def chat(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await websocket.accept()
        tasks.add_task(audit, "a connection")
        tasks.add_task(bill, 7)
        await websocket.close()

    with TestClient(application(chat, tasks=setup)).websocket_connect("/ws"):
        pass
    # The test client cancels the application when it has left the connection.
    anyio.run(background_tasks.drain)
    assert background_tasks.assert_ran(audit).method == "WEBSOCKET"
    background_tasks.assert_ran(background_tasks.assert_accepted(bill))
