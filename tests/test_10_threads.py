"""Promise 10: sync tasks have threads of their own; slow ones never starve sync handlers."""

import threading
from functools import partial

import anyio
import pytest
from ellar.common import get
from starlette.testclient import TestClient

from bg_di import BackgroundTasks, BackgroundTasksModule
from tests.harness import application, request


@pytest.mark.parametrize("max_threads", [3, 45])
async def test_a_sync_handler_completes_while_all_threads_are_blocked(max_threads: int) -> None:
    """As many tasks as there are threads, and more that wait for one, are blocked on an event."""
    release = threading.Event()
    arrived = threading.Semaphore(0)
    running = 0
    most = 0
    lock = threading.Lock()

    def blocked() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        arrived.release()
        release.wait(10)
        with lock:
            running -= 1

    @get("/slow")
    def slow(tasks: BackgroundTasks) -> None:
        tasks.add_task(blocked)

    @get("/sync")
    def sync() -> dict[str, bool]:
        return {"answered": True}

    app = application(slow, sync, tasks=BackgroundTasksModule.setup(max_threads=max_threads))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(max_threads + 5):
                group.start_soon(request, app, "/slow")
            for _ in range(max_threads):
                await anyio.to_thread.run_sync(arrived.acquire)
            for _ in range(50):
                assert (await request(app, "/sync")).json() == {"answered": True}
            assert running == max_threads
            release.set()
    assert most == max_threads


async def test_tasks_do_not_run_in_the_event_loop_thread() -> None:
    """Sync ones; async ones do."""
    threads: list[threading.Thread] = []

    def sync() -> None:
        threads.append(threading.current_thread())

    async def task() -> None:
        sync()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(sync)
        tasks.add_task(task)

    await request(application(handler), "/")
    assert threads[0] is not threading.current_thread()
    assert threads[1] is threading.current_thread()


def test_each_event_loop_has_a_limiter_of_its_own() -> None:
    """A test client without a lifespan makes a new loop for each request."""
    ran: list[int] = []

    @get("/")
    def handler(number: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(ran.append, number)
        tasks.add_task(partial(ran.append, number))

    client = TestClient(application(handler))
    for number in range(3):
        client.get(f"/?number={number}")
    assert ran == [0, 0, 1, 1, 2, 2]
