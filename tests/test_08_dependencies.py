"""Promise 8: parameters annotated ``Inject[T]`` are supplied when a declared task runs, in a scope of its own."""

import asyncio
import copy
import inspect
import pickle
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import injector
import pytest
from ellar.common import Inject, get
from ellar.di import ProviderConfig, injectable, request_scope, singleton_scope, transient_scope

from bg_di import INJECTED, BackgroundTasks, BackgroundTasksModule, TaskContext, background_task
from bg_di.testing import RecordingBackgroundTasks
from tests.harness import Client, Log, application, concurrently, module, request
from tests.test_08_service_tasks import adding

if TYPE_CHECKING:
    from decimal import Decimal


@injectable(scope=request_scope)
class Clerk:
    notes: list[Any]

    def __init__(self) -> None:
        self.notes = []


async def ran(*calls: Any, services: Any = (Clerk,)) -> Client:
    """A request whose handler adds each call, a tuple of arguments for `add_task`."""

    def add(tasks: BackgroundTasks) -> None:
        for func, *args in calls:
            tasks.add_task(func, *args)

    client = await request(application(adding(add), services=list(services)), "/")
    assert client.status == 200, client.error
    return client


async def test_either_inject_is_supplied_and_the_callers_argument_wins() -> None:
    """injector's and Ellar's, with a default, by keyword only, optional, behind a name only type checkers see."""
    got: list[Any] = []
    mine = Clerk()

    @background_task
    async def ellars(name: str, clerk: Inject[Clerk] = INJECTED) -> None:
        got.append((name, clerk))

    @background_task
    def injectors(name: str, *, clerk: injector.Inject[Clerk]) -> None:
        got.append((name, clerk))

    @background_task
    async def optional(noted: Annotated[str, "noted"] = "", clerk: injector.Inject[Clerk] | None = None) -> None:
        got.append(("optional", clerk))

    @background_task
    async def quoted(price: "Decimal | None" = None, clerk: "Inject[Clerk]" = INJECTED) -> None:
        got.append(("quoted", clerk))

    await ran((ellars, "a"), (injectors, "b"), (optional,), (quoted,), (ellars, "mine", mine))
    assert [name for name, _ in got] == ["a", "b", "optional", "quoted", "mine"]
    assert all(isinstance(clerk, Clerk) for _, clerk in got)
    assert got[-1][1] is mine
    assert len({id(clerk) for _, clerk in got}) == 5


async def test_a_keyword_argument_of_the_caller_wins_too() -> None:
    """But not the placeholder itself."""
    got: list[Any] = []
    mine = Clerk()

    @background_task
    async def task(clerk: Inject[Clerk] = INJECTED) -> None:
        got.append(clerk)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, clerk=mine)
        tasks.add_task(task, clerk=INJECTED)

    await request(application(handler, services=[Clerk]), "/")
    assert got[0] is mine
    assert isinstance(got[1], Clerk)
    assert repr(INJECTED) == "INJECTED"


async def test_one_attempt_has_one_scope() -> None:
    """A service and what is injected beside it share what is request-scoped."""
    got: list[Any] = []

    @injectable(scope=transient_scope)
    class Desk:
        def __init__(self, clerk: Clerk) -> None:
            self.clerk = clerk

        @background_task
        async def note(self, clerk: Inject[Clerk] = INJECTED) -> None:
            got.append(clerk is self.clerk)

    await ran((Desk.note,), services=(Clerk, Desk))
    assert got == [True]


async def test_a_task_may_know_itself() -> None:
    """By `TaskContext`: name, request, when it was added, and an id that no other has."""
    got: list[TaskContext] = []

    @background_task(name="known")
    async def task(context: Inject[TaskContext] = INJECTED, again: Inject[TaskContext] = INJECTED) -> None:
        assert context is again
        got.append(context)

    await ran((task,), (task,))
    first, second = got
    assert (first.name, first.method, first.path, first.attempt) == ("known", "GET", "/", 1)
    assert first.added_at.tzinfo is not None
    assert first.added_at <= second.added_at
    assert first.task_id != second.task_id
    assert len(first.task_id) == 32


async def test_what_a_task_adds_belongs_to_the_same_request() -> None:
    """Through the collection that is injected into it."""
    ran_: list[str] = []

    @background_task
    async def outer(tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        tasks.add_task(ran_.append, "inner")

    await ran((outer,))
    assert ran_ == ["inner"]


async def test_an_exit_stack_is_closed_when_the_attempt_ends() -> None:
    """At success and failure, with the error; before the next task starts."""
    events: list[Any] = []

    @background_task
    async def task(name: str, *, fails: bool = False, stack: Inject[AsyncExitStack] = INJECTED) -> None:
        async def closed(kind: Any, *_: Any) -> None:
            await anyio.lowlevel.checkpoint()
            events.append(f"{name} closed by {kind and kind.__name__}")

        stack.push_async_exit(closed)
        events.append(name)
        if fails:
            raise ValueError

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(task, "fine")
        tasks.add_task(task, "failing", fails=True)
        tasks.add_task(events.append, "last")

    setup = BackgroundTasksModule.setup(on_error="continue")
    await request(application(handler, tasks=setup), "/")
    assert events == ["fine", "fine closed by None", "failing", "failing closed by ValueError", "last"]


async def test_a_cancelled_task_cleans_up_all_the_same(log: Log) -> None:
    """Shielded from the cancellation of its request."""
    events: list[str] = []
    runs = anyio.Event()

    @background_task
    async def task(stack: Inject[AsyncExitStack] = INJECTED) -> None:
        async def closed() -> None:
            await anyio.lowlevel.checkpoint()
            events.append("closed")

        stack.push_async_callback(closed)
        runs.set()
        await anyio.sleep_forever()

    app = application(adding(lambda tasks: tasks.add_task(task)))
    async with anyio.create_task_group() as group:
        group.start_soon(request, app, "/")
        await runs.wait()
        group.cancel_scope.cancel()
    assert events == ["closed"]
    assert "was cut off while it ran" in log.text


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_what_a_second_cancellation_breaks_off_is_named(log: Log) -> None:
    """asyncio's own gets through any shield; trio has none of its own."""
    runs, cleans = asyncio.Event(), asyncio.Event()

    @background_task(name="stubborn")
    async def stubborn(stack: Inject[AsyncExitStack] = INJECTED) -> None:
        async def clean_up() -> None:
            cleans.set()
            await anyio.sleep_forever()

        stack.push_async_callback(clean_up)
        runs.set()
        await anyio.sleep_forever()

    serving = asyncio.create_task(request(application(adding(lambda tasks: tasks.add_task(stubborn))), "/"))
    await runs.wait()
    serving.cancel()
    await cleans.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert log.messages[0] == (
        "what background task stubborn cleans up was broken off: it was cancelled once more meanwhile"
    )


async def test_hundreds_of_attempts_at_once_have_scopes_of_their_own() -> None:
    """In threads and not, in two applications; a task of the same request sees another object as well."""
    seen: list[tuple[Any, Any, Any]] = []

    @background_task
    async def task(number: int, clerk: Inject[Clerk] = INJECTED) -> None:
        await anyio.lowlevel.checkpoint()
        clerk.notes.append(number)
        await anyio.lowlevel.checkpoint()
        seen.append((clerk, number, tuple(clerk.notes)))

    @background_task
    def sync(number: int, clerk: Inject[Clerk] = INJECTED) -> None:
        clerk.notes.append(number)
        seen.append((clerk, number, tuple(clerk.notes)))

    @get("/{number}")
    async def handler(number: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(task, number)
        tasks.add_task(sync, number)

    apps = [application(handler, services=[Clerk]) for _ in range(2)]
    await concurrently([partial(request, app, f"/{number}") for number in range(100) for app in apps])
    assert len(seen) == 400
    assert all(notes == (number,) for _, number, notes in seen)
    assert len({id(clerk) for clerk, _, _ in seen}) == 400


async def test_what_belongs_to_an_attempt_is_refused_outside_of_one() -> None:
    """A handler that asks for it is told so."""

    @get("/")
    async def handler(context: Inject[TaskContext]) -> None: ...

    client = await request(application(handler), "/")
    assert isinstance(client.error, RuntimeError)
    assert "only while a declared task runs" in str(client.error)


async def test_a_users_own_binding_of_the_stack_is_respected() -> None:
    """At the root; an attempt supplies its own all the same, if that one is request-scoped."""
    events: list[str] = []

    @background_task
    async def task(stack: Inject[AsyncExitStack] = INJECTED) -> None:
        stack.callback(events.append, "closed")

    app = application(
        adding(lambda tasks: tasks.add_task(task)), providers=[ProviderConfig(AsyncExitStack, scope=request_scope)]
    )
    await request(app, "/")
    assert events == ["closed"]


class Missing: ...


@injectable(scope=request_scope)
class NeedsMissing:
    def __init__(self, missing: Missing) -> None: ...


@injectable(scope=singleton_scope)
class Keeps:
    def __init__(self, clerk: Clerk) -> None: ...


@injectable(scope=singleton_scope)
class KeepsStack:
    def __init__(self, stack: AsyncExitStack) -> None: ...


class NotInjectable:
    def __init__(self, clerk: Clerk) -> None: ...


@injectable(scope=request_scope)
class Circular:
    def __init__(self, other: "Other") -> None: ...


@injectable(scope=request_scope)
class Other:
    def __init__(self, circular: Circular) -> None: ...


@injectable(scope=request_scope)
class Through:
    def __init__(self, needs: NeedsMissing, clerk: Clerk, *rest: Any) -> None: ...


@pytest.mark.parametrize(
    ("key", "chain"),
    [
        (Missing, "which needs Missing: nothing provides Missing"),
        (Through, "which needs Through -> NeedsMissing -> Missing: nothing provides Missing"),
        (Keeps, "which needs Keeps -> Clerk: the singleton Keeps would keep the Clerk of one attempt"),
        (KeepsStack, "KeepsStack -> AsyncExitStack: the singleton KeepsStack would keep the AsyncExitStack"),
        (NotInjectable, "which needs NotInjectable: parameter 'clerk' of NotInjectable is not injected"),
        (Circular, "which needs Circular -> Other -> Circular: they need each other"),
    ],
)
async def test_what_cannot_be_supplied_is_refused_when_it_is_added(key: Any, chain: str) -> None:
    """Showing the chain; nothing is built for it."""

    @background_task(name="asking")
    async def task(needed: Inject[key] = INJECTED) -> None: ...

    errors: list[TypeError] = []

    def add(tasks: BackgroundTasks) -> None:
        with pytest.raises(TypeError) as refused:
            tasks.add_task(task)
        errors.append(refused.value)

    services = [Clerk, NeedsMissing, Keeps, KeepsStack, NotInjectable, Circular, Other, Through]
    await request(application(adding(add), services=services), "/")
    [error] = errors
    assert str(error).startswith("add_task() cannot run asking, ")
    assert chain in str(error)


async def test_what_another_module_keeps_for_itself_is_named_with_what_to_do() -> None:
    """And doing that is enough."""

    @background_task(name="asking")
    async def task(needed: Inject[Clerk] = INJECTED) -> None: ...

    def outcomes(**feature: Any) -> Any:
        desk = module("Desk", providers=[Clerk], **feature)
        shop = module("Shop", modules=[desk], routers=[adding(add)])
        return application(modules=[shop])

    said: list[str] = []

    def add(tasks: BackgroundTasks) -> None:
        try:
            tasks.add_task(task)
        except TypeError as error:
            said.append(str(error))

    await request(outcomes(), "/")
    await request(outcomes(exports=[Clerk]), "/")
    [error] = said
    assert error == (
        "add_task() cannot run asking, which needs Clerk: only Desk itself has Clerk; export it there, by "
        "exports=[Clerk], and list Desk among the modules of the one that adds the task (outside of any: of the root)"
    )


async def test_what_factories_and_values_hide_is_the_attempts_failure(log: Log) -> None:
    """Nobody can look into them; a provider with an unreadable signature is taken as it is."""
    ran_: list[str] = []

    class Hidden: ...

    def factory() -> Hidden:
        raise LookupError("hidden")

    @background_task
    async def task(hidden: Inject[Hidden] = INJECTED) -> None: ...

    @background_task
    async def value(value: Inject[Clerk] = INJECTED, plain: Inject[dict] = INJECTED) -> None:  # type: ignore[type-arg]
        ran_.append("value")

    class Unreadable: ...

    @background_task
    async def unreadable(smallest: Inject[Unreadable] = INJECTED) -> None: ...

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(value)
        tasks.add_task(task)
        tasks.using(when="always").add_task(unreadable)

    services = [
        ProviderConfig(Hidden, use_value=factory),
        ProviderConfig(Unreadable, use_value=min),
        ProviderConfig(Clerk, use_value=Clerk()),
        ProviderConfig(dict, scope=transient_scope),
    ]
    await request(application(handler, services=services), "/")
    assert ran_ == ["value"]
    assert "LookupError: hidden" in log.text
    assert "unreadable of GET / failed" in log.text


_UNFILLED = r"'context' has INJECTED as its default.* write Inject\[...\]"


@pytest.mark.parametrize(
    "annotation", [TaskContext, TaskContext | None, inspect.Parameter.empty], ids=["no Inject", "optional", "none"]
)
def test_a_placeholder_that_nobody_would_fill_is_refused_where_it_is_declared(annotation: Any) -> None:
    """It has no ``Inject[...]`` around what it asks for, so the function would be given the placeholder itself."""
    with pytest.raises(TypeError, match=f"@background_task cannot declare .*:_careless.*{_UNFILLED}"):
        background_task(_careless(annotation))


@pytest.mark.parametrize("annotation", ["TaskContext", Annotated[TaskContext, "current"]], ids=["text", "other"])
async def test_a_placeholder_that_nobody_turns_out_to_fill_is_refused_where_it_is_added(annotation: Any) -> None:
    """As the annotation can only be read there; by the fake too, and at start-up if the task is listed."""
    careless = background_task(_careless(annotation))
    is_refused = pytest.raises(TypeError, match=f"add_task\\(\\) cannot run .*:_careless.*{_UNFILLED}")
    with is_refused:
        RecordingBackgroundTasks().add_task(careless)
    with is_refused:
        application(tasks=BackgroundTasksModule.setup(tasks=[careless]))

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        with is_refused:
            tasks.add_task(careless)

    assert (await request(application(handler), "/")).status == 200


def _careless(annotation: Any) -> Any:
    async def careless(context=INJECTED) -> None:  # type: ignore[no-untyped-def]
        raise AssertionError("is not run")

    if annotation is not inspect.Parameter.empty:
        careless.__annotations__["context"] = annotation
    return careless


def test_a_placeholder_says_what_it_is_where_it_is_used() -> None:
    """As in a test that calls the function directly; copies and pickles are the placeholder itself."""
    with pytest.raises(AttributeError, match=r"INJECTED has no 'path'.* passes it"):
        INJECTED.path
    assert repr(INJECTED) == "INJECTED"
    for made in (copy.copy(INJECTED), copy.deepcopy(INJECTED), pickle.loads(pickle.dumps(INJECTED))):
        assert made is INJECTED
    assert {INJECTED: 1}[INJECTED] == 1
    assert not hasattr(INJECTED, "__wrapped__")
