"""What goes on before a test has the fixture, and after it, is as if there was none."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from ellar.app import App
from ellar.common import get
from starlette.testclient import TestClient

from bg_di import BackgroundTasks, BackgroundTasksModule, BackgroundTasksMonitor, background_task
from bg_di.backends.sqlite import SqliteBackend
from bg_di.calls.overlay import put_over
from bg_di.testing import WatchedBackgroundTasks
from bg_di.testing.stage import Stage
from tests.harness import application
from tests.pytest_plugin import shop as the_shop

PATIENCE = 30

done: list[str] = []
has_run = threading.Semaphore(0)


@background_task(name="kept", backend="durable")
async def kept(what: str) -> None:
    done.append(what)
    has_run.release()


@background_task
async def here(what: str) -> None:
    done.append(what)
    has_run.release()


async def plain(what: str) -> None:
    done.append(what)


@contextmanager
def watching() -> Generator[WatchedBackgroundTasks]:
    """What the fixture does, in a block of a test."""
    stage = Stage()
    with put_over(stage):
        yield WatchedBackgroundTasks(stage)
        stage.check()


def shop(path: str, *routes: Any) -> App:
    done.clear()
    while has_run.acquire(blocking=False):  # by other tests
        pass
    setup = BackgroundTasksModule.setup(name="shop", tasks=[kept], backends={"durable": SqliteBackend(path)})

    @get("/")
    async def handler(what: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(kept, what)

    return application(handler, *routes, tasks=setup)


def test_a_worker_works_before_and_after(path: str) -> None:
    """On the file; and what a test adds never gets there."""
    with TestClient(shop(path)) as client:
        client.get("/?what=before")
        assert has_run.acquire(timeout=PATIENCE)
        with watching() as tasks:
            client.get("/?what=within")
            tasks.assert_ran(kept)
            assert has_run.acquire(timeout=PATIENCE)
        client.get("/?what=after")
        assert has_run.acquire(timeout=PATIENCE)
    assert done == ["before", "within", "after"]
    assert [task.args for task in tasks.all(kept)] == [("within",)]


def test_an_application_without_a_worker_is_as_before(path: str) -> None:
    """What it adds when the test is over is accepted by its engine, and by nothing else."""
    app = shop(path)
    with watching() as tasks:
        TestClient(app).get("/?what=within")
    assert not Path(path).exists()
    TestClient(app).get("/?what=after")
    assert len(tasks.tasks_added) == 1
    assert app.injector.get(BackgroundTasksMonitor).counts()["durable"].waiting == 1
    assert done == ["within"]


def test_a_function_that_was_added_before_is_heard_of(path: str) -> None:
    """Also one that is so plain that adding it again is a short way; and not any more when the test is over."""

    @get("/plain")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(plain, "it")

    client = TestClient(shop(path, handler))
    client.get("/plain")
    with watching() as tasks:
        client.get("/plain")
        tasks.assert_ran(plain)
    client.get("/plain")
    assert done == ["it", "it", "it"]
    assert len(tasks.tasks_added) == 1


def test_what_is_about_to_run_is_waited_for(path: str) -> None:
    """Between its engine and its first line it is neither due nor does it run yet."""
    app, stage = the_shop.build(path), Stage()
    with put_over(stage):
        TestClient(app).post("/accounts/reminded?address=ada")
        [task] = stage.observer.added
        assert stage.under_way() == []
        engine = stage.stand_ins.engine(stage.only_runner().engines, "durable")
        kept = engine.meant(task.task_id)
        assert kept is not None
        assert engine.deliver(kept) is not None
        assert engine.deliver(kept) is None
        assert stage.under_way() == [task]


def test_what_was_added_before_is_not_held(path: str) -> None:
    """Nobody would ever run it, as the test knows nothing of it."""
    added, goes_on = threading.Event(), threading.Event()

    @get("/slow")
    async def slow(tasks: BackgroundTasks) -> None:
        tasks.add_task(here, "in the process")
        tasks.add_task(kept, "on the engine")
        added.set()
        await anyio.to_thread.run_sync(goes_on.wait)

    app = shop(path, slow)
    client = threading.Thread(target=lambda: TestClient(app).get("/slow"))
    client.start()
    assert added.wait(PATIENCE)
    with watching() as tasks, tasks.held():
        goes_on.set()
        client.join(PATIENCE)
    assert done == ["in the process", "on the engine"]
    tasks.assert_none()


def test_many_threads_add_at_once(path: str) -> None:
    """Each call is known once, and has ended when its client has its answer."""

    def call(number: int) -> None:
        TestClient(app).get(f"/?what={number}")

    app = shop(path)
    with watching() as tasks:
        threads = [threading.Thread(target=call, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        for number in range(40):
            tasks.assert_ran(tasks.assert_accepted(tasks.one(kept, str(number))))
    assert sorted(map(int, done)) == list(range(40))
