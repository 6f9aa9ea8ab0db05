"""Promise 12 of what runs: a delivery is an attempt as any other, and is acknowledged when all of it is done."""

import gc
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from contextvars import Context, ContextVar, copy_context
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import anyio
import pytest
from ellar.common import Inject, ModuleRouter, get
from ellar.di import ProviderConfig, injectable, request_scope
from ellar.testing import Test
from opentelemetry import propagate
from pydantic import BaseModel, SecretStr

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksMonitor,
    TaskContext,
    TaskErrorHandler,
    TaskFailure,
    TaskObserver,
    TaskRecord,
    background_task,
    collect_background_tasks,
    current_background_tasks,
)
from bg_di.backends import Message
from bg_di.errors import (
    BackendUnavailable,
    BackgroundTasksNotAccepted,
    BackgroundTasksUnavailable,
    OutcomeUnknown,
    TaskTimedOut,
)
from bg_di.observers.otel import OpenTelemetryObserver
from bg_di.working.delivery import DeliveryTasks
from tests.backends.memory import Memory, MemoryBackend
from tests.backends.shop import Shop
from tests.harness import Log, concurrently, module, request, running
from tests.test_08_service_tasks import Mailer, Outbox
from tests.test_observers_otel import Telemetry

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
theirs: ContextVar[str] = ContextVar("theirs", default="nobody")
MAILS: dict[str, Any] = {"providers": [Outbox, Mailer]}


class Order(BaseModel):
    number: UUID
    price: Decimal
    at: datetime
    secret: SecretStr


class Heard(TaskErrorHandler):
    """Keeps what it hears of, and may add a task."""

    def __init__(self) -> None:
        self.failures: list[TaskFailure] = []
        self.adds: Callable[[], Any] = lambda: None

    async def handle(self, failure: TaskFailure) -> None:
        self.failures.append(failure)
        self.adds()


def hears(heard: Heard) -> dict[str, Any]:
    return {"providers": [ProviderConfig(TaskErrorHandler, use_value=heard)]}


async def test_a_function_runs_with_its_arguments_as_they_were() -> None:
    """They have travelled as JSON."""
    got: list[Any] = []

    @background_task(name="place")
    async def place(order: Order, tags: set[str], *rest: bytes, when: datetime | None = None) -> None:
        got.append((order, tags, rest, when))

    at = datetime(2024, 2, 29, 12, 30)
    order = Order(number=UUID(int=7), price=Decimal("9.90"), at=at, secret=SecretStr("s"))
    shop = Shop(place)
    await shop.add(place, order, {"a", "b"}, b"\x00", b"\xff", when=at)
    assert got == []
    await shop.work("acknowledge")
    assert got == [(order, {"a", "b"}, (b"\x00", b"\xff"), at)]
    assert shop.memory.one().state == "succeeded"


async def test_a_service_is_built_in_the_module_that_added_its_task() -> None:
    """In a scope of its own; the task may know itself, and what it opens is closed."""
    got: list[Any] = []
    services: list[Any] = []

    class Shelf:
        def __init__(self, name: str) -> None:
            self.name = name

    @injectable(scope=request_scope)
    class Stock:
        def __init__(self, shelf: Shelf) -> None:
            self.shelf = shelf

        @background_task(name="count")
        async def count(
            self, context: Inject[TaskContext] = INJECTED, stack: Inject[AsyncExitStack] = INJECTED
        ) -> None:
            stack.callback(got.append, "closed")
            services.append(self)
            got.append((self.shelf.name, context))

    def feature(name: str) -> Any:
        router = ModuleRouter(f"/{name}")

        @router.get("/")
        async def handler(tasks: BackgroundTasks) -> None:
            tasks.add_task(Stock.count)

        return module(name, routers=[router], providers=[Stock, ProviderConfig(Shelf, use_value=Shelf(name))])

    shop = Shop(Stock.count, more={"modules": [feature("books"), feature("games")]})
    for name in ("games", "books"):
        assert (await request(shop.app, f"/{name}/")).status == 200
    await shop.work("acknowledge", "acknowledge")
    assert got.count("closed") == 2
    contexts = [each[1] for each in got if each != "closed"]
    assert sorted(each[0] for each in got if each != "closed") == ["books", "games"]
    assert services[0] is not services[1]
    assert {context.task_id for context in contexts} == {task_id for _, task_id in shop.memory.told}
    for context in contexts:
        assert (context.name, context.method, context.path) == ("count", "BACKEND", "engine")
        assert (context.attempt, context.delivery) == (1, 1)
        assert context.added_at.timestamp() == pytest.approx(shop.memory.kept["shop", context.task_id].message.added_at)


async def test_a_delivery_that_was_lost_before_is_told_to_the_task() -> None:
    """By `TaskContext`."""
    got: list[Any] = []

    @background_task(name="again")
    async def again(context: Inject[TaskContext] = INJECTED) -> None:
        got.append((context.attempt, context.delivery))

    shop = Shop(again)
    shop.put("again", attempt=2).delivery = 3
    await shop.work("acknowledge")
    assert got == [(3, 4)]


async def test_a_fake_reaches_what_a_worker_builds() -> None:
    """As it reaches a handler's parameters."""

    sent: list[str] = []

    class FakeMailer(Mailer):
        def __init__(self) -> None: ...

        async def send(self, address: str, *, subject: str = "") -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
            sent.append(address)

    memory = Memory()
    setup = BackgroundTasksModule.setup(
        name="shop", tasks=[Mailer.send], backends={"engine": MemoryBackend(memory=memory)}, default_backend="engine"
    )
    testing: Any = Test.create_test_module(modules=[setup, module(providers=[Mailer, Outbox])])
    testing.override_provider(Mailer, use_class=FakeMailer)
    app = testing.create_application()
    async with collect_background_tasks(app) as tasks:
        tasks.add_task(Mailer.send, "ada")
    async with running(app):
        await memory.until("acknowledge")
    assert sent == ["ada"]


async def test_a_sync_task_runs_in_a_thread() -> None:
    """Apart from the event loop."""
    shop = Shop(Mailer.send_sync, in_a_thread, more=MAILS)
    async with shop.adding() as tasks:
        tasks.add_task(Mailer.send_sync, "ada")
        tasks.add_task(in_a_thread)
    threads.clear()
    await shop.work("acknowledge", "acknowledge")
    assert shop.app.injector.get(Outbox).sent == [("Mailer", "ada", "sync")]
    assert threads != [threading.current_thread()]


threads: list[threading.Thread] = []


@background_task(name="in a thread")
def in_a_thread() -> None:
    threads.append(threading.current_thread())


async def test_named_context_variables_travel_and_no_others_are_seen() -> None:
    """Neither another task's, nor those of whoever started the application."""
    got: list[Any] = []

    @background_task(name="look")
    async def look() -> None:
        got.append((tenant.get(), theirs.get()))
        theirs.set("the task's")

    shop = Shop(look, carry=[tenant], backend={"concurrency": 1})
    await shop.add(look)
    tenant.set("acme")
    theirs.set("mine")
    await shop.add(look)
    shop.put("look", carried={"tenant": "other", "unknown": 1})
    await shop.work(*["acknowledge"] * 3)
    assert got == [("nobody", "nobody"), ("acme", "nobody"), ("other", "nobody")]


async def test_the_trace_of_the_request_goes_on() -> None:
    """The task's span is linked to the one that it was added in, and what the task sends on is its own."""
    telemetry = Telemetry()
    got: list[Any] = []

    @background_task(name="traced")
    async def traced() -> None:
        sent: dict[str, str] = {}
        propagate.inject(sent)
        got.append(sent["traceparent"].split("-")[1])

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(traced)

    shop = Shop(traced, routes=[handler], observers=[OpenTelemetryObserver(**telemetry.providers)])
    with telemetry.tracer.start_as_current_span("request") as span:
        await request(shop.app, "/")
        span_context = span.get_span_context()
    assert telemetry.sums("bg_di.task.waiting") == {("traced", None): 0}
    await shop.work("acknowledge")
    [consumer] = telemetry.spans()
    assert consumer.context is not None
    [link] = consumer.links
    assert (link.context.trace_id, link.context.span_id) == (span_context.trace_id, span_context.span_id)
    assert link.context.is_remote
    assert got == [f"{consumer.context.trace_id:032x}"]
    assert telemetry.sums("bg_di.task.added") == {("traced", None): 1}
    assert telemetry.sums("bg_di.task.waiting") == {("traced", None): 0}
    assert "bg_di.task.dropped" not in telemetry.metrics()


async def test_a_task_that_is_refused_waits_no_more_and_was_dropped() -> None:
    """What OpenTelemetry counts adds up."""
    telemetry = Telemetry()

    @background_task(name="refused")
    async def refused() -> None: ...

    async def refuse(messages: Any) -> Any:
        return [BackendUnavailable("the disk", "is full") for _ in messages]

    shop = Shop(refused, observers=[OpenTelemetryObserver(**telemetry.providers)], more=hears(Heard()))
    shop.memory.answer = refuse
    with pytest.raises(BackgroundTasksNotAccepted):
        await shop.add(refused)
    assert telemetry.sums("bg_di.task.waiting") == {("refused", None): 0}
    assert telemetry.sums("bg_di.task.dropped") == {("refused", "refused"): 1}


async def test_a_worker_without_opentelemetry_runs_what_was_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to continue."""
    ran: list[str] = []

    @background_task(name="traced")
    async def traced() -> None:
        ran.append("traced")

    shop = Shop(traced)
    monkeypatch.delitem(sys.modules, "opentelemetry.propagate")
    await shop.add(traced)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    shop.put("traced", trace={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    await shop.work("acknowledge", "acknowledge")
    assert ran == ["traced", "traced"]


async def test_a_task_is_acknowledged_when_what_it_added_has_run_and_was_accepted() -> None:
    """In this order; where it was added, and by which code of the attempt, is all the same."""
    events: list[str] = []

    @background_task(name="outer")
    async def outer(tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        tasks.using(backend="in_process").add_task(inside, "by the task")
        current_background_tasks().add_task(inner)
        events.append("outer")

    async def inside(how: str) -> None:
        await anyio.lowlevel.checkpoint()
        events.append(f"in process {how}")
        current_background_tasks().using(backend="in_process").add_task(events.append, "in process again")

    @background_task(name="inner")
    async def inner() -> None:
        events.append("inner")

    async def accepted(messages: Any) -> None:
        events.append(f"accepted {messages[0].name}")

    async def told(verdict: str, delivery: Any) -> None:
        events.append(f"{verdict} {delivery.name}")

    shop = Shop(outer, inner)
    await shop.add(outer)
    shop.memory.answer, shop.memory.verdicts = accepted, told
    await shop.work("acknowledge", "acknowledge")
    before = events[: events.index("acknowledge outer")]
    assert before[0] == "outer"
    assert {"accepted inner", "in process by the task", "in process again"} <= set(before)
    assert {"inner", "acknowledge inner"} <= set(events)


async def test_a_task_that_awaits_the_collection_waits_for_nothing() -> None:
    """As in a request: what it has added runs behind it."""
    ran: list[str] = []

    @background_task(name="awaits")
    async def awaits(tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        tasks.using(backend="in_process").add_task(ran.append, "added")
        await tasks()
        ran.append("awaits")

    shop = Shop(awaits)
    await shop.add(awaits)
    await shop.work("acknowledge")
    assert ran == ["awaits", "added"]


async def test_what_is_added_when_a_delivery_has_ended_is_refused() -> None:
    """As after a request."""
    contexts: list[Context] = []

    @background_task(name="leaves something")
    async def leaves() -> None:
        contexts.append(copy_context())

    def add_late() -> None:
        current_background_tasks().using(backend="in_process").add_task(leaves)

    shop = Shop(leaves)
    await shop.add(leaves)
    await shop.work("acknowledge")
    with pytest.raises(BackgroundTasksUnavailable, match="BACKEND engine after its background tasks had run"):
        contexts[0].run(add_late)


@pytest.mark.parametrize("refusal", [BackendUnavailable, OutcomeUnknown])
async def test_a_task_whose_own_task_is_not_accepted_runs_again_uncounted(refusal: Any, log: Log) -> None:
    """It is not acknowledged, and the error handler hears of the one that was not accepted."""
    attempts: list[int] = []

    @background_task(name="outer")
    async def outer(context: Inject[TaskContext] = INJECTED, tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        attempts.append(context.attempt)
        tasks.add_task(inner)

    @background_task(name="inner")
    async def inner() -> None: ...

    async def refuse(messages: Any) -> Any:
        return [refusal("the disk", "is full") for _ in messages]

    heard = Heard()
    shop = Shop(outer, inner, more=hears(heard))
    await shop.add(outer)
    shop.memory.answer = refuse
    async with shop.working("reschedule", "acknowledge", "acknowledge") as memory:
        await memory.until("reschedule")
        kept = memory.one()
        assert (kept.state, kept.attempt) == ("accepted", 0)
        assert "the disk is full" in str(kept.reason)
        assert kept.due_at <= time.time() + 1
        memory.answer = None
        memory.jump(1)
    assert attempts == [1, 1]
    [failure] = heard.failures
    assert (failure.name, type(failure.error)) == ("inner", BackgroundTasksNotAccepted)


async def test_what_a_failing_attempt_added_counts_by_that(log: Log) -> None:
    """As in a request: it is dropped, unless its `when` says otherwise."""
    ran: list[str] = []

    @background_task(name="fails")
    async def fails(tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        here = tasks.using(backend="in_process")
        here.add_task(ran.append, "success")
        for when in ("failure", "always"):
            tasks.using(backend="in_process", when=when).add_task(ran.append, when)
            tasks.using(when=when).add_task(inner, when)
        tasks.add_task(inner, "success")
        raise ValueError("no")

    @background_task(name="inner")
    async def inner(when: str) -> None:
        ran.append(f"inner {when}")

    shop = Shop(fails, inner)
    await shop.add(fails)
    await shop.work("bury", "acknowledge", "acknowledge")
    assert sorted(ran) == ["always", "failure", "inner always", "inner failure"]
    assert "was dropped: attempt 1 of fails, which added it, failed" in log.text


async def test_a_task_that_finally_fails_is_reported_once_and_dead() -> None:
    """With its error, by the error handler of the module that added it; what that adds is handed over.

    That module's class has the same name as another one's.
    """
    heard, elsewhere = Heard(), Heard()

    @background_task(name="fails")
    async def fails(secret: str) -> None:
        raise ValueError("no")

    @background_task(name="inner")
    async def inner() -> None: ...

    heard.adds = lambda: current_background_tasks().add_task(inner)
    router = ModuleRouter("/mine")

    @router.get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fails, "secret")

    mine = module(routers=[router], **hears(heard))
    shop = Shop(fails, inner, more={"modules": [mine], **hears(elsewhere)})
    await request(shop.app, "/mine/")
    await shop.work("bury", "acknowledge")
    assert elsewhere.failures == []
    [failure] = heard.failures
    assert (failure.name, failure.method, failure.path) == ("fails", "BACKEND", "engine")
    assert failure.task.args == ("secret",)
    [dead] = [kept for kept in shop.memory.kept.values() if kept.state == "dead"]
    assert (dead.reason, dead.attempt) == ("ValueError: no", 1)
    monitor = shop.app.injector.get(BackgroundTasksMonitor)
    assert monitor.state(dead.message.task_id) == "dead"
    assert {(record.name, record.state) for record in monitor.history() if record.method == "BACKEND"} == {
        ("fails", "dead"),
        ("inner", "accepted"),
        ("inner", "succeeded"),
    }


async def test_the_default_handler_logs_it_once_without_its_arguments(log: Log) -> None:
    """With the traceback, as in a request."""

    @background_task(name="fails")
    async def fails(secret: str) -> None:
        raise ValueError("no")

    shop = Shop(fails)
    await shop.add(fails, "hunter2")
    await shop.work("bury")
    [task_id] = (kept.message.task_id for kept in shop.memory.kept.values())
    it = "background task fails of BACKEND engine"
    assert [(record.levelname, record.getMessage()) for record in log.records] == [
        ("ERROR", f"{it} failed"),
        (
            "WARNING",
            f"{it} ({task_id}) is dead, kept with its error until it is put back or pruned",
        ),
    ]
    assert "hunter2" not in log.text


@pytest.mark.parametrize("text", ["x" * 10_000, "\ud800"])
async def test_what_an_engine_keeps_of_an_error_is_short_text(text: str) -> None:
    """Of any size, or none that UTF-8 has, it may be an engine's end."""

    @background_task(name="fails")
    async def fails() -> None:
        raise ValueError(text)

    shop = Shop(fails)
    await shop.add(fails)
    await shop.work("bury")
    reason = shop.memory.one().reason
    assert reason is not None
    assert reason == "ValueError: " + ("x" * 488 if text.startswith("x") else r"\ud800")


async def test_observers_and_the_monitor_see_it_as_any_other_task() -> None:
    """Around the task and its attempt; who adds it and who runs it may be two processes."""
    told: list[str] = []

    class Witness(TaskObserver):
        def task(self, record: TaskRecord) -> Any:
            return self._around("task", record)

        def attempt(self, record: TaskRecord) -> Any:
            return self._around("attempt", record)

        def event(self, kind: str, record: TaskRecord) -> None:
            told.append(f"{kind} {record.name}")

        @contextmanager
        def _around(self, what: str, record: TaskRecord) -> Generator[None]:
            told.append(f"{what} {record.name} {record.attempt} {record.method}")
            yield
            told.append(f"{what} ends")

    @background_task(name="watched")
    async def watched() -> None:
        monitor = shop.app.injector.get(BackgroundTasksMonitor)
        [record] = monitor.snapshot()
        told.append(f"{record.name} {record.state} {record.path}, {monitor.state(record.task_id)}")
        assert not monitor.cancel(record.task_id)
        current_background_tasks().using(backend="in_process").add_task(inside)

    async def inside() -> None:
        told.append(
            str([(record.method, record.state) for record in shop.app.injector.get(BackgroundTasksMonitor).snapshot()])
        )

    shop = Shop(watched, observers=[Witness()])
    await shop.add(watched)
    await shop.work("acknowledge")
    assert [each for each in told if "inside" not in each and not each.startswith("[")] == [
        "added watched",
        "accepted watched",
        "task watched 0 BACKEND",
        "attempt watched 1 BACKEND",
        "watched running engine, running",
        "attempt ends",
        "task ends",
        "attempt ends",
        "task ends",
    ]
    assert "[('BACKEND', 'running'), ('BACKEND', 'running')]" in told
    assert shop.app.injector.get(BackgroundTasksMonitor).snapshot() == ()


async def test_the_declared_timeout_holds_and_so_does_one_that_has_travelled(log: Log) -> None:
    """The second wins."""
    heard = Heard()

    @background_task(name="slow", timeout=0.001)
    async def slow() -> None:
        await anyio.sleep(60)

    @background_task(name="patient", timeout=60)
    async def patient() -> None:
        await anyio.sleep(60)

    shop = Shop(slow, patient, more=hears(heard))
    async with shop.adding() as tasks:
        tasks.add_task(slow)
        tasks.using(timeout=0.002).add_task(patient)
    await shop.work("bury", "bury")
    assert {str(failure.error) for failure in heard.failures} == {
        "slow took longer than its timeout of 0.001 seconds",
        "patient took longer than its timeout of 0.002 seconds",
    }
    assert all(isinstance(failure.error, TaskTimedOut) for failure in heard.failures)
    assert {record.state for record in shop.app.injector.get(BackgroundTasksMonitor).history()} == {"accepted", "dead"}


@pytest.mark.parametrize("concurrency", [1, 7])
async def test_never_more_than_concurrency_run_at_once(concurrency: int) -> None:
    """Hundreds of tasks, each of which runs once."""
    running_now: set[int] = set()
    most, done = 0, []

    @background_task(name="numbered")
    async def numbered(number: int) -> None:
        nonlocal most
        running_now.add(number)
        most = max(most, len(running_now))
        for _ in range(number % 3 + 10):
            await anyio.lowlevel.checkpoint()
        running_now.discard(number)
        done.append(number)

    shop = Shop(numbered, backend={"concurrency": concurrency})
    async with shop.adding() as tasks:
        for number in range(300):
            tasks.add_task(numbered, number)
    await shop.work(*["acknowledge"] * 300)
    assert sorted(done) == list(range(300))
    assert most == concurrency


async def test_applications_on_one_engine_run_their_own_tasks() -> None:
    """By their names, of which each has its own."""
    ran: list[str] = []
    memory = Memory()

    def named(name: str) -> Shop:
        @background_task(name="task")
        async def task(for_: str) -> None:
            ran.append(f"{for_} at {name}")

        return Shop(task, memory=memory, name=name)

    shops = [named("shop"), named("office")]
    for number in range(50):
        for shop, name in zip(shops, ("shop", "office"), strict=True):
            shop.put("task", f"{name} {number}")
    async with running(shops[0].app), running(shops[1].app):
        await memory.until(*["acknowledge"] * 100)
    assert sorted(ran) == sorted(f"{name} {number} at {name}" for name in ("shop", "office") for number in range(50))


async def test_a_worker_takes_only_what_is_listed() -> None:
    """What it does not know waits for one that does."""

    @background_task(name="known")
    async def known() -> None: ...

    shop = Shop(known)
    waits = shop.put("unknown")
    await shop.add(known)
    await shop.work("acknowledge")
    assert waits.state == "accepted"


async def test_what_an_engine_has_made_dead_itself_is_logged(log: Log) -> None:
    """It tells the worker."""

    @background_task(name="task")
    async def task() -> None: ...

    shop = Shop(task)
    async with shop.working() as memory:
        [consumer] = memory.consumers
        consumer.lost("1f", "kills", "it was delivered 5 times")
    [record] = log.records
    assert record.getMessage() == (
        "background task kills (1f) of the backend 'engine' is dead, kept with the reason: it was delivered 5 times"
    )
    assert record.__dict__["task_name"] == "kills"


async def test_an_engine_that_is_away_is_waited_for(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """That is said once, and that it is back; nothing is lost."""
    caplog.set_level("INFO", "bg_di")
    ran: list[int] = []
    away = 3

    @background_task(name="task")
    async def task(number: int) -> None:
        ran.append(number)

    async def claims() -> None:
        nonlocal away
        if away:
            away -= 1
            raise BackendUnavailable("the file", "is locked")

    shop = Shop(task)
    await shop.add(task, 1)
    shop.memory.claims = claims
    await shop.work("acknowledge")
    assert ran == [1]
    assert log.messages == [
        "the worker of 'engine' cannot go on; it tries again until it can: the file is locked",
        "the worker of 'engine' goes on",
    ]


@pytest.mark.parametrize("error", [BackendUnavailable("a", "b"), OutcomeUnknown("a", "b"), RuntimeError("a bug")])
async def test_a_verdict_is_told_until_the_engine_has_heard_it(
    error: Exception, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises: the task has run, and is not to run again for that."""
    caplog.set_level("INFO", "bg_di")
    ran: list[int] = []
    away = True

    @background_task(name="task")
    async def task() -> None:
        ran.append(1)

    async def verdicts(verdict: str, delivery: Any) -> None:
        nonlocal away
        if away:
            away = False
            raise error

    shop = Shop(task)
    await shop.add(task)
    shop.memory.verdicts = verdicts
    await shop.work("acknowledge")
    assert ran == [1]
    assert [record.levelname for record in log.records] == ["ERROR", "INFO"]


async def test_a_delivery_that_was_lost_meanwhile_is_named(log: Log) -> None:
    """The other run counts."""
    lost: list[str] = []

    @background_task(name="task")
    async def task() -> None: ...

    async def lose(verdict: str, delivery: Any) -> None:
        if not lost:
            lost.append(verdict)
            shop.memory.kept["shop", delivery.task_id].token += 1
            shop.memory.kept["shop", delivery.task_id].state = "accepted"
            shop.memory.wake()

    shop = Shop(task)
    await shop.add(task)
    shop.memory.verdicts = lose
    await shop.work("acknowledge")
    assert log.messages[0].endswith(
        "ended after its delivery had been lost: it may have run twice, and the other run counts"
    )


async def test_a_message_of_an_earlier_deployment_runs() -> None:
    """An argument was added with a default, and an annotation widened; a later one adds keys that are ignored."""
    got: list[Any] = []

    def deployed(declare: Callable[[], Any], memory: Memory) -> tuple[Shop, Any]:
        task = declare()
        return Shop(task, memory=memory), task

    def before() -> Any:
        @background_task(name="task")
        async def task(amount: int) -> None:
            got.append(amount)

        return task

    def after() -> Any:
        @background_task(name="task")
        async def task(amount: Decimal | int | str, currency: str = "EUR") -> None:
            got.append((amount, currency))

        return task

    memory = Memory()
    (old, earlier), (new, later) = deployed(before, memory), deployed(after, memory)
    await old.add(earlier, 3)
    await new.work("acknowledge")
    await new.add(later, 4)
    kept = list(memory.kept.values())[-1]
    body = kept.message.body.replace(b"{", b'{"since_version_1_1":[1],', 1)
    kept.message = Message(**{**_fields(kept.message), "body": body})
    await old.work("acknowledge", "acknowledge")
    assert got == [(3, "EUR"), 4]


def _fields(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__slots__}


async def test_requests_go_on_while_a_worker_works() -> None:
    """Hundreds, from several modules, in one application; each task runs in its module."""
    done: list[tuple[str, int]] = []

    class Desk:
        def __init__(self, name: str) -> None:
            self.name = name

    @background_task(name="note")
    async def note(number: int, desk: Inject[Desk] = INJECTED) -> None:
        await anyio.lowlevel.checkpoint()
        done.append((desk.name, number))

    def feature(name: str) -> Any:
        router = ModuleRouter(f"/{name}")

        @router.get("/{number}")
        async def handler(number: int, tasks: BackgroundTasks) -> None:
            tasks.add_task(note, number)

        return module(name, routers=[router], providers=[ProviderConfig(Desk, use_value=Desk(name))])

    shop = Shop(note, more={"modules": [feature("a"), feature("b")]})
    async with shop.working(*["acknowledge"] * 100):
        await concurrently([partial(request, shop.app, f"/{name}/{n}") for name in "ab" for n in range(50)])
    assert sorted(done) == [(name, number) for name in "ab" for number in range(50)]


@pytest.mark.parametrize("how", ["succeeds", "fails", "adds"])
async def test_a_delivery_that_has_ended_leaves_nothing_to_the_garbage_collector(how: str) -> None:
    """But for the last ones, as many as run at once, which the event loop may still know."""

    @background_task(name="task")
    async def task() -> None:
        await anyio.lowlevel.checkpoint()
        if how == "fails":
            raise ValueError
        if how == "adds":
            current_background_tasks().using(backend="in_process").add_task(anyio.lowlevel.checkpoint)

    shop = Shop(task, more={"providers": [ProviderConfig(TaskErrorHandler, use_value=Deaf())]})
    async with shop.adding() as tasks:
        for _ in range(50):
            tasks.add_task(task)
    gc.collect()
    gc.disable()
    before = deliveries()
    try:
        async with running(shop.app):
            await shop.memory.until_told(50)
            assert deliveries() - before <= 10
    finally:
        gc.enable()


def deliveries() -> int:
    return sum(type(each) is DeliveryTasks for each in gc.get_objects())


class Deaf(TaskErrorHandler):
    async def handle(self, failure: TaskFailure) -> None: ...
