"""Every kind of task is what it is elsewhere, also while a test watches it."""

import contextvars
import re
import threading
from typing import Any, cast

import anyio
import pytest
from ellar.app import App
from ellar.common import Inject, get
from starlette.testclient import TestClient

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksMonitor,
    Retry,
    TaskContext,
    background_task,
    current_background_tasks,
)
from bg_di.backends.sqlite import SqliteBackend
from bg_di.errors import BackgroundTasksNotAccepted, TaskTimedOut
from bg_di.running.runner import Runner
from bg_di.testing import RecordingBackgroundTasks, WatchedBackgroundTasks
from bg_di.testing.words import AddedTasks
from tests.harness import application

done: list[str] = []


@pytest.fixture(autouse=True)
def nothing_is_done() -> None:
    done.clear()


async def note(what: str) -> None:
    done.append(what)


async def fails(what: str) -> None:
    raise ValueError(what)


async def adds(what: str) -> None:
    current_background_tasks().add_task(note, f"{what} added")
    current_background_tasks().using(when="failure").add_task(note, f"{what} failed")


@background_task(name="durable", backend="durable")
async def durable(what: str) -> None:
    done.append(what)
    current_background_tasks().add_task(note, f"after {what}")
    if what == "more":
        current_background_tasks().add_task(durable, "once more")


@background_task(name="retried", backend="durable", retry=Retry(on=OSError, attempts=None, timeout=600, wait_max=60))
async def retried() -> None:
    done.append("attempt")
    raise OSError("away")


@background_task(name="retried here", retry=Retry(on=OSError, attempts=None, timeout=600, wait_max=60))
async def retried_here() -> None:
    done.append("attempt")
    raise OSError("away")


scopes: list[anyio.CancelScope] = []


async def endless_here() -> None:
    done.append("began")
    if scopes:
        scopes.pop().cancel()
        await anyio.sleep_forever()


@background_task(name="endless", backend="durable")
async def endless() -> None:
    await endless_here()


def shop(path: str, *routes: Any, **options: Any) -> App:
    setup = BackgroundTasksModule.setup(
        name="shop", tasks=[durable, endless, retried], backends={"durable": SqliteBackend(path)}, **options
    )
    return application(*routes, tasks=setup)


def test_sync_handlers_and_threads(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """What they add at once is known, each call once."""

    def in_a_thread(number: int) -> None:
        done.append(str(number))

    @get("/")
    def handler(tasks: BackgroundTasks) -> None:
        def add(number: int) -> None:
            tasks.add_task(in_a_thread, number)

        threads = [threading.Thread(target=contextvars.copy_context().run, args=(add, number)) for number in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    TestClient(shop(path, handler)).get("/")
    assert [task.state for task in background_tasks.all(in_a_thread)] == ["succeeded"] * 100
    assert sorted(map(int, done)) == list(range(100))


@pytest.mark.parametrize("mode", ["run", "hold"])
def test_what_tasks_add(path: str, background_tasks: WatchedBackgroundTasks, mode: str) -> None:
    """It runs behind them, counts by their outcome, and is held as they are."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(adds, "one")
        tasks.add_task(durable, "more")

    def call() -> None:
        TestClient(shop(path, handler)).get("/")

    if mode == "run":
        call()
    else:
        with background_tasks.held():
            call()
            assert done == []
            anyio.run(background_tasks.drain)
    assert sorted(done) == ["after more", "after once more", "more", "once more", "one added"]
    background_tasks.assert_skipped(background_tasks.one(note, "one failed"), reason="did not fail")
    background_tasks.assert_ran(background_tasks.assert_accepted(background_tasks.one(durable, "more")))


def test_an_engine_that_has_a_task_only_later(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """What a task adds is accepted when the response has gone, and so it is said."""

    async def hands_over() -> None:
        current_background_tasks().add_task(durable, "later")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(hands_over)

    TestClient(shop(path, handler)).get("/")
    assert done == ["later", "after later"]
    with pytest.raises(AssertionError, match="before the response started, and it was later"):
        background_tasks.assert_accepted(durable)


@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_what_is_behind_a_failing_task(path: str, background_tasks: WatchedBackgroundTasks, on_error: Any) -> None:
    """As the option says."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fails, "it")
        tasks.add_task(note, "behind")
        tasks.using(when="always").add_task(note, "always")

    TestClient(shop(path, handler, on_error=on_error)).get("/")
    background_tasks.assert_failed(fails, ValueError)
    background_tasks.assert_ran(background_tasks.one(note, "always"))
    behind = background_tasks.one(note, "behind")
    assert behind.state == ("skipped" if on_error == "stop" else "succeeded")


def test_a_handler_that_fails(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """Its tasks are dropped, those for that very case run."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "dropped")
        tasks.add_task(durable, "dropped, too")
        tasks.using(when="failure").add_task(durable, "failed")
        raise ZeroDivisionError

    TestClient(shop(path, handler), raise_server_exceptions=False).get("/")
    background_tasks.assert_skipped(background_tasks.one(note, "dropped"), reason="ZeroDivisionError")
    background_tasks.assert_skipped(background_tasks.one(durable, "dropped, too"), reason="ZeroDivisionError")
    background_tasks.assert_ran(background_tasks.one(durable, "failed"))


def test_one_task_stands_for_another(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """By its unique key; both are accepted, one runs; after a day on the clock the key is free again."""
    ids: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        reference = tasks.using(unique_key="k").add_task(durable, "once")
        ids.append(reference.task_id)

    client = TestClient(shop(path, handler))
    client.get("/")
    client.get("/")
    first, second = background_tasks.all(durable)
    background_tasks.assert_accepted(second)
    assert second.reason == f"{first.task_id} stands for it, by its unique key"
    assert (first.state, done.count("once")) == ("succeeded", 1)
    background_tasks.clock.advance(24 * 3600 + 1)
    client.get("/")
    assert done.count("once") == 2


def test_the_monitor_knows_what_is_on_an_engine(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """It tells how it stands, and takes it back."""
    ids: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        ids.append(tasks.using(delay=60).add_task(durable, "late").task_id)

    app = shop(path, handler)
    TestClient(app).get("/")
    monitor = app.injector.get(BackgroundTasksMonitor)
    assert monitor.state(ids[0]) == "accepted"
    assert monitor.counts()["durable"].waiting == 1
    assert monitor.cancel(ids[0])
    assert not monitor.cancel(ids[0])
    assert monitor.state(ids[0]) == "cancelled"
    background_tasks.clock.advance(60)
    anyio.run(background_tasks.drain)
    assert done == []


@pytest.mark.parametrize("task", [retried, retried_here], ids=["on an engine", "in the process"])
def test_retries_end_by_the_clock(path: str, background_tasks: WatchedBackgroundTasks, task: Any) -> None:
    """Also those without another limit than a time over all."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(task)

    TestClient(shop(path, handler)).get("/")
    background_tasks.assert_failed(task, OSError)
    assert 10 < len(done) < 50
    assert 600 <= background_tasks.clock.passed < 720


def test_a_clock_that_another_thread_moves_ends_what_runs(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """A real timeout, by a time that has not really passed."""
    began = threading.Event()

    @background_task(timeout=3600)
    async def waits() -> None:
        began.set()
        await anyio.Event().wait()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(waits)

    app = shop(path, handler)
    client = threading.Thread(target=lambda: TestClient(app).get("/"))
    client.start()
    assert began.wait(30)
    background_tasks.clock.advance(3599)
    background_tasks.clock.advance(1)
    client.join(30)
    background_tasks.assert_failed(waits, TaskTimedOut)


def test_a_clock_does_not_go_back(background_tasks: WatchedBackgroundTasks) -> None:
    """Whoever says so is told."""
    with pytest.raises(ValueError, match="does not go back"):
        background_tasks.clock.advance(-1)


def test_a_performed_task_has_what_it_would_have(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """Its context, its attempts, and a container around it."""

    @background_task(retry=Retry(on=OSError, attempts=3))
    async def asks(context: Inject[TaskContext] = INJECTED) -> None:
        done.append(f"{context.method} {context.attempt}")
        if context.attempt < 3:
            raise OSError

    shop(path)
    task = anyio.run(background_tasks.perform, asks)
    assert (task.state, task.attempt) == ("succeeded", 3)
    assert done == ["PERFORM 1", "PERFORM 2", "PERFORM 3"]


def test_an_error_in_a_drained_task_takes_what_it_added_with_it(
    path: str, background_tasks: WatchedBackgroundTasks
) -> None:
    """As it does after a request."""

    async def adds_and_fails() -> None:
        current_background_tasks().add_task(note, "dropped")
        current_background_tasks().using(when="failure").add_task(note, "failed")
        raise ValueError("broken")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(adds_and_fails)

    with background_tasks.held(only=adds_and_fails):
        TestClient(shop(path, handler)).get("/")
    with pytest.raises(ValueError, match="broken"):
        anyio.run(background_tasks.drain)
    assert done == ["failed"]
    background_tasks.assert_skipped(background_tasks.one(note, "dropped"), reason="adds_and_fails")


def test_what_an_engine_has_buried_is_told_and_runs_again(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """As the commands ask for it."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(retried)

    app = shop(path, handler)
    TestClient(app).get("/")
    task = background_tasks.assert_failed(retried, OSError)
    module: Any = app.injector.get_module(BackgroundTasksModule)
    engine = module.get(Runner).engines.of("durable")
    assert [entry.task_id for entry in engine.entries("dead", limit=10)] == [task.task_id]
    assert engine.entries("accepted", limit=10) == []
    assert engine.show(task.task_id).reason == "OSError: away"
    assert engine.show("unknown") is None
    assert engine.retry(["unknown"]) == []
    assert engine.retry() == [task.task_id]
    with pytest.raises(OSError, match="away"):
        anyio.run(background_tasks.drain)
    assert engine.prune(before=engine.show(task.task_id).since + 1, dead=True) == 1


def test_what_an_engine_has_buried_stays_so_while_another_has_its_key(
    path: str, background_tasks: WatchedBackgroundTasks
) -> None:
    """By which only one of them may wait."""

    @get("/")
    async def handler(delay: int, tasks: BackgroundTasks) -> None:
        tasks.using(unique_key="k", delay=delay).add_task(retried)

    app = shop(path, handler)
    TestClient(app).get("/?delay=0")
    background_tasks.assert_failed(retried, OSError)
    TestClient(app).get("/?delay=3600")
    module: Any = app.injector.get_module(BackgroundTasksModule)
    assert module.get(Runner).engines.of("durable").retry() == []


async def test_a_worker_of_an_application_under_test_gets_nothing(
    path: str, background_tasks: WatchedBackgroundTasks
) -> None:
    """Until it is stopped, and then it is told."""
    module: Any = shop(path).injector.get_module(BackgroundTasksModule)
    consumer = await module.get(Runner).engines.of("durable").consume([], lost=lambda *_: None)
    await consumer.stop()
    assert await consumer.receive(1) == ()


@pytest.mark.parametrize("task", [endless, endless_here], ids=["on an engine", "in the process"])
def test_a_task_that_is_cut_off(path: str, background_tasks: WatchedBackgroundTasks, task: Any) -> None:
    """With who performs it; what an engine has is still there."""
    shop(path)

    async def cut_off() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await background_tasks.perform(task)
        assert scope.cancelled_caught
        assert background_tasks.one(task).state == "cancelled"
        await background_tasks.drain()

    anyio.run(cut_off)
    assert len(done) == (2 if task is endless else 1)


def test_what_an_engine_refuses_is_not_performed(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """And says so."""
    shop(path)
    with background_tasks.refusing("is full"), pytest.raises(BackgroundTasksNotAccepted, match="is full"):
        anyio.run(background_tasks.perform, durable, "it")
    assert done == []


def test_a_task_whose_own_tasks_are_refused_comes_back(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """When the engine can be reached again."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(durable, "more")

    with background_tasks.held():
        TestClient(shop(path, handler)).get("/")
    with background_tasks.refusing():
        anyio.run(background_tasks.drain)
    assert background_tasks.one(durable, "more").state == "accepted"
    background_tasks.clock.advance(3600)
    anyio.run(background_tasks.drain)
    assert background_tasks.one(durable, "more").state == "succeeded"
    assert "after once more" in done


def test_calls_match_whatever_they_take(path: str, background_tasks: WatchedBackgroundTasks) -> None:
    """By position where there is no signature, by name where any name may be given."""

    async def takes(**anything: str) -> None: ...

    async def take(**anything: str) -> None: ...

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(max, 1, 2)
        tasks.add_task(takes, colour="red")

    TestClient(shop(path, handler)).get("/")
    background_tasks.one(max, 1, 2)
    background_tasks.one(takes, colour="red")
    assert background_tasks.all(takes, colour="blue") == background_tasks.all(takes, size="red") == []
    with pytest.raises(AssertionError, match=r"max\(1, 2\): succeeded  <- the nearest: argument 0 is 1"):
        background_tasks.one(max, 2)
    with pytest.raises(
        AssertionError, match=r"takes\(colour='red'\): succeeded  <- the nearest: it is another function"
    ):
        background_tasks.one(take)
    with pytest.raises(AssertionError, match=r"(?s)found 0; added:((?!nearest).)*$"):
        background_tasks.one(note)


@pytest.mark.parametrize("tasks", [RecordingBackgroundTasks(), None], ids=["fake", "fixture"])
async def test_what_is_no_function_is_refused(
    background_tasks: WatchedBackgroundTasks, tasks: AddedTasks | None
) -> None:
    """A test that asks for what nobody could add would prove nothing."""
    words: Any = tasks or background_tasks
    for ask in (words.all, words.one, words.assert_not_added, words.assert_ran):
        for what in ("note", [note], None):
            with pytest.raises(TypeError, match=f"{re.escape(repr(what))} is no function that could have been added"):
                ask(what)
    for only in ("note", ["note"], 7):
        with pytest.raises(TypeError, match="is no function that could have been added: give the function itself"):
            await words.drain(only=only)


def test_only_functions_are_held(background_tasks: WatchedBackgroundTasks) -> None:
    for only in ("note", ["note"], 7):
        with pytest.raises(TypeError, match="is no function"), background_tasks.held(cast(Any, only)):
            pass


@pytest.mark.parametrize("error", ["OSError", OSError(), 7, (OSError, "ValueError"), str])
def test_only_types_of_errors_are_allowed_and_asserted(background_tasks: WatchedBackgroundTasks, error: Any) -> None:
    """At once, also where no task fails."""
    with pytest.raises(TypeError, match="is no type of errors: give ValueError, for example"):
        background_tasks.assert_failed(note, error)
    with pytest.raises(TypeError, match="is no type of errors: give ValueError, for example"):
        background_tasks.allow_failures(*error if isinstance(error, tuple) else (error,))
