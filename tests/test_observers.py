"""Observers: around each task and each attempt, told of what was added, dropped and skipped, and never in the way."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from ellar.app import App
from ellar.common import Inject, get
from ellar.core import WebSocket
from ellar.di import injectable, singleton_scope
from ellar.testing import Test

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksMonitor,
    Retry,
    TaskContext,
    TaskObserver,
    TaskRecord,
    background_task,
)
from bg_di.errors import InvalidOptions, TaskTimedOut
from tests.clock import JUMPING
from tests.harness import Log, Socket, application, concurrently, module, request, websocket

current: ContextVar[str] = ContextVar("current", default="nothing")


def short(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]


class Witness(TaskObserver):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.records: list[TaskRecord] = []

    def task(self, record: TaskRecord) -> Any:
        return self._around("task", record)

    def attempt(self, record: TaskRecord) -> Any:
        return self._around(f"attempt {record.attempt}", record)

    def event(self, kind: str, record: TaskRecord) -> None:
        self.records.append(record)
        self.told.append(f"{kind} {short(record.name)}")

    @contextmanager
    def _around(self, what: str, record: TaskRecord) -> Generator[None]:
        self.records.append(record)
        self.told.append(f"{what} {short(record.name)}")
        try:
            yield
        except BaseException as error:
            self.told.append(f"{what} {short(record.name)}: {type(error).__name__}")
            raise
        self.told.append(f"{what} {short(record.name)} ended")


async def works() -> None:
    await anyio.lowlevel.checkpoint()


def works_in_a_thread() -> None: ...


async def fails() -> None:
    raise ValueError


class Callable_:
    async def __call__(self) -> None: ...


def observed(*calls: Callable[..., Any], observers: Any, **options: Any) -> App:
    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for call in calls:
            tasks.add_task(call)

    return application(handler, tasks=BackgroundTasksModule.setup(observers=observers, **options))


def ran(name: str) -> list[str]:
    return [f"released {name}", f"task {name}", f"attempt 1 {name}", f"attempt 1 {name} ended", f"task {name} ended"]


async def test_each_task_is_told_from_its_adding_to_its_end() -> None:
    """Plain calls too, sync and async, partials and instances; in order."""
    witness = Witness()
    calls = works, works_in_a_thread, partial(works), Callable_()
    await request(observed(*calls, observers=[witness]), "/")
    names = ["works", "works_in_a_thread", "works", "Callable_"]
    assert witness.told == [f"added {name}" for name in names] + [line for name in names for line in ran(name)]
    assert {(record.method, record.path) for record in witness.records} == {("GET", "/")}
    assert len({record.task_id for record in witness.records}) == 4


@pytest.mark.parametrize("observers", [[], [Witness()]], ids=["unobserved", "observed"])
async def test_a_partial_that_calls_in_a_way_of_its_own_is_called_so(observers: list[Any]) -> None:
    """Whether anybody observes it or not."""
    called: list[str] = []

    class Traced(partial[Any]):
        def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
            called.append("traced")
            return super().__call__(*args, **kwargs)

    await request(observed(Traced(called.append, "function"), observers=observers), "/")
    assert called == ["traced", "function"]


async def test_a_record_says_how_the_task_stands() -> None:
    """The state and the attempt, at each moment, and the reason of what will not run."""
    witness = Witness()
    app = observed(works, fails, works, observers=[witness])
    await request(app, "/")
    assert [(record.state, record.attempt) for record in witness.records] == [
        *[("waiting", 0)] * 4,
        *[("running", 0), ("running", 1)],
        *[("waiting", 0), ("running", 0), ("running", 1)],
        ("skipped", 0),
    ]
    assert witness.records[-1].reason == f"{__name__}:fails failed before it and on_error is 'stop'"
    assert witness.told[-4:] == [
        "attempt 1 fails",
        "attempt 1 fails: ValueError",
        "task fails: ValueError",
        "skipped works",
    ]


async def test_what_is_released_has_waited_since_it_was_added() -> None:
    """So an observer can tell how long; and the monitor does not lose sight of it."""
    witness = Witness()
    states: list[str | None] = []

    class Asks(TaskObserver):
        def event(self, kind: str, record: TaskRecord) -> None:
            states.append(app.injector.get(BackgroundTasksMonitor).state(record.task_id))

    app = observed(works, observers=[witness, Asks()])
    before = datetime.now(UTC)
    await request(app, "/")
    added, released, running, _ = witness.records
    assert before <= added.since == released.since <= running.since <= datetime.now(UTC)
    assert states == ["waiting", "running"]


async def test_what_is_dropped_or_cancelled_is_told() -> None:
    """With the reason."""
    witness = Witness()
    entered = anyio.Event()

    @get("/fails")
    async def failing(tasks: BackgroundTasks) -> None:
        tasks.add_task(works)
        raise ZeroDivisionError

    async def holds() -> None:
        entered.set()
        await anyio.sleep_forever()

    @get("/held")
    async def held(tasks: BackgroundTasks, monitor: Inject[BackgroundTasksMonitor]) -> None:
        tasks.add_task(holds)
        monitor.cancel(tasks.using(when="always").add_task(works_in_a_thread).task_id)
        tasks.add_task(works)

    app = application(failing, held, tasks=BackgroundTasksModule.setup(observers=[witness]))
    await request(app, "/fails")
    assert witness.told == ["added works", "dropped works"]
    assert witness.records[-1].reason == "its route failed with ZeroDivisionError"
    witness.told.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/held")
        await entered.wait()
        group.cancel_scope.cancel()
    cancelled = anyio.get_cancelled_exc_class().__name__
    assert witness.told == [
        "added holds",
        "added works_in_a_thread",
        "cancelled works_in_a_thread",
        "added works",
        "released holds",
        "task holds",
        "attempt 1 holds",
        f"attempt 1 holds: {cancelled}",
        f"task holds: {cancelled}",
        "cancelled works",
    ]


@pytest.mark.parametrize("anyio_backend", JUMPING, indirect=True)
async def test_around_a_retried_task_each_attempt_is_told() -> None:
    """One task, several attempts, each with its own error; a timeout is told as such, also of a declared plain task."""

    @background_task(timeout=1, retry=Retry(on=(OSError, TimeoutError), attempts=3, wait_jitter=0))
    async def flaky(context: Inject[TaskContext] = INJECTED) -> None:
        if context.attempt == 1:
            raise OSError
        if context.attempt == 2:
            await anyio.sleep(2)

    @background_task(timeout=1)
    async def slow() -> None:
        await anyio.sleep(2)

    witness = Witness()
    await request(observed(flaky, slow, observers=[witness]), "/")
    assert witness.told[2:-5] == [
        "released flaky",
        "task flaky",
        "attempt 1 flaky",
        "attempt 1 flaky: OSError",
        "attempt 2 flaky",
        f"attempt 2 flaky: {TaskTimedOut.__name__}",
        "attempt 3 flaky",
        "attempt 3 flaky ended",
        "task flaky ended",
    ]
    assert witness.told[-2:] == ["attempt 1 slow: TaskTimedOut", "task slow: TaskTimedOut"]


async def test_what_an_observer_sets_in_the_context_is_seen_by_the_task_alone() -> None:
    """It is entered and left where the task runs, also a sync one, and nobody else sees anything of it."""

    class Marks(TaskObserver):
        @contextmanager
        def task(self, record: TaskRecord) -> Generator[None]:
            token = current.set(short(record.name))
            yield
            current.reset(token)

    seen: list[str] = []

    async def first() -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(current.get())

    def second() -> None:
        seen.append(current.get())

    @get("/")
    async def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(first)
        tasks.add_task(second)
        return current.get()

    app = application(handler, tasks=BackgroundTasksModule.setup(observers=[Marks()]))
    assert (await request(app, "/")).json() == "nothing"
    assert seen == ["first", "second"]
    assert current.get() == "nothing"


class Broken(TaskObserver):
    """Fails wherever it can."""

    def __init__(self, hook: str, moment: str = "called") -> None:
        self._broken = hook, moment

    def _at(self, hook: str, moment: str) -> None:
        if self._broken == (hook, moment):
            raise KeyError(f"{hook} {moment}")

    @contextmanager
    def _around(self, hook: str) -> Generator[None]:
        self._at(hook, "entered")
        try:
            yield
        except ValueError:
            self._at(hook, "left by an error")
            if self._broken[1] == "swallows":
                return
            raise
        self._at(hook, "left")

    def task(self, record: TaskRecord) -> Any:
        self._at("task", "called")
        return self._around("task")

    def attempt(self, record: TaskRecord) -> Any:
        self._at("attempt", "called")
        return self._around("attempt")

    def event(self, kind: str, record: TaskRecord) -> None:
        self._at("event", "called")


@pytest.mark.parametrize("moment", ["called", "entered", "left", "left by an error", "swallows"])
@pytest.mark.parametrize("hook", ["task", "attempt", "event"])
async def test_a_failing_observer_changes_nothing(hook: str, moment: str, log: Log) -> None:
    """It is logged; the task, its outcome and the other observers are as without it."""
    before, after = Witness(), Witness()
    app = observed(works, fails, observers=[before, Broken(hook, moment), after], on_error="continue")
    await request(app, "/")
    undisturbed = Witness()
    await request(observed(works, fails, observers=[undisturbed], on_error="continue"), "/")
    assert before.told == after.told == undisturbed.told
    assert any("background task" in message and "fails" in message for message in log.messages)
    complaints = [message for message in log.messages if message.startswith("the observer")]
    harmless = moment == "swallows" or (hook == "event" and moment != "called")
    assert set(complaints) == (set() if harmless else {f"the observer Broken.{hook} failed; the task goes on"})


@pytest.mark.parametrize("hook", ["task", "attempt", "event"])
async def test_a_cancellation_that_an_observer_raises_is_its_own(hook: str, log: Log) -> None:
    """As one that a task raises: it asked for the result of something cancelled. A request to exit is heeded."""

    class Raises(TaskObserver):
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def _raise(self, *_: object) -> None:
            raise self.error

    witness = Witness()
    observer = type("Observer", (Raises,), {hook: Raises._raise})
    app = observed(works, works, observers=[witness, observer(asyncio.CancelledError())])
    answer = await request(app, "/")
    assert (answer.status, answer.error) == (200, None)
    assert witness.told == ["added works", "added works", *ran("works"), *ran("works")]
    assert {message.partition(" failed")[2] for message in log.messages} == {"; the task goes on"}
    with pytest.raises(SystemExit):
        await request(observed(works, observers=[observer(SystemExit())]), "/")


async def test_hooks_that_are_not_overridden_and_return_nothing_are_fine() -> None:
    """An observer needs not care for what it does not want to hear."""
    heard: list[str] = []

    class OnlyTasks(TaskObserver):
        def task(self, record: TaskRecord) -> None:
            heard.append(record.name)

    class OnlyAttempts(TaskObserver):
        def attempt(self, record: TaskRecord) -> None:
            heard.append(record.name)

    class Nothing(TaskObserver): ...

    witness = Witness()
    await request(observed(works, observers=[OnlyTasks(), Nothing(), OnlyAttempts(), witness]), "/")
    assert heard == [f"{__name__}:works"] * 2
    idle, record = TaskObserver(), witness.records[0]
    assert idle.task(record) is idle.attempt(record) is None
    idle.event("added", record)


@injectable(scope=singleton_scope)
class Metrics:
    """A service that an observer needs."""

    def __init__(self) -> None:
        self.counted: list[str] = []


@injectable(scope=singleton_scope)
class Counting(TaskObserver):
    """Is built by the container."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def event(self, kind: str, record: TaskRecord) -> None:
        self.metrics.counted.append(f"{kind} {short(record.name)}")


@pytest.mark.parametrize("bound", [False, True])
async def test_a_class_is_built_by_the_container(bound: bool) -> None:
    """Once for the application, with what its constructor asks for, whether it is bound or not; overrides count."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(works)

    metrics = Metrics()
    providers: list[Any] = [Metrics, *([Counting] if bound else [])]
    test: Any = Test.create_test_module(
        modules=[BackgroundTasksModule.setup(observers=[Counting]), module(routers=[handler])], providers=providers
    )
    app = test.override_provider(Metrics, use_value=metrics).create_application()
    await request(app, "/")
    await request(app, "/")
    assert metrics.counted == ["added works", "released works"] * 2


@pytest.mark.parametrize("wrong", [42, Metrics, None, "shop.observers"])
def test_what_is_no_observer_is_refused(wrong: Any) -> None:
    """At declaration, naming the value."""
    with pytest.raises(InvalidOptions, match=r"option 'observers' is .* is no TaskObserver: give classes"):
        BackgroundTasksModule.setup(observers=[wrong])


async def test_websockets_and_threads_and_what_tasks_add_are_told_too() -> None:
    """In the order in which it happens."""
    witness = Witness()

    async def adds(tasks: BackgroundTasks) -> None:
        tasks.add_task(works)

    @websocket("/")
    async def connection(socket: Inject[WebSocket], tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(adds, tasks)
        await tasks()
        tasks.add_task(works_in_a_thread)

    await Socket().run(application(connection, tasks=BackgroundTasksModule.setup(observers=[witness])), "/")
    assert witness.told == [
        "added adds",
        *ran("adds")[:3],
        "added works",
        *ran("adds")[3:],
        *ran("works"),
        "added works_in_a_thread",
        *ran("works_in_a_thread"),
    ]


async def test_hundreds_of_requests_in_two_applications_are_told_apart() -> None:
    """Each observer hears of its own application, each record is of its own request."""
    witnesses = Witness(), Witness()

    def build(witness: Witness) -> App:
        @get("/{number}")
        async def handler(number: int, tasks: BackgroundTasks) -> None:
            for call in (works, works_in_a_thread, works):
                tasks.add_task(call)

        return application(handler, tasks=BackgroundTasksModule.setup(observers=[witness]))

    apps = [build(witness) for witness in witnesses]
    await concurrently([partial(request, app, f"/{number}") for number in range(200) for app in apps])
    for witness in witnesses:
        tasks = {record.task_id: record.path for record in witness.records}
        assert len(tasks) == 600
        assert len(witness.records) == 4 * 600
        assert all(tasks[record.task_id] == record.path for record in witness.records)
