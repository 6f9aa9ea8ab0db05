"""Promise 11 on an engine: claims stop, what runs has time to end, and the rest goes back, uncounted and named."""

import asyncio
import sys
import threading
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any

import anyio
import pytest
from ellar.common import Inject

from bg_di import INJECTED, BackgroundTasks, TaskObserver, TaskRecord, background_task, current_background_tasks
from bg_di.errors import BackendUnavailable
from bg_di.working import worker
from tests.backends.shop import Shop
from tests.backends.test_worker import Heard, hears
from tests.harness import Log, running

NEVER = 3600.0


async def test_claims_stop_and_what_runs_ends_in_its_time(log: Log) -> None:
    """What is behind it waits for another worker."""
    started, release = anyio.Event(), anyio.Event()
    ran: list[int] = []

    @background_task(name="task")
    async def task(number: int) -> None:
        started.set()
        await release.wait()
        ran.append(number)

    shop = Shop(task, backend={"concurrency": 1}, grace_period=NEVER)
    for number in (1, 2):
        await shop.add(task, number)

    async def ending() -> None:
        shop.memory.ending = lambda what: ran.append(-1) if what == "stop" else None
        await started.wait()
        release.set()

    async with anyio.create_task_group() as group, running(shop.app):
        group.start_soon(ending)
        await started.wait()
    assert ran == [1, -1]
    assert [kept.state for kept in shop.memory.kept.values()] == ["succeeded", "accepted"]
    assert log.messages == []


async def test_what_does_not_end_in_its_time_is_cut_off_and_given_back(log: Log) -> None:
    """By name and uncounted; what it has opened is closed, what it has added is named, and observers see its end."""
    started = anyio.Event()
    closed: list[str] = []

    class Witness(TaskObserver):
        @contextmanager
        def _around(self, what: str) -> Generator[None]:
            try:
                yield
            finally:
                closed.append(what)

        def task(self, record: TaskRecord) -> Any:
            return self._around("task")

        def attempt(self, record: TaskRecord) -> Any:
            return self._around("attempt")

    @background_task(name="endless")
    async def endless(stack: Inject[AsyncExitStack] = INJECTED, tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        async def close() -> None:
            await anyio.lowlevel.checkpoint()
            closed.append("stack")

        stack.push_async_callback(close)
        tasks.add_task(endless)
        tasks.using(backend="in_process", when="always").add_task(inside)
        started.set()
        await anyio.sleep(NEVER)

    async def inside() -> None: ...

    heard = Heard()
    shop = Shop(endless, grace_period=0, observers=[Witness()], more=hears(heard))
    await shop.add(endless)
    async with running(shop.app):
        await started.wait()
    kept = shop.memory.one()
    assert (kept.state, kept.attempt, kept.delivery) == ("accepted", 0, 0)
    assert closed == ["stack", "attempt", "task"]
    assert heard.failures == []
    assert sorted(message.split(" of ")[0].split(" (")[0] for message in log.messages) == [
        "background task endless",
        "background task endless",
        f"background task {inside.__module__}:{inside.__qualname__}",
    ]
    assert log.messages[-1] == (
        f"background task endless ({kept.message.task_id}) of the backend 'engine' was cut off: it goes back, "
        "uncounted, when its worker stops"
    )


async def test_what_it_added_is_cut_off_too(log: Log) -> None:
    """Its task is not acknowledged: it has not been done in full."""
    started = anyio.Event()

    @background_task(name="outer")
    async def outer() -> None:
        current_background_tasks().using(backend="in_process").add_task(inside)

    async def inside() -> None:
        started.set()
        await anyio.sleep(NEVER)

    shop = Shop(outer, grace_period=0)
    await shop.add(outer)
    async with running(shop.app):
        await started.wait()
    assert shop.memory.one().state == "accepted"
    assert ["inside" in log.messages[0], "outer" in log.messages[1]] == [True, True]


async def test_what_a_task_makes_of_being_cut_off_is_no_failure(log: Log) -> None:
    """Some libraries raise an error of their own instead."""
    started = anyio.Event()
    heard = Heard()

    @background_task(name="wraps")
    async def wraps() -> None:
        started.set()
        try:
            await anyio.sleep(NEVER)
        except asyncio.CancelledError:
            raise ConnectionError("interrupted") from None

    shop = Shop(wraps, grace_period=0, more=hears(heard))
    await shop.add(wraps)
    async with running(shop.app):
        await started.wait()
    assert (shop.memory.one().state, heard.failures) == ("accepted", [])
    assert "was cut off" in log.messages[0]


async def test_a_task_that_ends_well_although_it_is_cut_off_is_acknowledged(log: Log) -> None:
    """It has done what it was to do."""
    started = anyio.Event()

    @background_task(name="brave")
    async def brave() -> None:
        started.set()
        with suppress(asyncio.CancelledError):
            await anyio.sleep(NEVER)

    shop = Shop(brave, grace_period=0)
    await shop.add(brave)
    async with running(shop.app):
        await started.wait()
    assert shop.memory.one().state == "succeeded"
    assert log.messages == []


async def test_a_task_that_refuses_to_be_cut_off_does_not_hold_the_shutdown_up(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and given back all the same."""
    monkeypatch.setattr(worker, "_CUT_OFF_TIMEOUT", 0.01)
    started, release, over = anyio.Event(), anyio.Event(), anyio.Event()

    @background_task(name="stubborn")
    async def stubborn() -> None:
        started.set()
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        over.set()

    shop = Shop(stubborn, grace_period=0)
    await shop.add(stubborn)
    async with running(shop.app):
        await started.wait()
    assert shop.memory.one().state == "accepted"
    release.set()
    await over.wait()
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    assert shop.memory.one().state == "accepted"
    assert ["runs on" in message or "does not let itself be cut off" in message for message in log.messages] == [
        True,
        False,
    ]
    assert "ended after its delivery had been lost" in log.messages[1]


async def test_a_thread_that_is_cut_off_is_given_back(log: Log) -> None:
    """Nothing can stop it; the shutdown goes on without it."""
    started, release = threading.Event(), threading.Event()

    @background_task(name="in a thread")
    def in_a_thread() -> None:
        started.set()
        release.wait(10)

    shop = Shop(in_a_thread, grace_period=0)
    await shop.add(in_a_thread)
    async with running(shop.app):
        while not started.is_set():
            await anyio.lowlevel.checkpoint()
    release.set()
    assert shop.memory.one().state == "accepted"
    assert "was cut off" in log.messages[0]


async def test_who_is_cancelled_while_it_shuts_down_gives_back_at_once(log: Log) -> None:
    """A server that has waited long enough cancels the lifespan; the rest is cut off and given back all the same."""
    started, stopping = anyio.Event(), asyncio.Event()

    @background_task(name="endless")
    async def endless() -> None:
        started.set()
        await anyio.sleep(NEVER)

    shop = Shop(endless, grace_period=NEVER)
    await shop.add(endless)
    to_app: asyncio.Queue[Any] = asyncio.Queue()

    async def receive() -> Any:
        message = await to_app.get()
        if message["type"] == "lifespan.shutdown":
            stopping.set()
        return message

    async def send(message: Any) -> None: ...

    serving = asyncio.create_task(shop.app({"type": "lifespan", "state": {}}, receive, send))
    await to_app.put({"type": "lifespan.startup"})
    await started.wait()
    await to_app.put({"type": "lifespan.shutdown"})
    await stopping.wait()
    await anyio.lowlevel.checkpoint()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    kept = shop.memory.one()
    assert (kept.state, kept.delivery) == ("accepted", 0)
    assert "endless" in log.text
    assert shop.memory.closed == shop.memory.opened == 1


async def test_who_is_cancelled_before_it_is_told_to_shut_down_gives_back_first(log: Log) -> None:
    """The application says that it has ended on its own, before its frame hears of it; nobody waits for ever."""
    started = anyio.Event()

    @background_task(name="endless")
    async def endless() -> None:
        started.set()
        await anyio.sleep(NEVER)

    shop = Shop(endless, grace_period=0)
    await shop.add(endless)
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    said: list[str] = []
    shop.memory.ending = said.append

    async def send(message: Any) -> None:
        said.append(message["type"])

    serving = asyncio.create_task(shop.app({"type": "lifespan", "state": {}}, to_app.get, send))
    await to_app.put({"type": "lifespan.startup"})
    await started.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    kept = shop.memory.one()
    assert (kept.state, kept.delivery) == ("accepted", 0)
    assert "was cut off" in log.messages[0]
    assert said == ["lifespan.startup.complete", "stop", "close", "lifespan.shutdown.failed"]
    assert shop.memory.closed == shop.memory.opened == 1


async def test_a_cancelled_error_of_the_tasks_own_is_its_failure() -> None:
    """It awaited what somebody else had cancelled."""
    heard = Heard()

    @background_task(name="cancelled")
    async def cancelled(how: str) -> None:
        if how == "waits":
            await anyio.lowlevel.checkpoint()
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        raise asyncio.CancelledError

    shop = Shop(cancelled, more=hears(heard))
    for how in ("waits", "raises"):
        await shop.add(cancelled, how)
    await shop.work("bury", "bury")
    assert [type(failure.error) for failure in heard.failures] == [asyncio.CancelledError] * 2


async def test_a_task_that_cancels_itself_is_left_until_the_worker_stops(log: Log) -> None:
    """It is not run again and again: it waits, in hand, and others run."""
    ran: list[str] = []

    @background_task(name="cancels")
    async def cancels() -> None:
        ran.append("cancels")
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await anyio.sleep(NEVER)

    @background_task(name="other")
    async def other() -> None:
        ran.append("other")

    shop = Shop(cancels, other, backend={"concurrency": 1})
    await shop.add(cancels)
    await shop.add(other)
    async with running(shop.app):
        await shop.memory.until("acknowledge")
    assert ran == ["cancels", "other"]
    assert sorted(kept.state for kept in shop.memory.kept.values()) == ["accepted", "succeeded"]
    assert "cancels" in log.messages[0]
    assert "was cut off" in log.messages[0]


class OfTheUsersOwn(BaseException): ...


@background_task(name="exits")
async def exits() -> None:
    sys.exit(3)


@background_task(name="exits in a thread")
def exits_in_a_thread() -> None:
    sys.exit(3)


@background_task(name="raises")
async def raises() -> None:
    raise OfTheUsersOwn


@pytest.mark.parametrize(
    ("task", "error"), [(exits, SystemExit), (exits_in_a_thread, SystemExit), (raises, OfTheUsersOwn)]
)
async def test_a_task_that_exits_fails_and_ends_nothing_else(task: Any, error: type[BaseException]) -> None:
    """Given back uncounted it would end one process after another."""
    heard = Heard()
    shop = Shop(task, more=hears(heard))
    await shop.add(task)
    await shop.work("bury")
    assert str(shop.memory.one().reason).partition(":")[0].endswith(error.__name__)
    assert [type(failure.error) for failure in heard.failures] == [error]


@background_task(name="interrupted")
async def interrupted() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_ends_the_process_and_is_no_failure_of_the_task_that_it_meets() -> None:
    """The task is there when the process comes back."""
    heard = Heard()
    shop = Shop(interrupted, more=hears(heard))

    async def serve() -> None:
        await shop.add(interrupted)
        async with running(shop.app):
            await shop.memory.until_told(1)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(serve())
    assert shop.memory.one().state != "dead"
    assert heard.failures == []


async def test_an_engine_that_is_away_at_the_end_does_not_hold_the_shutdown_up(log: Log) -> None:
    """What was in hand comes back when the engine notices; that is logged, and the application ends in order."""
    ended: list[str] = []

    def fail(what: str) -> None:
        raise BackendUnavailable("the file", f"is gone at {what}")

    @background_task(name="task")
    async def task() -> None: ...

    shop = Shop(task)
    async with running(shop.app) as lifespan:
        shop.memory.ending = fail
    ended = lifespan.said
    assert ended == ["startup.complete", "shutdown.complete"]
    assert log.messages == [
        "the worker of 'engine' could not give back what it had in hand: the file is gone at stop",
        "the backend 'engine' could not be closed: the file is gone at close",
    ]


async def test_a_consumer_that_has_been_stopped_is_not_asked_again() -> None:
    """It would answer at once, for ever, and nothing else would run in this event loop."""

    @background_task(name="task")
    async def task() -> None: ...

    shop = Shop(task)
    async with running(shop.app) as lifespan:
        [consumer] = shop.memory.consumers
        await consumer.stop()
        async with asyncio.timeout(30):
            while any(
                getattr(each.get_coro(), "__qualname__", "") == "Worker._receive" for each in asyncio.all_tasks()
            ):
                await asyncio.sleep(0)
    assert lifespan.said == ["startup.complete", "shutdown.complete"]


async def test_what_cannot_be_told_any_more_is_given_back(log: Log) -> None:
    """The engine has been away since the task has run: the worker does not wait for it beyond its time."""
    away = anyio.Event()

    @background_task(name="task")
    async def task() -> None: ...

    async def verdicts(verdict: str, delivery: Any) -> None:
        if verdict == "acknowledge":
            away.set()
            raise BackendUnavailable("the file", "is locked")

    shop = Shop(task, grace_period=0)
    await shop.add(task)
    shop.memory.verdicts = verdicts
    async with running(shop.app):
        await away.wait()
    assert shop.memory.one().state == "accepted"
    assert ["cannot go on" in log.messages[0], "was cut off" in log.messages[1]] == [True, True]
