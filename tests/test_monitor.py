"""What waits, what runs and what has ended: shown by `BackgroundTasksMonitor`, to the container and to any thread."""

import gc
import logging
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from ellar.app import App
from ellar.common import Inject, get
from ellar.core import WebSocket
from ellar.di import ProviderConfig, injectable, transient_scope
from ellar.testing import Test
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksMonitor,
    BackgroundTasksUnavailable,
    Retry,
    TaskContext,
    TaskErrorHandler,
    TaskFailure,
    TaskObserver,
    TaskRecord,
    TaskReference,
    background_task,
    collect_background_tasks,
    current_background_tasks,
)
from bg_di.calls.task import within
from bg_di.handing_over.engines import Engines
from bg_di.observing.ledger import Ledger
from bg_di.running.runner import Runner
from tests.clock import JUMPING
from tests.harness import Client, Log, Socket, application, concurrently, module, request, websocket, wrap


class Stage:
    """Where a task waits until a test lets it go on."""

    def __init__(self) -> None:
        self.entered = anyio.Event()
        self.go_on = anyio.Event()

    async def hold(self) -> None:
        self.entered.set()
        await self.go_on.wait()


async def quick(_: object = None) -> None: ...


async def other() -> None: ...


def in_a_thread() -> None: ...


async def fails() -> None:
    raise ValueError("no such address")


@background_task(name="declared.task")
async def declared() -> None: ...


@background_task(timeout=30)
async def slow() -> None:
    await anyio.sleep(60)


@background_task
async def with_context(into: list[str], context: Inject[TaskContext] = INJECTED) -> None:
    into.append(context.task_id)


class Outlook(TaskObserver):
    """Makes a plan of each call."""

    def event(self, kind: str, record: TaskRecord) -> None: ...


def monitor_of(app: App) -> BackgroundTasksMonitor:
    monitor: BackgroundTasksMonitor = app.injector.get(BackgroundTasksMonitor)
    return monitor


def ledger_of(app: App) -> Ledger:
    module: Any = app.injector.get_module(BackgroundTasksModule)
    runner: Runner = module.get(Runner)
    return runner.ledger


def told(records: tuple[TaskRecord, ...]) -> list[tuple[str, str]]:
    return [(record.name.rpartition(":")[2].rpartition(".")[2], record.state) for record in records]


def adding(*calls: Callable[..., Any], path: str = "/", **options: Any) -> App:
    """An application whose handler adds these calls."""

    @get(path)
    async def handler(tasks: BackgroundTasks) -> None:
        for call in calls:
            tasks.add_task(call)

    return application(handler, tasks=BackgroundTasksModule.setup(**options))


async def test_a_snapshot_shows_what_runs_and_what_waits_behind_it() -> None:
    """With name, request and since when; a handler of another request asks for it by annotation."""
    stage = Stage()

    @get("/busy/{name}")
    async def busy(name: str, tasks: BackgroundTasks) -> None:
        for task in (stage.hold, in_a_thread, declared):
            tasks.add_task(task)
        tasks.using(when="always").add_task(quick)

    shown: list[TaskRecord] = []

    @get("/watch")
    async def watch(monitor: Inject[BackgroundTasksMonitor]) -> None:
        shown.extend(monitor.snapshot())

    app = application(busy, watch)
    before = datetime.now(UTC)
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/busy/ada")
        await stage.entered.wait()
        await request(app, "/watch")
        stage.go_on.set()
    assert [(record.name, record.state) for record in shown] == [
        (f"{__name__}:Stage.hold", "running"),
        (f"{__name__}:in_a_thread", "waiting"),
        ("declared.task", "waiting"),
        (f"{__name__}:quick", "waiting"),
    ]
    assert {(record.method, record.path, record.reason) for record in shown} == {("GET", "/busy/ada", None)}
    assert [record.attempt for record in shown] == [1, 0, 0, 0]
    assert all(before <= record.since <= datetime.now(UTC) for record in shown)
    assert monitor_of(app).snapshot() == ()


async def test_what_waits_while_its_handler_still_runs_is_shown_too() -> None:
    """Also in a WebSocket connection, and outside of any request."""
    stage = Stage()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(quick)
        await stage.hold()

    @websocket("/ws")
    async def connection(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.using(when="failure").add_task(other)
        tasks.add_task(socket_stage.hold)
        await tasks()

    socket_stage = Stage()
    shown: set[tuple[str, ...]] = set()
    app = application(handler, connection)
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        group.start_soon(Socket().run, app, "/ws")
        await stage.entered.wait()
        await socket_stage.entered.wait()
        async with collect_background_tasks(app) as tasks:
            tasks.add_task(in_a_thread)
            shown |= {(record.method, record.path, *told((record,))[0]) for record in monitor_of(app).snapshot()}
        stage.go_on.set()
        socket_stage.go_on.set()
    assert shown == {
        ("GET", "/", "quick", "waiting"),
        ("WEBSOCKET", "/ws", "hold", "running"),
        ("WEBSOCKET", "/ws", "other", "waiting"),
        ("COLLECT", "outside", "in_a_thread", "waiting"),
    }
    assert monitor_of(app).snapshot() == ()


async def test_a_task_that_has_not_suspended_runs_since_just_now() -> None:
    """Nobody but itself and other threads can see it."""
    shown: list[TaskRecord] = []

    async def looks() -> None:
        shown.extend(monitor_of(app).snapshot())

    app = adding(quick, looks)
    before = datetime.now(UTC)
    await request(app, "/")
    [record] = shown
    assert told((record,)) == [("looks", "running")]
    assert before <= record.since <= datetime.now(UTC)


@pytest.mark.parametrize("on_error", ["stop", "continue"])
async def test_the_history_is_in_order_and_says_how_each_task_ended(on_error: str, log: Log) -> None:
    """Those that suspended and those that did not, plain ones and planned ones, with the reason of a failure."""

    async def suspends() -> None:
        await anyio.lowlevel.checkpoint()

    app = adding(
        quick, quick, declared, other, suspends, quick, in_a_thread, partial(other), fails, quick, on_error=on_error
    )
    await request(app, "/")
    history = monitor_of(app).history()
    assert told(history) == [
        ("quick", "succeeded"),
        ("quick", "succeeded"),
        ("task", "succeeded"),
        ("other", "succeeded"),
        ("suspends", "succeeded"),
        ("quick", "succeeded"),
        ("in_a_thread", "succeeded"),
        ("other", "succeeded"),
        ("fails", "failed"),
        ("quick", "skipped" if on_error == "stop" else "succeeded"),
    ]
    assert [record.since for record in history] == sorted(record.since for record in history)
    assert history[8].reason == "ValueError: no such address"
    assert history[8].attempt == 1
    if on_error == "stop":
        assert history[9].reason == f"{__name__}:fails failed before it and on_error is 'stop'"
        assert history[9].attempt == 0


@pytest.mark.parametrize("policy", [{}, {"timeout": 30}])
async def test_what_has_ended_is_told_while_the_next_one_runs(policy: Any) -> None:
    """It does not wait for the end of a long task behind it, neither to be told nor with its time."""
    stage = Stage()

    @background_task(**policy)
    async def holds() -> None:
        await stage.hold()

    app = adding(quick, other, holds)
    history: tuple[TaskRecord, ...] = ()
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await stage.entered.wait()
        history = monitor_of(app).history()
        stage.go_on.set()
    assert told(history) == [("quick", "succeeded"), ("other", "succeeded")]
    assert monitor_of(app).history()[:2] == history


@pytest.mark.parametrize("anyio_backend", JUMPING, indirect=True)
async def test_the_history_tells_a_timeout_from_a_failure() -> None:
    """Of a declared task, of one with dependencies, and of a retried one, whose attempts are counted."""

    @background_task(timeout=1, retry=Retry(on=OSError, attempts=3, wait_jitter=0))
    async def flaky(context: Inject[TaskContext]) -> None:
        if context.attempt < 3:
            raise OSError
        await anyio.sleep(2)

    async def raises_its_own() -> None:
        raise TimeoutError("of a socket")

    app = adding(slow, flaky, raises_its_own, on_error="continue")
    await request(app, "/")
    first, second, third = monitor_of(app).history()
    assert (first.state, first.attempt) == ("timed_out", 1)
    assert first.reason == f"bg_di.errors.TaskTimedOut: {__name__}:slow took longer than its timeout of 30 seconds"
    assert (second.state, second.attempt) == ("timed_out", 3)
    assert (third.state, third.reason) == ("failed", "TimeoutError: of a socket")


async def test_the_reason_is_the_error_and_not_what_is_noted_on_it() -> None:
    """Python prints notes below the error; a reason is one error, in its own words."""

    async def notes() -> None:
        error = ValueError("no such address")
        error.add_note("ask the post office")
        raise error

    app = adding(notes)
    await request(app, "/")
    [record] = monitor_of(app).history()
    assert record.reason == "ValueError: no such address"


async def test_the_history_says_what_was_dropped_and_what_was_cancelled() -> None:
    """By the outcome of the handler, and by the end of the request."""
    stage = Stage()

    @get("/fails")
    async def failing(tasks: BackgroundTasks) -> None:
        tasks.add_task(quick)
        raise ZeroDivisionError

    @get("/held")
    async def held(tasks: BackgroundTasks) -> None:
        tasks.using(when="failure").add_task(other)
        for task in (stage.hold, quick):
            tasks.add_task(task)

    app = application(failing, held)
    await request(app, "/fails")
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/held")
        await stage.entered.wait()
        group.cancel_scope.cancel()
    by = f"its request was ended by {anyio.get_cancelled_exc_class().__name__}"
    assert [(*told((record,))[0], record.reason, record.attempt) for record in monitor_of(app).history()] == [
        ("quick", "dropped", "its route failed with ZeroDivisionError", 0),
        ("other", "dropped", "what added it did not fail and when is 'failure'", 0),
        ("hold", "cancelled", by, 1),
        ("quick", "cancelled", by, 0),
    ]


async def test_a_plain_call_behind_a_planned_one_waits_since_it_was_added() -> None:
    """Not since 1970."""
    shown: list[TaskRecord] = []

    @get("/")
    async def handler(tasks: BackgroundTasks, monitor: Inject[BackgroundTasksMonitor]) -> None:
        tasks.using(when="always").add_task(quick)
        tasks.add_task(other)
        shown.extend(monitor.snapshot())

    before = datetime.now(UTC)
    await request(application(handler), "/")
    assert told(tuple(shown)) == [("quick", "waiting"), ("other", "waiting")]
    assert all(before <= record.since <= datetime.now(UTC) for record in shown)


async def test_what_is_added_once_more_waits_since_then() -> None:
    """In a connection that has run its tasks before, and by a task that has waited for something."""
    shown: list[tuple[datetime, TaskRecord]] = []

    def look(before: datetime) -> None:
        shown.extend((before, record) for record in monitor_of(app).snapshot() if record.state == "waiting")

    async def adds_itself(tasks: BackgroundTasks) -> None:
        await anyio.lowlevel.checkpoint()
        if len(shown) < 2:
            before = datetime.now(UTC)
            tasks.add_task(adds_itself, tasks)
            look(before)

    @websocket("/ws")
    async def connection(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        for _ in range(2):
            tasks.add_task(quick)
        await tasks()
        before = datetime.now(UTC)
        tasks.add_task(quick)
        look(before)
        tasks.add_task(adds_itself, tasks)

    app = application(connection)
    await Socket().run(app, "/ws")
    assert told(tuple(record for _, record in shown)) == [("quick", "waiting"), ("adds_itself", "waiting")]
    assert all(before <= record.since <= datetime.now(UTC) for before, record in shown)


async def test_an_id_is_the_same_wherever_it_is_seen() -> None:
    """In a reference, in the task, in a snapshot, in the history, of plain calls and of planned ones."""
    stage = Stage()
    seen: list[str] = []
    references: list[TaskReference] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        references.append(tasks.using(when="always").add_task(with_context, seen))
        for task in (stage.hold, quick, in_a_thread):
            tasks.add_task(task)

    app = application(handler)
    monitor = monitor_of(app)
    shown: tuple[TaskRecord, ...] = ()
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await stage.entered.wait()
        shown = monitor.snapshot()
        assert monitor.snapshot()[1:] == shown[1:]
        assert [monitor.state(record.task_id) for record in shown] == ["running", "waiting", "waiting"]
        stage.go_on.set()
    history = monitor.history()
    ids = [record.task_id for record in history]
    assert ids == [references[0].task_id, *(record.task_id for record in shown)]
    assert seen == ids[:1]
    assert monitor.history() == history
    assert len(set(ids)) == 4
    assert {monitor.state(each) for each in ids} == {"succeeded"}
    assert monitor.state("of nobody") is None
    assert not ledger_of(app).asked


async def test_what_runs_on_when_its_request_has_been_left_is_still_shown() -> None:
    """Middleware may start the application and go; its tasks are not out of sight, and not kept when they have run."""
    stage = Stage()
    left = anyio.Event()

    class Detaching:
        def __init__(self, app: ASGIApp) -> None:
            self.app: Any = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            outlives.start_soon(self.app, scope, receive, send)
            await entered.wait()

    entered = anyio.Event()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        entered.set()
        await left.wait()
        tasks.add_task(stage.hold)

    app = wrap(application(handler), Middleware(Detaching))
    async with anyio.create_task_group() as outlives:
        await request(app, "/")
        left.set()
        await stage.entered.wait()
        assert told(monitor_of(app).snapshot()) == [("hold", "running")]
        stage.go_on.set()
    assert monitor_of(app).snapshot() == ()
    assert told(monitor_of(app).history()) == [("hold", "succeeded")]
    assert not ledger_of(app).collections


async def test_what_waits_can_be_cancelled(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """What runs is not interrupted, and what has ended stays as it ended; both are answered with False."""
    caplog.set_level(logging.INFO, logger="bg_di")
    stage = Stage()
    references: list[TaskReference] = []

    @websocket("/")
    async def handler(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        references.append(tasks.using(when="failure").add_task(quick))
        tasks.add_task(stage.hold)
        references.append(tasks.using(when="always").add_task(quick))
        tasks.add_task(other)
        await tasks()
        raise ZeroDivisionError

    app = application(handler)
    monitor = monitor_of(app)
    async with anyio.create_task_group() as group:
        group.start_soon(Socket().run, app, "/")
        await stage.entered.wait()
        hold, undecided, planned, plain = monitor.snapshot()
        assert [each.task_id for each in (undecided, planned)] == [reference.task_id for reference in references]
        assert [monitor.cancel(each.task_id) for each in (hold, undecided, planned, plain)] == [False, True, True, True]
        assert [monitor.cancel(each.task_id) for each in (undecided, planned, plain)] == [False] * 3
        assert not monitor.cancel("of nobody")
        stage.go_on.set()
    assert told(monitor.history()) == [
        ("quick", "cancelled"),
        ("quick", "cancelled"),
        ("other", "cancelled"),
        ("hold", "succeeded"),
    ]
    assert {record.reason for record in monitor.history()} == {"BackgroundTasksMonitor.cancel() was called", None}
    assert log.messages == [
        f"background task {__name__}:{name} of WEBSOCKET / was cancelled before it started, "
        "by BackgroundTasksMonitor.cancel()"
        for name in ("quick", "quick", "other")
    ]
    assert {record.levelname for record in log.records} == {"INFO"}


async def test_what_has_run_while_somebody_looked_is_not_cancelled() -> None:
    """Although others wait."""
    stage, then = Stage(), Stage()
    app = adding(stage.hold, quick, then.hold, other)
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await stage.entered.wait()
        _, (collection, call, _, _), *_ = ledger_of(app).at_work()
        stage.go_on.set()
        await then.entered.wait()
        assert not collection.cancel(call)
        then.go_on.set()
    assert [state for _, state in told(monitor_of(app).history())] == ["succeeded"] * 4


@pytest.mark.parametrize(
    ("policy", "state"),
    [({"timeout": 5}, "succeeded"), ({"when": "always"}, "succeeded"), ({"when": "failure"}, "dropped")],
)
async def test_the_history_is_in_order_where_nothing_suspends(policy: Any, state: str) -> None:
    """A plain call, one with a policy, and a plain one again."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(quick)
        tasks.using(**policy).add_task(other)
        tasks.add_task(quick)

    app = application(handler)
    await request(app, "/")
    assert told(monitor_of(app).history()) == [("quick", "succeeded"), ("other", state), ("quick", "succeeded")]


async def test_what_runs_has_run_since_the_same_moment_whenever_it_is_asked() -> None:
    """It is when it has suspended first."""
    stage = Stage()
    app = adding(quick, stage.hold)
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await stage.entered.wait()
        [first] = monitor_of(app).snapshot()
        now = datetime.now(UTC)
        [again] = monitor_of(app).snapshot()
        stage.go_on.set()
    assert first == again
    assert again.since <= now


async def test_what_has_failed_does_not_run_while_that_is_reported() -> None:
    """What is behind it waits."""
    shown: list[TaskRecord] = []

    class Looks(TaskErrorHandler):
        async def handle(self, failure: TaskFailure) -> None:
            shown.extend(monitor_of(app).snapshot())

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fails)
        tasks.add_task(quick)

    app = application(
        handler,
        tasks=BackgroundTasksModule.setup(on_error="continue"),
        providers=[ProviderConfig(TaskErrorHandler, use_class=Looks)],
    )
    await request(app, "/")
    assert told(tuple(shown)) == [("quick", "waiting")]


async def test_a_declared_name_is_told_however_often_it_is_added() -> None:
    """By one request or several."""
    app = adding(declared, declared, declared, quick, declared)
    for _ in range(2):
        await request(app, "/")
    names = [record.name for record in monitor_of(app).history()]
    assert names == 2 * [*3 * ["declared.task"], f"{__name__}:quick", "declared.task"]


@pytest.fixture
def threads_switch_often() -> Iterator[None]:
    """Each thread gets its turn within a microsecond."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("threads_switch_often")
async def test_what_a_thread_cancels_does_not_run_and_the_rest_does() -> None:
    """It cancels what waits for the end of a connection, while that is put aside and taken back."""
    ran: list[int] = []
    stop = threading.Event()
    cancelled = 0

    async def alert(number: int) -> None:
        ran.append(number)

    @websocket("/")
    async def connection(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        for number in range(2000):
            tasks.using(when="failure").add_task(alert, number)
        await tasks()
        raise ZeroDivisionError

    def cancel() -> None:
        nonlocal cancelled
        while not stop.is_set():
            for collection, call, _, _ in ledger.at_work():
                cancelled += collection.cancel(call)

    app = application(connection, tasks=BackgroundTasksModule.setup(history=0))
    ledger = ledger_of(app)
    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        for _ in range(10):
            await Socket().run(app, "/")
    finally:
        stop.set()
        thread.join()
    assert len(ran) + cancelled == 20_000


async def test_the_last_one_that_waits_may_be_cancelled_when_it_is_about_to_start() -> None:
    """By another thread, between the look whether anything waits and the moment in which it is taken.

    The request ends as others do: what is added later is refused.
    """

    class Emptied(deque[Any]):
        def __bool__(self) -> bool:
            waits = len(self) > 0
            if len(self) == 1 and not cancelled:
                cancelled.append(True)
                [*_, (collection, call, _, _)] = ledger_of(app).at_work()
                assert collection.cancel(call)
            return waits

    cancelled: list[bool] = []
    contexts: list[Context] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for task in (quick, other):
            tasks.add_task(task)
        collection: Any = tasks
        collection.waiting = Emptied(collection.waiting)
        contexts.append(copy_context())

    app = application(handler)
    answer = await request(app, "/")
    assert (answer.status, answer.error) == (200, None)
    assert sorted(told(monitor_of(app).history())) == [("other", "cancelled"), ("quick", "succeeded")]
    with pytest.raises(BackgroundTasksUnavailable, match="GET / after its background tasks had run"):
        contexts[0].run(lambda: current_background_tasks().add_task(quick))


async def test_a_response_of_its_own_tasks_is_shown_as_well() -> None:
    """The background of a response is run by us, and noted by us."""
    stage = Stage()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> Response:
        tasks.add_task(quick)
        return JSONResponse({}, background=BackgroundTask(stage.hold))

    app = application(handler)
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await stage.entered.wait()
        assert sorted(told(monitor_of(app).snapshot())) == [("hold", "running"), ("quick", "waiting")]
        stage.go_on.set()
    assert told(monitor_of(app).history()) == [("hold", "succeeded"), ("quick", "succeeded")]


async def test_callables_that_cannot_be_hashed_are_tasks_like_others() -> None:
    """A dataclass with a ``__call__`` is one; nothing here may rely on a hash of the user's."""
    ran: list[str] = []

    @dataclass
    class Send:
        address: str

        async def __call__(self) -> None:
            ran.append(self.address)

    app = adding(Send("ada"), quick, Send("grace"))
    await request(app, "/")
    assert ran == ["ada", "grace"]
    assert [record.state for record in monitor_of(app).history()] == ["succeeded"] * 3


@pytest.mark.parametrize("observers", [[], [Outlook()]], ids=["unobserved", "observed"])
async def test_callables_that_have_any_attribute_are_tasks_like_others(observers: list[Any]) -> None:
    """A proxy for remote calls is one, as `xmlrpc.client` has it; it goes by the name of its class."""
    called: list[str] = []

    class Remote:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> "Remote":
            return Remote(f"{self._name}.{name}")

        def __call__(self) -> None:
            called.append(self._name)

    app = adding(Remote("shop").order, partial(Remote("shop").pay), observers=observers)
    await request(app, "/")
    assert called == ["shop.order", "shop.pay"]
    assert told(monitor_of(app).history()) == [("Remote", "succeeded")] * 2


@pytest.mark.parametrize("size", [0, 3])
async def test_the_history_is_as_long_as_the_option_says(size: int) -> None:
    """The oldest go first, one by one, whether they ran in a row or not."""
    app = adding(quick, quick, other, in_a_thread, other, other, history=size)
    await request(app, "/")
    assert told(monitor_of(app).history()) == [("in_a_thread", "succeeded"), *[("other", "succeeded")] * 2][3 - size :]
    await request(app, "/")
    assert len(monitor_of(app).history()) == size


class Silent(TaskErrorHandler):
    """Keeps no failure, which has its traceback, whereas pytest keeps what is logged."""

    async def handle(self, failure: TaskFailure) -> None: ...


async def test_memory_is_constant() -> None:
    """Thousands of requests, failing ones too, whether anybody reads the history or not: nothing of them is kept."""
    kept: list[weakref.ref[Any]] = []

    class Payload:
        """Something of the request's own."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("its text cannot be made")

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        payload = Payload()
        kept.append(weakref.ref(payload))

        async def closure() -> None:
            assert payload

        async def breaks() -> None:
            raise Broken(payload)

        async def is_long() -> None:
            raise ValueError("x" * 10_000)

        tasks.add_task(closure)
        tasks.add_task(quick, payload)
        tasks.using(when="always").add_task(is_long)
        tasks.using(when="always").add_task(breaks)

    silent: list[Any] = [ProviderConfig(TaskErrorHandler, use_class=Silent)]
    app = application(handler, tasks=BackgroundTasksModule.setup(history=50), providers=silent)
    for read in (False, True):
        for _ in range(20):
            await concurrently([partial(request, app, "/")] * 50)
            if read:
                assert len(monitor_of(app).history()) == 50
    gc.collect()
    assert not [ref for ref in kept if ref() is not None]
    ledger = ledger_of(app)
    assert not ledger.collections
    assert not ledger.asked
    assert len(ledger.ended) <= 50
    reasons = [record.reason for record in monitor_of(app).history() if record.reason is not None]
    assert max(map(len, reasons)) == 500
    assert any("Broken" in reason for reason in reasons)


async def test_whoever_asks_too_late_keeps_nothing() -> None:
    """Another thread may ask about a call in the moment in which it ends."""
    stage = Stage()
    app = adding(stage.hold)
    ledger = ledger_of(app)
    at_work: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await stage.entered.wait()
        at_work.extend(ledger.at_work())
        stage.go_on.set()
    [(collection, call, state, since)] = at_work
    assert not collection.cancel(call)
    assert ledger.record(call, state, since).task_id
    assert not ledger.asked


async def test_whoever_sees_a_call_that_is_refused_keeps_nothing() -> None:
    """One that is added too late waits for a moment, in which another thread may ask about it."""
    app = application()
    monitor, ledger = monitor_of(app), ledger_of(app)

    class Seen(deque[Any]):
        def append(self, call: Any) -> None:
            super().append(call)
            assert told(monitor.snapshot()) == [("quick", "waiting")]

    async with collect_background_tasks(app) as tasks:
        collection: Any = tasks
    collection.waiting = Seen()
    with ledger.open(collection), pytest.raises(BackgroundTasksUnavailable):
        within(collection, partial(tasks.add_task, quick))
    assert not ledger.asked


async def test_what_starts_while_somebody_looks_is_not_missed() -> None:
    """Another thread may be in the middle of a snapshot when a task ends and the next one starts."""
    first, second = Stage(), Stage()
    app = adding(first.hold, second.hold)
    seen: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await first.entered.wait()
        looking = iter(ledger_of(app).at_work())
        seen.append(next(looking))
        first.go_on.set()
        await second.entered.wait()
        seen.extend(looking)
        second.go_on.set()
    assert [state for _, _, state, _ in seen] == ["running", "waiting"]
    assert len({id(call) for _, call, _, _ in seen}) == 2


async def test_hundreds_of_requests_are_watched_from_threads() -> None:
    """In two applications at once, each of which knows its own; with sync tasks, which run in threads."""

    class Gate:
        def __init__(self) -> None:
            self.opened = threading.Event()

    gate = Gate()

    def waits_in_a_thread() -> None:
        assert gate.opened.wait(60)

    def build(name: str) -> App:
        @get("/{number}")
        async def handler(number: int, tasks: BackgroundTasks) -> None:
            tasks.add_task(quick)
            tasks.add_task(waits_in_a_thread)
            tasks.add_task(other)

        @get("/watch")
        def watch(monitor: Inject[BackgroundTasksMonitor]) -> list[str]:
            return sorted({record.name.rpartition(".")[2] for record in (*monitor.snapshot(), *monitor.history())})

        return application(watch, handler, tasks=BackgroundTasksModule.setup(history=2000, max_threads=20))

    apps = [build("first"), build("second")]
    answers: list[Client] = []
    async with anyio.create_task_group() as group:
        for number in range(150):
            for app in apps:
                group.start_soon(request, app, f"/{number}")
        for app in apps:
            while len(monitor_of(app).snapshot()) < 300:
                await anyio.lowlevel.checkpoint()
        answers.extend(await concurrently([partial(request, app, "/watch") for app in apps * 20]))
        for app in apps:
            snapshot = monitor_of(app).snapshot()
            assert len({record.task_id for record in snapshot}) == len(snapshot) == 300
            assert len({record.path for record in snapshot}) == 150
        gate.opened.set()
    assert {answer.status for answer in answers} == {200}
    for app in apps:
        assert monitor_of(app).snapshot() == ()
        history = monitor_of(app).history()
        assert len(history) == 450
        assert {record.state for record in history} == {"succeeded"}
        assert not ledger_of(app).asked


async def test_reading_while_tasks_run_loses_nothing() -> None:
    """The history is read by a thread all the time while requests end."""
    app = adding(quick, other, in_a_thread, history=100_000)
    monitor, stop = monitor_of(app), threading.Event()
    lengths: list[int] = []

    def read() -> None:
        while not stop.is_set():
            lengths.append(len(monitor.history()))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(5):
            await concurrently([partial(request, app, "/")] * 100)
    finally:
        stop.set()
        reader.join()
    assert len(monitor.history()) == 1500
    assert lengths == sorted(lengths)


@injectable(scope=transient_scope)
class Dashboard:
    """A service that shows what runs."""

    def __init__(self, monitor: BackgroundTasksMonitor) -> None:
        self.monitor = monitor


async def test_services_get_it_like_anything_else() -> None:
    """It is a binding of the container."""

    @get("/")
    async def handler(dashboard: Inject[Dashboard]) -> bool:
        return dashboard.monitor is monitor_of(app)

    app = application(handler, services=[Dashboard])
    assert (await request(app, "/")).json() is True


async def test_it_can_be_overridden() -> None:
    """As any binding."""
    fake = BackgroundTasksMonitor(Ledger(0), Engines({}, ""))

    @get("/")
    async def handler(monitor: Inject[BackgroundTasksMonitor]) -> bool:
        return monitor is fake

    test: Any = Test.create_test_module(modules=[BackgroundTasksModule, module(routers=[handler])])
    app = test.override_provider(BackgroundTasksMonitor, use_value=fake).create_application()
    assert (await request(app, "/")).json() is True
