"""Promise 12: what cannot go where it should is refused at declaration, at start-up or at `add_task`."""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from ellar.app import App
from ellar.common import Inject, get
from ellar.di import ProviderConfig
from pydantic import BaseModel

from bg_di import (
    INJECTED,
    BackgroundTasks,
    BackgroundTasksModule,
    Retry,
    background_task,
    collect_background_tasks,
)
from bg_di.backends import Backend, Capability, InProcessBackend
from bg_di.backends.capabilities import ABLE
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.sqlite import SqliteBackend
from bg_di.errors import InvalidOptions
from bg_di.wire import Envelope
from tests.backends.memory import MemoryBackend, SimpleBackend
from tests.handing_over import ON_ASYNCIO, Engines, send
from tests.harness import application, request
from tests.listed import mails
from tests.listed.mails import Mailer, Special

TENANT: ContextVar[object] = ContextVar("tenant")
SHOP = {"name": "shop", "backends": {"durable": MemoryBackend(embedded=False)}}


async def refused(app: App, add: Callable[[BackgroundTasks], Any]) -> str:
    """What `add_task` says in a block of an application, in which nothing else is added."""
    async with collect_background_tasks(app) as tasks:
        with pytest.raises((TypeError, InvalidOptions)) as error:
            add(tasks)
        assert not tasks.tasks
    return str(error.value)


async def undeclared() -> None: ...


@background_task(name="unlisted", backend="durable")
async def unlisted() -> None: ...


@ON_ASYNCIO
async def test_only_what_is_declared_and_listed_leaves_the_process() -> None:
    """A worker finds a task by its name, in the list."""
    app = Engines().application(tasks=[mails], options={"default_backend": "durable"})
    assert await refused(app, lambda tasks: tasks.add_task(undeclared)) == (
        f"add_task() cannot hand {__name__}:undeclared over to the backend 'durable': only declared tasks may leave "
        "the process; put @background_task on it, or say tasks.using(backend='in_process')"
    )
    assert await refused(app, lambda tasks: tasks.add_task(unlisted)) == (
        "add_task() cannot hand unlisted over to the backend 'durable': no worker of this application would run it; "
        "add it, or the module that defines it, to the option 'tasks'"
    )
    assert await refused(app, lambda tasks: tasks.using(backend="other").add_task(undeclared)) == (
        f"add_task() cannot hand {__name__}:undeclared over to the backend 'other': only declared tasks may leave the "
        "process; put @background_task on it, or say tasks.using(backend='in_process')"
    )


@ON_ASYNCIO
async def test_another_task_of_a_listed_name_is_refused() -> None:
    """A worker would run the one that is listed: for an inherited method that of another service."""

    @background_task(name="sync", backend="durable")
    def another(to: str) -> None: ...

    class Own(Mailer): ...

    app = Engines().application(tasks=[mails], providers=[ProviderConfig(Special), ProviderConfig(Own)])
    for func in (another, Special.send, Own.send, Special.of_the_class):
        said = await refused(app, lambda tasks, func=func: tasks.add_task(func, "ada"))  # type: ignore[misc]
        assert said.endswith(" by this name; add that one, or give this one another name")
    said = await refused(app, lambda tasks: tasks.add_task(Mailer().send, "ada"))
    assert said == (
        f"add_task() cannot hand {mails.__name__}:Mailer.send over to the backend 'durable': a worker would run "
        f"{mails.__name__}:Mailer.send instead, which the option 'tasks' lists by this name; add that one, or give "
        "this one another name"
    )


@ON_ASYNCIO
async def test_methods_of_every_kind_are_handed_over() -> None:
    """As they are listed: a service's by its class, those that need no object as they are, also by an instance."""
    engines = Engines()
    app = engines.application(tasks=[mails], providers=[ProviderConfig(Mailer)])
    async with collect_background_tasks(app) as tasks:
        tasks.add_task(Mailer.send, "ada")
        needing_no_object: list[Any] = [Mailer.of_the_class, Mailer.static, Mailer().static, Mailer().of_the_class]
        for func in needing_no_object:
            tasks.add_task(func, "ada")
        tasks.add_task(mails.plain, to="ada")
        tasks.add_task(mails.sync, "ada")
    assert len(engines.memory.asked[0]) == 7


def test_a_listed_task_without_its_backend_is_refused_at_start_up() -> None:
    """With the backends that there are."""
    with pytest.raises(InvalidOptions) as error:
        application(tasks=BackgroundTasksModule.setup(tasks=[send]))
    assert str(error.value) == (
        "send wants the backend 'durable', which is not configured: the backends are 'in_process'; add it to the "
        "option 'backends'"
    )


@ON_ASYNCIO
async def test_any_other_one_is_refused_where_it_is_added() -> None:
    """Nobody knows of it before."""
    said = await refused(application(), lambda tasks: tasks.add_task(unlisted))
    assert said.startswith("unlisted wants the backend 'durable', which is not configured: the backends are 'in_pro")
    said = await refused(Engines().application(), lambda tasks: tasks.using(backend="nowhere").add_task(send, "a"))
    assert said.startswith(
        "send wants the backend 'nowhere', which is not configured: the backends are 'in_process', 'd"
    )


@background_task(name="delayed", backend="durable", delay=5)
async def delayed() -> None: ...


def test_a_listed_task_that_its_backend_cannot_keep_is_refused_at_start_up() -> None:
    """With those that could; if there is none, with the kinds that can."""
    setup = {"name": "shop", "tasks": [delayed]}
    with pytest.raises(InvalidOptions) as error:
        application(tasks=BackgroundTasksModule.setup(**setup, backends={"durable": SimpleBackend()}))
    said = "delayed wants a delay, which the backend 'durable' cannot do; of the backends here, "
    assert str(error.value) == said + "none can: add a SqliteBackend or a RabbitBackend, which can"
    backends = {"durable": SimpleBackend(), "able": MemoryBackend()}
    with pytest.raises(InvalidOptions) as error:
        application(tasks=BackgroundTasksModule.setup(**setup, backends=backends))
    assert str(error.value) == said + "'able' can"


@ON_ASYNCIO
@pytest.mark.parametrize(
    ("policy", "need"), [({"delay": 1}, "delay"), ({"unique_key": "k"}, "unique_key"), ({"session": 1}, "transaction")]
)
async def test_so_is_a_call_that_its_backend_cannot_keep(policy: dict[str, Any], need: Capability) -> None:
    """Also in the process."""
    options = {"backends": {"durable": SimpleBackend(), "other": SimpleBackend()}}
    app = Engines().application(options=options)
    for backend in ("durable", "in_process"):
        using = {"backend": backend, **policy}
        said = await refused(app, lambda tasks, using=using: tasks.using(**using).add_task(send, "a"))  # type: ignore[misc]
        beginning = (
            f"send wants a {need}, which the backend {backend!r} cannot do; of the backends here, none can: add "
        )
        assert said == f"{beginning}{ABLE[need]}, which can"


@pytest.mark.parametrize("need", ABLE)
@pytest.mark.parametrize("kind", [SqliteBackend, RabbitBackend])
def test_what_is_said_of_the_engines_that_can_is_true(need: Capability, kind: type[Backend]) -> None:
    """It is told without importing them, as what they need may not be installed."""
    assert (kind.__name__ in ABLE[need]) == (need in kind.capabilities)


class Impatient(MemoryBackend):
    """As a broker that gives away what has run for a minute."""

    @property
    def longest(self) -> float:
        return 60.0


LONGER = (
    "{} has a timeout of 61 seconds, and the backend 'durable' delivers a task again that runs for 60: shorten the "
    "timeout, or let the backend wait longer"
)


@ON_ASYNCIO
async def test_what_would_be_delivered_again_while_it_runs_is_refused() -> None:
    """At start-up if it is declared so, else where it is added."""

    @background_task(name="long", backend="durable", timeout=61)
    async def long() -> None: ...

    backends = {"durable": Impatient(embedded=False)}
    with pytest.raises(InvalidOptions) as error:
        application(tasks=BackgroundTasksModule.setup(name="shop", backends=backends, tasks=[long]))
    assert str(error.value) == LONGER.format("long")
    app = application(tasks=BackgroundTasksModule.setup(name="shop", backends=backends, tasks=[send]))
    told = await refused(app, lambda tasks: tasks.using(timeout=61).add_task(send, "a"))
    assert told == LONGER.format("send")


@ON_ASYNCIO
async def test_a_policy_that_cannot_travel_is_refused() -> None:
    """A worker goes by the declaration."""
    app = Engines().application()
    said = await refused(app, lambda tasks: tasks.using(retry=Retry(on=ValueError)).add_task(send, "a"))
    assert said == (
        "using(retry=...) cannot be kept for send on the backend 'durable', where a worker goes by what was declared: "
        "put it into @background_task(retry=...)"
    )


@background_task(name="takes anything", backend="durable")
async def takes_anything(what: Any = None, *, also: object = None) -> None: ...


class Order(BaseModel):
    number: int


@ON_ASYNCIO
@pytest.mark.parametrize("value", [lambda: None, Order(number=1), float("nan"), sys.stdout, print, Mailer()])
async def test_an_argument_that_cannot_travel_is_refused_by_its_name(value: object) -> None:
    """And its type, never its value."""
    app = Engines().application(tasks=[takes_anything])
    for name, args, kwargs in (("what", [value], {}), ("also", [], {"also": value})):
        call = lambda tasks, args=args, kwargs=kwargs: tasks.add_task(takes_anything, *args, **kwargs)  # noqa: E731
        said = await refused(app, call)
        assert said.startswith(f"add_task() cannot send takes anything: the argument {name!r}, a ")
        assert repr(value) not in said


@ON_ASYNCIO
async def test_a_call_that_is_too_large_is_refused() -> None:
    """Its text is not repeated."""
    backend = MemoryBackend(embedded=False, max_message_bytes=500)
    app = Engines().application(options={"backends": {"durable": backend, "other": backend}})
    said = await refused(app, lambda tasks: tasks.add_task(send, "x" * 1000))
    assert said == (
        "add_task() cannot send send: the argument 'to', a 'str', is larger than the 500 bytes of max_message_bytes; "
        "pass where it is kept"
    )
    said = await refused(app, lambda tasks: tasks.add_task(send, "x" * 400))
    assert "of its message, it is larger than the 500 bytes of max_message_bytes" in said


@ON_ASYNCIO
async def test_a_context_variable_that_cannot_travel_is_refused_by_its_name() -> None:
    """And never by its value."""
    app = Engines().application(options={"carry": [TENANT]})
    token = TENANT.set(Order(number=4711))
    try:
        said = await refused(app, lambda tasks: tasks.add_task(send, "a"))
    finally:
        TENANT.reset(token)
    assert said == (
        f"add_task() cannot send send: the context variable 'tenant' of carry=, a '{__name__}.Order', is not of JSON's "
        "own types alone; leave it out, or set it to what is"
    )


class Address: ...


@background_task(name="needs an address", backend="durable")
async def needs_an_address(to: str, address: Inject[Address] = INJECTED) -> None: ...


@ON_ASYNCIO
async def test_what_the_container_fills_does_not_travel() -> None:
    """It is left out, and refused if it is given."""
    engines = Engines()
    app = engines.application(tasks=[needs_an_address], providers=[ProviderConfig(Address)])
    async with collect_background_tasks(app) as tasks:
        tasks.add_task(needs_an_address, "ada")
    assert Envelope.from_bytes(engines.memory.one().message.body).arguments == {"args": ["ada"], "kwargs": {}}
    said = await refused(app, lambda tasks: tasks.add_task(needs_an_address, "ada", address=Address()))
    assert said.endswith("'address' is filled by the container where the task runs")


@ON_ASYNCIO
async def test_a_refused_task_costs_the_request_nothing_else() -> None:
    """Who catches the error goes on."""
    engines = Engines()
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        with pytest.raises(TypeError):
            tasks.add_task(unlisted)
        tasks.add_task(ran.append, "here")

    assert ((await request(engines.application(handler), "/")).status, ran) == (200, ["here"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"accept_timeout": 0}, "option 'accept_timeout' is 0: Input should be greater than 0"),
        ({"accept_timeout": "5"}, "option 'accept_timeout' is '5': Input should be a valid number"),
        ({"accept_timeout": float("inf")}, "option 'accept_timeout' is inf: Input should be a finite number"),
        ({"retry_after": -1}, "option 'retry_after' is -1: Input should be greater than or equal to 0"),
        ({"grace_period": -1}, "option 'grace_period' is -1: Input should be greater than or equal to 0"),
        ({"log_arguments": "yes"}, "option 'log_arguments' is 'yes': Input should be a valid boolean"),
        ({"name": ""}, "option 'name' is '': String should have at least 1 character"),
        ({"name": 7}, "option 'name' is 7: Input should be a valid string"),
        ({"tasks": "shop.tasks"}, "option 'tasks' is 'shop.tasks': give a list, also of one"),
        ({"observers": None}, "option 'observers' is None: give a list, also of one"),
        ({"backends": []}, "option 'backends' is []: give a dict"),
        (
            {"backends": {"durable": "tasks.db"}},
            "'durable' is 'tasks.db', which is no Backend: give a SqliteBackend(...), for example",
        ),
        (
            {"default_backend": "durable"},
            "default_backend='durable' is none of the backends: 'in_process'",
        ),
        (
            {"default_backend": "durable", "backends": {"d": InProcessBackend()}},
            "default_backend='durable' is none of the backends: 'd', 'in_process'",
        ),
        (
            {"backends": {"durable": SimpleBackend()}},
            "backends beyond the process need a name=, under which they keep this application's tasks",
        ),
        ({"carry": ["tenant"]}, "give context variables, each with a name of its own"),
        ({"carry": [TENANT, ContextVar("tenant")]}, "give context variables, each with a name of its own"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(options: dict[str, Any], said: str) -> None:
    """In code and in the application's config."""
    for declare in (
        lambda: BackgroundTasksModule.setup(**options),
        lambda: application(tasks=BackgroundTasksModule.register_setup(), config={"BACKGROUND_TASKS": options}),
    ):
        with pytest.raises(InvalidOptions) as error:
            declare()
        assert str(error.value).startswith("BackgroundTasksModule cannot be set up: ")
        assert said in str(error.value)


def test_the_name_of_what_runs_here_is_taken() -> None:
    """No engine may stand under it; what runs here may."""
    with pytest.raises(
        InvalidOptions, match="'in_process' is the name of what runs in the process: give SimpleBackend"
    ):
        BackgroundTasksModule.setup(name="shop", backends={"in_process": SimpleBackend()})
    BackgroundTasksModule.setup(backends={"in_process": InProcessBackend(), "durable": InProcessBackend()})


def test_what_runs_here_is_never_opened() -> None:
    """There is nothing to open."""
    with pytest.raises(NotImplementedError):
        InProcessBackend().open("shop")


@ON_ASYNCIO
async def test_the_config_of_an_application_declares_all_of_it() -> None:
    """Backends are objects there, too."""
    engines = Engines()
    config = {"name": "shop", "tasks": ["tests.listed.mails"], "default_backend": "durable"}
    backends = {"durable": MemoryBackend(memory=engines.memory, embedded=False)}
    app = application(
        tasks=BackgroundTasksModule.register_setup(backends=backends), config={"BACKGROUND_TASKS": config}
    )
    async with collect_background_tasks(app) as tasks:
        tasks.add_task(mails.plain, "ada")
    assert engines.memory.names() == [f"{mails.__name__}:plain"]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"backend": 1}, "background_task(backend=1): give text, or None"),
        (
            {"delay": 5, "backend": "in_process"},
            "background_task(delay=5): what runs in the process runs at once: name another backend, or leave it out",
        ),
        ({"delay": -1}, "background_task(delay=-1): give seconds, as a number or a timedelta, that are not negative"),
        (
            {"unique_key": "k"},
            "'unique_key' is one call's own (given 'k'): say tasks.using(unique_key=...) where it is",
        ),
        ({"unique_for": 5}, "'unique_for' is one call's own (given 5): say tasks.using(unique_for=...) where it is"),
        ({"session": 5}, "'session' is one call's own (given 5): say tasks.using(session=...) where it is"),
    ],
)
def test_a_wrong_policy_is_refused_at_declaration(policy: dict[str, Any], said: str) -> None:
    """With what to do."""
    declare: Any = background_task
    with pytest.raises(InvalidOptions) as error:
        declare(**policy)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"unique_key": 5}, "using(unique_key=5): give text, or None"),
        ({"unique_key": "\ud800"}, "using(unique_key='\\ud800'): give text of at most 1024 bytes in UTF-8"),
        ({"unique_key": "k" * 1025}, f"using(unique_key='{'k' * 50}'): give text of at most 1024 bytes in UTF-8"),
        ({"unique_for": 5}, "using(unique_for=5): give the unique_key, too"),
        (
            {"unique_key": "k", "unique_for": 0},
            "using(unique_for=0): give seconds, as a number or a timedelta, abo",
        ),
        (
            {"delay": "soon"},
            "using(delay='soon'): give seconds, as a number or a timedelta, that are not nega",
        ),
        (
            {"session": object(), "when": "failure"},
            "using(when='failure'): leave it or the session out: the session's commit decides instead",
        ),
    ],
)
def test_a_wrong_policy_of_a_call_is_refused_by_using(policy: dict[str, Any], said: str) -> None:
    """Before anything is added."""
    using: Any = BackgroundTasks().using
    with pytest.raises(InvalidOptions) as error:
        using(**policy)
    assert str(error.value).startswith(said)


def test_a_key_may_be_as_long_as_engines_keep_it() -> None:
    """In bytes, not in letters."""
    BackgroundTasks().using(unique_key="k" * 1024)
    BackgroundTasks().using(unique_key="ü" * 512)
    with pytest.raises(InvalidOptions, match="give text of at most 1024 bytes in UTF-8"):
        BackgroundTasks().using(unique_key="ü" * 513)
