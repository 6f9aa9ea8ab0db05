"""Promises 4 and 6: when a declared task runs, for how long, and how often."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import anyio
import pytest
import stamina.instrumentation
from ellar.common import Inject, get
from ellar.core import WebSocket

from bg_di import INJECTED, BackgroundTasks, BackgroundTasksModule, Retry, TaskContext, TaskReference, background_task
from tests.clock import JUMPING
from tests.harness import Log, Socket, application, concurrently, request, websocket
from tests.test_08_service_tasks import adding


@pytest.fixture(params=JUMPING)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def fail() -> None:
    raise ValueError("on purpose")


@pytest.mark.parametrize(
    ("fails", "expected"), [(False, ["success", "always", "plain"]), (True, ["failure", "always"])], ids=str
)
@pytest.mark.parametrize("run_after", ["response", "request"])
async def test_when_says_whether_the_handlers_success_or_failure_releases_a_task(
    fails: bool, expected: list[str], run_after: str, log: Log
) -> None:
    """What is against is dropped, by name."""
    ran: list[str] = []

    @background_task(when="failure")
    async def on_failure() -> None:
        ran.append("failure")

    @background_task(when="success")
    async def on_success() -> None:
        ran.append("success")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(on_success)
        tasks.add_task(on_failure)
        tasks.using(when="always").add_task(ran.append, "always")
        tasks.add_task(ran.append, "plain")
        if fails:
            raise ValueError

    await request(application(handler, tasks=BackgroundTasksModule.setup(run_after=run_after)), "/")
    assert ran == expected
    dropped = [line for line in log.messages if "was dropped" in line]
    if fails:
        assert len(dropped) == 2
        assert all(line.endswith("was dropped: its route failed with ValueError") for line in dropped)
    else:
        [line] = dropped
        assert line.endswith("on_failure of GET / was dropped: what added it did not fail and when is 'failure'")


async def test_always_runs_behind_a_failing_task_that_ends_the_rest(log: Log) -> None:
    """The rest is skipped."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)
        tasks.add_task(ran.append, "plain")
        tasks.using(when="always").add_task(ran.append, "always")

    await request(application(handler), "/")
    assert ran == ["always"]
    assert "was skipped" in log.text


@pytest.mark.parametrize("on_error", ["stop", "continue"])
async def test_what_a_task_adds_goes_by_that_tasks_outcome(on_error: str) -> None:
    """Not by its route's."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        def add(whose: str) -> None:
            tasks.using(when="failure").add_task(ran.append, f"{whose} failed")
            tasks.using(when="always").add_task(ran.append, f"{whose} ended")

        async def succeeds() -> None:
            add("first")

        async def fails() -> None:
            add("second")
            raise ValueError

        tasks.add_task(succeeds)
        tasks.add_task(fails)

    await request(application(handler, tasks=BackgroundTasksModule.setup(on_error=on_error)), "/")
    assert ran == ["first ended", *([] if on_error == "stop" else ["second failed"]), "second ended"]


async def test_in_a_websocket_what_waits_for_a_failure_waits_for_the_end() -> None:
    """A round of `await tasks()` runs what does not depend on it, and keeps the order of the others."""
    ran: list[str] = []

    def socket_handler(fails: bool) -> Any:
        @websocket("/ws")
        async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
            tasks.using(when="failure").add_task(ran.append, "failure 1")
            tasks.add_task(ran.append, "round")
            tasks.using(when="failure").add_task(ran.append, "failure 2")
            await tasks()
            tasks.using(when="always").add_task(ran.append, "end")
            if fails:
                raise ValueError

        return handler

    await Socket().run(application(socket_handler(fails=True)), "/ws")
    assert ran == ["round", "failure 1", "failure 2", "end"]
    ran.clear()
    await Socket().run(application(socket_handler(fails=False)), "/ws")
    assert ran == ["round", "end"]


async def test_what_a_failing_attempt_adds_runs_in_the_same_round_of_a_websocket() -> None:
    """How an attempt ended is known when the task has; only the connection's own outcome is waited for."""
    ran: list[str] = []

    async def flaky(tasks: BackgroundTasks) -> None:
        ran.append("attempt")
        tasks.using(when="failure").add_task(ran.append, f"after attempt {len(ran)}")
        if len(ran) == 1:
            raise OSError

    @websocket("/ws")
    async def connection(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        retry = Retry(on=OSError, attempts=2, wait_initial=0, wait_jitter=0)
        tasks.using(retry=retry).add_task(flaky, tasks)
        await tasks()
        ran.append("end of round")

    await Socket().run(application(connection), "/ws")
    assert ran == ["attempt", "attempt", "after attempt 1", "end of round"]


async def test_what_is_undecided_when_a_websocket_is_cut_off_is_named(log: Log) -> None:
    """It never started."""
    runs = anyio.Event()

    async def stays() -> None:
        runs.set()
        await anyio.sleep_forever()

    @background_task(name="undecided", when="failure")
    async def undecided() -> None: ...

    @websocket("/ws")
    async def handler(websocket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        tasks.add_task(undecided)
        tasks.add_task(stays)
        await tasks()

    async with anyio.create_task_group() as group:
        group.start_soon(Socket().run, application(handler), "/ws")
        await runs.wait()
        group.cancel_scope.cancel()
    assert any("stays of WEBSOCKET /ws was cut off while it ran" in line for line in log.messages)
    assert any(line.startswith("background task undecided of WEBSOCKET /ws never started") for line in log.messages)


async def test_using_gives_a_reference() -> None:
    """With an id that the task knows as its own; also without any policy, and through a singleton's stale object."""
    ids: list[str] = []
    references: list[TaskReference] = []
    kept: list[BackgroundTasks] = []

    @background_task
    async def task(context: Inject[TaskContext] = INJECTED) -> None:
        ids.append(context.task_id)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        kept.append(tasks)
        references.append(kept[0].using().add_task(task))

    app = application(handler)
    await request(app, "/")
    await request(app, "/")
    assert ids == [reference.task_id for reference in references]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("limit", [30, timedelta(seconds=30)], ids=str)
async def test_a_task_that_takes_too_long_is_ended(limit: Any, log: Log) -> None:
    """It fails with `TimeoutError`, and what it has to clean up is cleaned up."""
    events: list[str] = []

    @background_task(name="slow", timeout=limit)
    async def slow(stack: Inject[AsyncExitStack] = INJECTED) -> None:
        async def clean_up() -> None:
            await anyio.sleep(1)
            events.append("clean")

        stack.push_async_callback(clean_up)
        await anyio.sleep(31)
        events.append("not reached")

    await request(application(adding(lambda tasks: tasks.add_task(slow))), "/")
    assert events == ["clean"]
    assert "bg_di.errors.TaskTimedOut: slow took longer than its timeout of 30" in log.text
    assert "During handling of" not in log.text, "the cancellation by which it was ended is no other error"


async def test_a_task_within_its_timeout_succeeds() -> None:
    """With dependencies and without; another timeout by `using` counts instead of the declared one."""
    ran: list[str] = []

    @background_task(timeout=1)
    async def task(seconds: float) -> None:
        await anyio.sleep(seconds)
        ran.append(f"{seconds}")

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, 0.5)
        tasks.using(timeout=10).add_task(task, 5)

    await request(application(adding(add)), "/")
    assert ran == ["0.5", "5"]


async def test_an_async_callable_has_a_timeout_as_a_function_has(log: Log) -> None:
    """An instance with an ``async def __call__`` needs no thread, so it can be stopped."""

    class Slow:
        async def __call__(self) -> None:
            await anyio.sleep(31)

    await request(application(adding(lambda tasks: tasks.using(timeout=30).add_task(Slow()))), "/")
    assert "Slow took longer than its timeout of 30" in log.text


@pytest.mark.parametrize("limit", [30, timedelta(seconds=30)], ids=str)
async def test_a_task_without_dependencies_is_ended_too(limit: Any, log: Log) -> None:
    """Also inside cancel scopes that it has opened; an error of its own keeps its name, and the next one runs."""
    ran: list[str] = []

    @background_task(name="slow", timeout=limit)
    async def slow(seconds: float) -> None:
        with anyio.CancelScope():
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, seconds)
        ran.append(f"{seconds}")

    @background_task(timeout=limit)
    async def times_out_itself() -> None:
        await anyio.lowlevel.checkpoint()
        raise TimeoutError("its own")

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(slow, 29)
        tasks.add_task(slow, 31)
        tasks.add_task(times_out_itself)
        tasks.add_task(ran.append, "next")

    await request(application(adding(add), tasks=BackgroundTasksModule.setup(on_error="continue")), "/")
    assert ran == ["29", "next"]
    assert "bg_di.errors.TaskTimedOut: slow took longer than its timeout of 30" in log.text
    assert "TimeoutError: its own" in log.text


async def test_what_cleans_up_for_too_long_is_given_up(log: Log) -> None:
    """After ten seconds, by name: a request must not hang for ever."""

    @background_task(name="stubborn")
    async def stubborn(stack: Inject[AsyncExitStack] = INJECTED) -> None:
        stack.push_async_callback(anyio.sleep_forever)

    ran: list[str] = []

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(stubborn)
        tasks.add_task(ran.append, "next")

    await request(application(adding(add)), "/")
    assert ran == ["next"]
    assert log.messages == ["what background task stubborn cleans up did not end within 10.0 seconds and was given up"]


async def test_a_failing_task_is_tried_again_in_place(log: Log) -> None:
    """The next task waits; each attempt has a scope and context of its own, and only its own additions count."""
    events: list[Any] = []

    @background_task(name="flaky", retry=Retry(on=OSError, attempts=3))
    async def flaky(context: Inject[TaskContext] = INJECTED, tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        events.append((context.attempt, context.task_id))
        tasks.add_task(events.append, f"added by {context.attempt}")
        if context.attempt < 3:
            raise OSError

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(flaky)
        tasks.add_task(events.append, "next")

    await request(application(adding(add)), "/")
    attempts, rest = events[:3], events[3:]
    assert [number for number, _ in attempts] == [1, 2, 3]
    assert len({task_id for _, task_id in attempts}) == 1
    assert rest == ["next", "added by 3"]
    assert [line for line in log.messages if "attempt 1 of flaky, which added it, failed" in line]


async def test_a_task_whose_attempts_are_used_up_fails_once(log: Log) -> None:
    """With the last error; what is not to be tried again fails at once."""
    tries: list[str] = []

    @background_task(name="hopeless", retry=Retry(on=lambda error: isinstance(error, OSError), attempts=2))
    def hopeless(error: type[Exception]) -> None:
        tries.append(error.__name__)
        raise error

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(hopeless, OSError)
        tasks.add_task(hopeless, ValueError)

    await request(application(adding(add), tasks=BackgroundTasksModule.setup(on_error="continue")), "/")
    assert tries == ["OSError", "OSError", "ValueError"]
    assert log.messages == ["background task hopeless of GET / failed"] * 2


@pytest.fixture
def told_of_retries() -> Iterator[list[stamina.instrumentation.RetryDetails]]:
    """What stamina tells of each retry."""
    told: list[stamina.instrumentation.RetryDetails] = []

    def hook(details: stamina.instrumentation.RetryDetails) -> None:
        told.append(details)

    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([hook])
    yield told
    stamina.instrumentation.set_on_retry_hooks(hooks)


async def test_stamina_tells_of_a_retry_by_the_name_of_the_task(
    told_of_retries: list[stamina.instrumentation.RetryDetails],
) -> None:
    """And without its arguments, which nobody may log."""

    @background_task(name="flaky", retry=Retry(on=OSError, attempts=2))
    async def flaky(secret: str) -> None:
        raise OSError

    await request(application(adding(lambda tasks: tasks.add_task(flaky, "secret"))), "/")
    [told] = told_of_retries
    assert (told.name, told.args, told.kwargs) == ("flaky", (), {})


@pytest.mark.parametrize("told", [0, 0.0, 0.001, timedelta(0), timedelta(milliseconds=1)])
async def test_a_predicate_may_say_how_long_to_wait(told: Any) -> None:
    """At once too; nothing else has a part in it."""
    tries: list[float] = []

    @background_task(retry=Retry(on=lambda error: told, attempts=2, wait_initial=3000, wait_max=3000))
    async def busy() -> None:
        tries.append(anyio.current_time())
        raise OSError

    await request(application(adding(lambda tasks: tasks.add_task(busy))), "/")
    first, second = tries
    assert second - first < 1000


async def test_each_attempt_has_the_timeout_for_itself() -> None:
    """And a timeout is an error like any."""
    tries: list[float] = []

    @background_task(timeout=1, retry=Retry(on=TimeoutError, attempts=2, wait_jitter=0))
    async def slow() -> None:
        tries.append(anyio.current_time())
        await anyio.sleep(5)

    await request(application(adding(lambda tasks: tasks.add_task(slow))), "/")
    first, second = tries
    assert 1.0 < second - first < 1.5


async def test_a_waiting_retry_is_ended_by_name_when_the_request_is(log: Log) -> None:
    """Cancellation of the request ends the wait."""
    tried = anyio.Event()

    @background_task(name="waiting", retry=Retry(on=OSError, wait_initial=3000, wait_max=3000, timeout=None))
    async def waiting() -> None:
        tried.set()
        raise OSError

    app = application(adding(lambda tasks: tasks.add_task(waiting)))

    async with anyio.create_task_group() as group:

        async def give_up() -> None:
            await tried.wait()
            group.cancel_scope.cancel()

        await concurrently_in(group, app, give_up)
    assert any(line.startswith("background task waiting of GET / was cut off while it ran") for line in log.messages)


async def concurrently_in(group: Any, app: Any, other: Callable[[], Any]) -> None:
    group.start_soon(request, app, "/")
    group.start_soon(other)


async def test_hundreds_of_retries_at_once_keep_to_themselves() -> None:
    """Each request's task is tried until it succeeds."""
    tries: dict[int, int] = {}

    @background_task(retry=Retry(on=OSError, attempts=3))
    async def flaky(number: int) -> None:
        tries[number] = tries.get(number, 0) + 1
        await anyio.lowlevel.checkpoint()
        if tries[number] < 3:
            raise OSError

    @get("/{number}")
    async def handler(number: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(flaky, number)

    app = application(handler)

    def asking(number: int) -> Callable[[], Any]:
        return lambda: request(app, f"/{number}")

    await concurrently([asking(number) for number in range(200)])
    assert tries == dict.fromkeys(range(200), 3)
