"""A whole application on a broker: what is refused where, what is answered, and what runs when."""

import asyncio
import time
import traceback
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from ellar.app import App
from ellar.common import Inject, get
from ellar.di import ProviderConfig

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    BackgroundTasksNotAccepted,
    Retry,
    TaskContext,
    TaskErrorHandler,
    TaskFailure,
    background_task,
    collect_background_tasks,
)
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.errors import InvalidOptions
from bg_di.testing.contract.handles import opened
from tests.backends.rabbitmq.proxy import Proxy
from tests.backends.rabbitmq.rabbit import GENEROUS, PATIENCE, raw, until, until_waiting
from tests.backends.rabbitmq.server import Broker, url
from tests.harness import Client, Log, request, running
from tests.harness import application as made


class Kept(TaskErrorHandler):
    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    async def handle(self, failure: TaskFailure) -> None:
        self.errors.append(failure.error)


def shop(address: Any, name: str, *tasks: Any, routes: Any = (), heard: Kept | None = None, **options: Any) -> App:
    """An application whose default is one broker, with others beside it if ``backends`` has some."""
    backends = {"durable": RabbitBackend(address, **options.pop("backend", {})), **options.pop("backends", {})}
    setup = BackgroundTasksModule.setup(
        **{"name": name, "tasks": tasks, "backends": backends, "default_backend": "durable", **options}
    )
    providers = [ProviderConfig(TaskErrorHandler, use_value=heard)] if heard else []
    return made(*routes, tasks=setup, providers=providers)


async def add(app: App, task: Any, *args: Any, **policy: Any) -> None:
    async with collect_background_tasks(app) as tasks:
        tasks.using(**policy).add_task(task, *args)


def assert_refused(client: Client) -> None:
    """With 503, and nothing of what the handler had to say."""
    assert (client.status, client.header("retry-after")) == (503, "5")
    assert client.json() == {"detail": "Service Unavailable", "status_code": 503}
    assert client.header("x-handler") is None


@background_task(name="anything")
async def anything() -> None: ...


async def test_what_became_of_each_task_is_named(broker: Broker, application: str) -> None:
    """Of one that was refused, one that may have been taken, and one that was."""
    heard = Kept()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> str:
        for backend in ("durable", "away", "silent"):
            tasks.using(backend=backend).add_task(anything)
        return "done"

    async with Proxy(broker.port) as proxy:
        others = {
            "away": RabbitBackend(url(1, password="s3cr3t"), embedded=False),
            "silent": RabbitBackend(proxy.url, embedded=False, publish_timeout=0.5),
        }
        app = shop(
            broker.url,
            application,
            anything,
            routes=[handler],
            heard=heard,
            backend={"embedded": False},
            backends=others,
        )
        async with running(app):
            await add(app, anything, backend="silent")
            proxy.stall(forth=False)
            assert_refused(await request(app, "/"))
            proxy.cut()
    not_accepted = [error for error in heard.errors if isinstance(error, BackgroundTasksNotAccepted)]
    error = not_accepted[0]
    assert [len(each) for each in (error.refused, error.unknown, error.accepted)] == [1, 1, 1]
    assert "refused: anything" in str(error)
    assert "unknown, may run all the same: anything" in str(error)
    assert "accepted all the same: anything" in str(error)
    assert "s3cr3t" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("need", ["unique_key", "session"])
async def test_what_a_broker_cannot_do_is_refused_where_it_is_asked_for(
    need: str, broker: Broker, application: str
) -> None:
    """At `add_task`, by the names of the backend and of what it cannot do."""
    app = shop(broker.url, application, anything, backend={"embedded": False})
    async with collect_background_tasks(app) as tasks:
        using: Any = tasks.using
        with pytest.raises(InvalidOptions) as refused:
            using(**{need: "k" if need == "unique_key" else object()}).add_task(anything)
    wanted = {"unique_key": "unique_key", "session": "transaction"}[need]
    assert f"anything wants a {wanted}, which the backend 'durable' cannot do" in str(refused.value)


@pytest.mark.parametrize(
    ("embedded", "failed"),
    [(True, "a worker of background tasks could not start: "), (False, "background tasks cannot be kept: ")],
)
async def test_a_queue_of_somebody_else_stops_the_start_up(
    embedded: bool, failed: str, broker: Broker, application: str, log: Log
) -> None:
    """With what it has, and what is needed; also where tasks are only handed over."""
    queue = Queues(application).tasks.name
    async with raw(broker.url) as channel:
        await channel.declare_queue(queue, durable=True)
        app = shop(broker.url, application, anything, backend={"embedded": embedded})
        async with running(app) as lifespan:
            said = " ".join(lifespan.said)
        await channel.queue_delete(queue)
    assert said.startswith(f"startup.failed {failed}")
    assert f"has a queue '{queue}' that somebody else has declared" in said
    assert "but current is none" in said
    assert "'x-queue-type': 'quorum'" in said


async def test_delays_are_kept_by_the_whole_application(broker: Broker, application: str) -> None:
    """Also one that takes several queues, and that of a retry; never early, and not late."""
    due: dict[str, float] = {}
    late: dict[str, float] = {}

    def ran(what: str) -> None:
        late[what] = time.time() - due[what]

    @background_task(name="delayed")
    async def delayed(what: str) -> None:
        ran(what)

    @background_task(name="retried", retry=Retry(on=OSError, attempts=2, wait_initial=1.3, wait_max=1.3, wait_jitter=0))
    async def retried(context: Inject[TaskContext] = INJECTED) -> None:
        if context.attempt == 1:
            due["retry"] = time.time() + 1.3
            raise OSError
        ran("retry")

    app = shop(broker.url, application, delayed, retried)
    async with running(app):
        for seconds in (0.1, 0.6, 1.9):
            due[str(seconds)] = time.time() + seconds
            await add(app, delayed, str(seconds), delay=seconds)
        await add(app, retried)
        await until(lambda: len(late) == 4)
    assert min(late.values()) >= 0
    assert max(late.values()) < GENEROUS


async def test_what_is_cut_off_while_it_runs_is_not_started_beside_itself(
    broker: Broker, application: str, log: Log
) -> None:
    """In one process; it succeeds, and nothing of it is left."""
    started: list[int] = []
    release = asyncio.Event()

    @background_task(name="slow")
    async def slow(context: Inject[TaskContext] = INJECTED) -> None:
        started.append(context.delivery)
        await release.wait()

    @background_task(name="next")
    async def after() -> None:
        release.set()

    async with Proxy(broker.port) as proxy, opened(RabbitBackend(broker.url), application) as direct:
        app = shop(proxy.url, application, slow, after)
        async with running(app):
            await add(app, slow)
            await until(lambda: started)
            proxy.cut()
            await until(lambda: any(line.endswith("is back") for line in log.messages))
            await add(app, after)
            await release.wait()
        assert started == [1]
        await until_waiting(direct, 0)
        assert direct.counts().dead == 0


async def test_elsewhere_it_may_run_twice_and_is_told_so(broker: Broker, application: str, log: Log) -> None:
    """By `TaskContext.delivery`; the first one is known to have lost it."""
    started: list[tuple[str, int]] = []
    release = asyncio.Event()

    def of(who: str) -> Any:
        @background_task(name="slow")
        async def slow(context: Inject[TaskContext] = INJECTED) -> None:
            started.append((who, context.delivery))
            if who == "cut off":
                await release.wait()

        return slow

    async with Proxy(broker.port) as proxy:
        first, second = of("cut off"), of("other")
        cut_off, other = shop(proxy.url, application, first), shop(broker.url, application, second)
        async with running(cut_off):
            await add(cut_off, first)
            await until(lambda: started)
            async with running(other):
                proxy.refuses = True
                proxy.cut()
                await until(lambda: len(started) == 2)
                release.set()
                await until(lambda: any("ended after its delivery had been lost" in line for line in log.messages))
            proxy.refuses = False
    assert started == [("cut off", 1), ("other", 2)]


@asynccontextmanager
async def alarm(broker: Broker) -> AsyncGenerator[None]:
    """The broker is short of memory, as long as the block."""
    await asyncio.to_thread(broker.control, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        await asyncio.to_thread(broker.control, "set_vm_memory_high_watermark", "0.4")


async def test_a_broker_short_of_memory_accepts_nothing_and_is_told_what_has_ended(
    broker: Broker, application: str
) -> None:
    """The client is answered in time; when there is memory again, all goes on by itself."""
    heard, started, ran = Kept(), asyncio.Event(), asyncio.Event()
    release = asyncio.Event()
    deliveries: list[int] = []

    @background_task(name="slow")
    async def slow(context: Inject[TaskContext] = INJECTED) -> None:
        deliveries.append(context.delivery)
        started.set()
        await release.wait()
        ran.set()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(anything)
        return "done"

    def app() -> App:
        return shop(broker.url, application, slow, anything, routes=[handler], heard=heard, accept_timeout=1)

    async with AsyncExitStack() as stack, running(working := app()):
        await add(working, slow)
        await started.wait()
        await stack.enter_async_context(alarm(broker))
        while (client := await request(working, "/")).status == 200:
            """It was on its way already."""
        assert_refused(client)
        error = heard.errors[0]
        assert isinstance(error, BackgroundTasksNotAccepted)
        assert [len(each) for each in (error.refused, error.unknown)] == [0, 1]
        release.set()
        await ran.wait()
    async with running(other := app()):
        while (await request(other, "/")).status != 200:
            """It takes a moment."""
    assert deliveries == [1]


async def test_acceptance_goes_on_by_itself_after_an_alarm(broker: Broker, application: str) -> None:
    """On the connection that was held up."""

    @get("/")
    async def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(anything)
        return "done"

    async with running(app := shop(broker.url, application, anything, routes=[handler], accept_timeout=1)):
        async with alarm(broker):
            while (await request(app, "/")).status == 200:
                """It was on its way already."""
        async with asyncio.timeout(PATIENCE):
            while (await request(app, "/")).status != 200:
                """It takes a moment."""
