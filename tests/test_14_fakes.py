"""Promise 14: fakes reach everybody who asks, by either key, wherever the module was declared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec

import anyio
import pytest
from ellar.common import Controller, ControllerBase, IHostContext, Inject, get, middleware
from ellar.core import mount
from ellar.di import ProviderConfig, injectable, request_scope, singleton_scope, transient_scope
from ellar.testing import Test
from ellar.testing.module import TestingModule as ModuleUnderTest
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    TaskErrorHandler,
    TaskFailure,
    background_task,
    current_background_tasks,
)
from bg_di.backends.sqlite import SqliteBackend
from bg_di.errors import BackgroundTasksUnavailable, InvalidOptions
from bg_di.testing import RecordingBackgroundTasks
from tests.harness import Client, Log, application, module, request

KEYS = [BackgroundTasks, StarletteBackgroundTasks]


async def send_welcome(address: str, subject: str = "welcome") -> None:
    SENT.append(address)


SENT: list[str] = []


@background_task(name="kept")
async def kept(what: Any) -> None: ...


@background_task(name="unlisted")
async def unlisted() -> None: ...


class Sender:
    def __init__(self, mailbox: "Mailbox") -> None: ...

    @background_task(name="sent")
    async def send(self, what: str) -> None: ...


class Mailbox(Protocol):
    """Nothing provides it."""


class Falsy(RecordingBackgroundTasks):
    """A fake of which Ellar would lose the value."""

    def __len__(self) -> int:
        return len(self.recorded)


def places(key: Any) -> tuple[Any, list[int]]:
    """A module in which handler, controller, services of every scope and plain code ask for `key`."""
    got: list[int] = []

    @injectable(scope=transient_scope)
    class A:
        def __init__(self, tasks: key) -> None:
            self.tasks = tasks

    @injectable(scope=request_scope)
    class B(A): ...

    @injectable(scope=singleton_scope)
    class C(A): ...

    @Controller("/c")  # pyright: ignore[reportCallIssue]
    class Users(ControllerBase):
        def __init__(self, tasks: key) -> None:
            self.tasks = tasks

        @get("/")
        async def users(self, tasks: key, injected: Inject[key], a: Inject[A], b: Inject[B], c: Inject[C]) -> None:
            asked = [self.tasks, tasks, injected, a.tasks, b.tasks, c.tasks, current_background_tasks()]
            got.extend(map(id, asked))
            tasks.add_task(send_welcome, "ada@example.org")

    return module(controllers=[Users], providers=[A, B, C]), got


FAKES: dict[str, Any] = {
    "recording": RecordingBackgroundTasks,
    "falsy": Falsy,
    "Mock": Mock,
    "MagicMock": MagicMock,
    "Mock with a spec": lambda: Mock(spec=BackgroundTasks),
    "autospec": lambda: create_autospec(StarletteBackgroundTasks, instance=True),
}


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("overridden", KEYS)
@pytest.mark.parametrize("asked", KEYS)
@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_a_fake_value_reaches_everybody_by_either_key(depth: int, asked: Any, overridden: Any, fake: str) -> None:
    """Handlers, constructors, services and `current_background_tasks`; nothing runs."""
    SENT.clear()
    value = FAKES[fake]()
    feature, got = places(asked)
    declared: Any = BackgroundTasksModule
    for _ in range(depth):
        declared = module(modules=[declared])
    tested: ModuleUnderTest = Test.create_test_module(modules=[declared, feature])
    tested.override_provider(overridden, use_value=value)
    client = await request(tested.create_application(), "/c/")
    assert (client.error, client.status) == (None, 200)
    assert got == [id(value)] * 7
    assert SENT == []
    if isinstance(value, RecordingBackgroundTasks):
        value.one(send_welcome, "ada@example.org")
    else:
        value.add_task.assert_called_once_with(send_welcome, "ada@example.org")


@pytest.mark.parametrize("overridden", KEYS)
@pytest.mark.parametrize("asked", KEYS)
async def test_a_fake_class_reaches_everybody_by_either_key(asked: Any, overridden: Any) -> None:
    """Ellar makes one instance of it for the application, which the test asks the container for."""
    feature, got = places(asked)
    tested: ModuleUnderTest = Test.create_test_module(modules=[BackgroundTasksModule, feature])
    tested.override_provider(overridden, use_class=type("Fake", (RecordingBackgroundTasks,), {}))
    await request(tested.create_application(), "/c/")
    recorded = tested.get(asked)
    assert got == [id(recorded)] * 7
    assert recorded.one(send_welcome).args == ("ada@example.org",)


class Users(StarletteBackgroundTasks):
    """A collection of the user's own."""


class WithItsOwnWay(StarletteBackgroundTasks):
    """One that runs its tasks in its own way."""

    async def __call__(self) -> None:
        for task in reversed(self.tasks):
            await task()


@pytest.mark.parametrize("base", [Users, WithItsOwnWay, BackgroundTasks])
@pytest.mark.parametrize("scope", [None, request_scope, singleton_scope])
@pytest.mark.parametrize("run_after", ["response", "request"])
async def test_a_collection_of_the_users_own_is_attached_and_runs(
    run_after: str, scope: Any, base: type[StarletteBackgroundTasks]
) -> None:
    """After the last byte, each task once, whether there is one for each request or one for all."""
    client = Client()

    @get("/")
    async def handler(tasks: BackgroundTasks, injected: Inject[StarletteBackgroundTasks]) -> None:
        assert type(tasks) is base
        assert tasks is injected
        tasks.add_task(client.timeline.append, "first")
        tasks.add_task(client.timeline.append, "second")

    module = BackgroundTasksModule.setup(run_after=run_after)
    own: Any = ProviderConfig(StarletteBackgroundTasks, use_class=base, scope=scope)
    app = application(handler, tasks=module, providers=[own])
    for _ in range(3):
        client.timeline.clear()
        client.complete = False
        await client.request(app, "/")
        assert client.error is None
        if base is WithItsOwnWay:
            # One that is shared by all requests runs what it has kept as well, as Starlette's would.
            assert client.timeline[:4] == ["start", "last byte", "second", "first"]
        else:
            assert client.timeline == ["start", "last byte", "first", "second"]


def own_collection() -> Any:
    return ProviderConfig(StarletteBackgroundTasks, use_class=Users, scope=request_scope)


async def test_what_a_failing_handler_added_to_the_users_own_collection_is_dropped(log: Log) -> None:
    """By name, as from ours."""

    @get("/")
    async def handler(tasks: StarletteBackgroundTasks) -> None:
        tasks.add_task(send_welcome, "a")
        raise ValueError

    await request(application(handler, providers=[own_collection()]), "/")
    assert log.messages == [
        f"background task {__name__}:send_welcome of GET / was dropped: its route failed with ValueError"
    ]


async def test_a_failing_task_of_the_users_own_collection_hurts_nobody(log: Log) -> None:
    """It is isolated as ours are, and ends the rest."""

    async def fail() -> None:
        raise ValueError

    @get("/")
    async def handler(tasks: StarletteBackgroundTasks) -> None:
        tasks.add_task(fail)
        tasks.add_task(send_welcome, "a")

    assert (await request(application(handler, providers=[own_collection()]), "/")).error is None
    assert ["failed" in log.messages[0], "was skipped" in log.messages[1]] == [True, True]


async def test_a_cancelled_request_names_what_the_users_own_collection_had(log: Log) -> None:
    """As it names what ours had."""
    entered = anyio.Event()

    @get("/")
    async def handler(tasks: StarletteBackgroundTasks) -> None:
        tasks.add_task(send_welcome, "a")
        entered.set()
        await anyio.sleep_forever()

    app = application(handler, providers=[own_collection()])
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await entered.wait()
        group.cancel_scope.cancel()
    [message] = log.messages
    assert message.startswith(f"background task {__name__}:send_welcome of GET / never started: its request was ended")


async def test_what_middleware_adds_to_a_users_own_collection_while_it_is_cancelled_is_named(log: Log) -> None:
    """Also after the request has been given up."""
    entered = anyio.Event()

    async def around(cls: Any, context: IHostContext, call_next: Callable[..., Any]) -> None:
        try:
            await call_next()
        finally:
            current_background_tasks().add_task(send_welcome, "late")

    @get("/")
    async def handler() -> None:
        entered.set()
        await anyio.sleep_forever()

    feature = module(routers=[handler], body={"around": middleware(app=True)(around)})
    app = application(modules=[feature], providers=[own_collection()])
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await entered.wait()
        group.cancel_scope.cancel()
    [message] = log.messages
    assert message.startswith(f"background task {__name__}:send_welcome of GET / never started: its request was ended")


async def test_a_features_own_binding_is_respected_there() -> None:
    """Its code gets its own, by either key; the other modules get the request's collection."""
    fake = RecordingBackgroundTasks()
    ran: list[str] = []

    @get("/own")
    async def own(tasks: BackgroundTasks) -> None:
        tasks.add_task(ran.append, "own")
        assert current_background_tasks() is tasks

    @get("/other")
    async def other(tasks: StarletteBackgroundTasks) -> None:
        tasks.add_task(ran.append, "other")
        assert current_background_tasks() is tasks

    feature = module(routers=[own], providers=[ProviderConfig(StarletteBackgroundTasks, use_value=fake)])
    app = application(other, modules=[feature])
    for path in ("/own", "/other"):
        assert (await request(app, path)).status == 200
    assert ran == ["other"]
    fake.one(ran.append, "own")


async def test_a_fake_reaches_what_is_mounted_in_the_application() -> None:
    """Another Ellar application there has a container of its own, which does not know of background tasks."""
    fake = RecordingBackgroundTasks()

    @get("/inner")
    async def inner() -> None:
        current_background_tasks().add_task(send_welcome, "ada")

    feature = module(routers=[mount("/mounted", application(inner, tasks=None))])
    app = application(modules=[feature], providers=[ProviderConfig(BackgroundTasks, use_value=fake)])
    assert (await request(app, "/mounted/inner")).error is None
    fake.one(send_welcome, "ada")


async def test_both_keys_may_be_overridden_apart() -> None:
    """Who overrides both gets both."""
    ours, starlettes = RecordingBackgroundTasks(), RecordingBackgroundTasks()

    @get("/")
    async def handler(a: Inject[BackgroundTasks], b: Inject[StarletteBackgroundTasks]) -> dict[str, bool]:
        return {"ours": a is ours, "starlettes": b is starlettes}

    app = application(
        handler,
        providers=[
            ProviderConfig(BackgroundTasks, use_value=ours),
            ProviderConfig(StarletteBackgroundTasks, use_value=starlettes),
        ],
    )
    assert (await request(app, "/")).json() == {"ours": True, "starlettes": True}


async def test_an_error_handler_is_overridden_as_any_provider() -> None:
    """Also a falsy one."""

    class Fake(TaskErrorHandler):
        def __init__(self) -> None:
            self.failures: list[TaskFailure] = []

        def __len__(self) -> int:
            return len(self.failures)

        async def handle(self, failure: TaskFailure) -> None:
            self.failures.append(failure)

    async def fail() -> None:
        raise ValueError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)

    fake = Fake()
    tested: ModuleUnderTest = Test.create_test_module(modules=[BackgroundTasksModule], routers=[handler])
    tested.override_provider(TaskErrorHandler, use_value=fake)
    await request(tested.create_application(), "/")
    assert len(fake) == 1


async def test_a_fake_outside_of_a_request_is_a_plain_object() -> None:
    """The container gives it to tests, and nobody runs it."""
    own = Users()
    app = application(providers=[ProviderConfig(StarletteBackgroundTasks, use_value=own)])
    assert app.injector.get(StarletteBackgroundTasks) is own
    transient: Any = ProviderConfig(StarletteBackgroundTasks, use_class=Users, scope=transient_scope)
    assert type(application(providers=[transient]).injector.get(BackgroundTasks)) is Users


async def test_an_async_mock_is_a_task_like_any_function() -> None:
    """What it returns is awaited."""
    task = AsyncMock()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, "a", b=1)

    await request(application(handler), "/")
    task.assert_awaited_once_with("a", b=1)


class TestRecording:
    """`RecordingBackgroundTasks` records and runs nothing."""

    def recorded(self) -> RecordingBackgroundTasks:
        tasks = RecordingBackgroundTasks()
        tasks.add_task(send_welcome, "ada@example.org")
        tasks.add_task(send_welcome, "grace@example.org", subject="hello")
        tasks.add_task(print, "x", sep="")
        return tasks

    @pytest.mark.parametrize(
        ("add", "error", "why"),
        [
            (lambda tasks: tasks.add_task(send_welcome, "ada"), TypeError, "only declared tasks may leave"),
            (lambda tasks: tasks.add_task(kept, object()), TypeError, "object"),
            (lambda tasks: tasks.add_task(unlisted), TypeError, "no worker of this application"),
            (lambda tasks: tasks.using(backend="durabel").add_task(kept, "x"), InvalidOptions, "durabel"),
            (lambda tasks: tasks.add_task(Sender.send, "x"), TypeError, "nothing provides"),
        ],
        ids=["undeclared", "no JSON", "not listed", "no such backend", "nothing provides it"],
    )
    async def test_in_a_request_it_refuses_by_the_options_of_the_application(
        self, add: Callable[[Any], None], error: type[Exception], why: str, tmp_path: Path
    ) -> None:
        """So no test is green over what production refuses."""

        @get("/")
        async def handler(tasks: BackgroundTasks) -> None:
            with pytest.raises(error, match=why):
                add(tasks)
            tasks.add_task(kept, "x")

        tasks = RecordingBackgroundTasks()
        setup = BackgroundTasksModule.setup(
            name="shop",
            tasks=[kept, Sender.send],
            backends={"durable": SqliteBackend(str(tmp_path / "tasks.db"))},
            default_backend="durable",
        )
        app = application(handler, tasks=setup, providers=[ProviderConfig(BackgroundTasks, use_value=tasks)])
        assert (await request(app, "/")).status == 200
        assert tasks.one(kept, "x") is tasks.recorded[0]

    def test_one_matches_arguments_as_the_signature_binds_them(self) -> None:
        """`f(1)` is `f(x=1)`, defaults included; what is not asked for may be anything."""
        tasks = self.recorded()
        assert tasks.one(send_welcome, "ada@example.org").kwargs == {}
        assert tasks.one(send_welcome, address="ada@example.org", subject="welcome").args == ("ada@example.org",)
        assert tasks.one(send_welcome, subject="hello").args == ("grace@example.org",)
        assert isinstance(tasks.one(print), BackgroundTask)

    def test_one_fails_if_none_matches_and_shows_what_there_was(self) -> None:
        """The message is what somebody reads when a test has failed."""
        with pytest.raises(AssertionError) as error:
            self.recorded().one(send_welcome, "nobody")
        assert str(error.value) == (
            f"expected one {__name__}:send_welcome('nobody'), found 0; added:\n"
            f"  {__name__}:send_welcome('ada@example.org'): waiting  <- the nearest: address is 'ada@example.org'\n"
            f"  {__name__}:send_welcome('grace@example.org', subject='hello'): waiting\n"
            "  builtins:print('x', sep=''): waiting"
        )

    def test_one_fails_if_several_match(self) -> None:
        """Two mails are one too many."""
        with pytest.raises(AssertionError, match="found 2"):
            self.recorded().one(send_welcome)

    def test_one_shows_that_nothing_was_added(self) -> None:
        """Instead of an empty list."""
        with pytest.raises(AssertionError, match="found 0; nothing was added"):
            RecordingBackgroundTasks().one(send_welcome)

    def test_all_gives_the_calls_in_order(self) -> None:
        """Of one function."""
        assert [task.args[0] for task in self.recorded().all(send_welcome)] == ["ada@example.org", "grace@example.org"]

    def test_arguments_of_var_keywords_match_by_name(self) -> None:
        """As in the call."""

        def task(**kwargs: Any) -> None: ...

        tasks = RecordingBackgroundTasks()
        tasks.add_task(task, a=1, func=2)
        assert tasks.one(task, a=1)
        assert not tasks.all(task, a=2)
        assert not tasks.all(task, b=1)

    def test_callables_without_a_signature_match_as_they_were_called(self) -> None:
        """Nothing binds their arguments."""
        tasks = RecordingBackgroundTasks()
        tasks.add_task(getattr, "a", "b")
        assert tasks.one(getattr, "a")
        assert not tasks.all(getattr, "b")

    def test_assert_not_added(self) -> None:
        """Passes for what was not added, shows what was."""
        tasks = self.recorded()
        tasks.assert_not_added(len)
        with pytest.raises(AssertionError, match="print was added; added:"):
            tasks.assert_not_added(print)

    def test_assert_none(self) -> None:
        """Passes for an empty record, shows what there is."""
        RecordingBackgroundTasks().assert_none()
        with pytest.raises(AssertionError, match="expected no background task; added:"):
            self.recorded().assert_none()

    async def test_drain_runs_what_was_recorded_once_in_order(self) -> None:
        """With what that adds; the record stays for assertions."""
        ran: list[int] = []
        tasks = RecordingBackgroundTasks()

        async def task(number: int) -> None:
            ran.append(number)
            if number == 1:
                tasks.add_task(task, 3)

        tasks.add_task(task, 1)
        tasks.add_task(ran.append, 2)
        await tasks()
        assert ran == []
        await tasks.drain()
        await tasks.drain()
        assert ran == [1, 2, 3]
        assert len(tasks.all(task)) == 2

    async def test_drain_raises_the_first_error(self) -> None:
        """A test wants to see it."""
        tasks = RecordingBackgroundTasks()

        async def fail() -> None:
            raise ValueError("seen")

        tasks.add_task(fail)
        with pytest.raises(ValueError, match="seen"):
            await tasks.drain()

    async def test_drain_says_what_a_container_would_supply(self) -> None:
        """By name; what the call gives by itself is not missing."""
        tasks, ran = RecordingBackgroundTasks(), list[int]()

        @background_task(name="bill")
        async def bill(number: int, log: Inject[Log] = INJECTED) -> None:
            ran.append(number)

        tasks.add_task(bill, 7)
        with pytest.raises(
            BackgroundTasksUnavailable, match=r"^bill needs 'log' of a container, which a fake does not"
        ):
            await tasks.drain()
        tasks.add_task(Sender.send, "it")
        with pytest.raises(BackgroundTasksUnavailable, match=r"sent needs its service of a container.* by perform\(\)"):
            await tasks.drain()
        tasks.add_task(bill, 8, log=Log())
        await tasks.drain()
        assert ran == [8]

    def test_it_refuses_what_the_real_one_refuses(self) -> None:
        """A test with the fake does not pass where the application would fail."""
        with pytest.raises(TypeError, match=r"cannot call .*:send_welcome\(address"):
            RecordingBackgroundTasks().add_task(send_welcome)  # type: ignore[call-overload]
