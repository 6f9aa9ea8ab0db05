"""Promise 8: a declared method runs on a service that the container builds where the task runs."""

import functools
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import pytest
from ellar.common import Inject, ModuleRouter, get
from ellar.di import ProviderConfig, injectable, request_scope, singleton_scope
from ellar.testing import Test

from bg_di import BackgroundTasks, BackgroundTasksModule, background_task
from tests.harness import Log, application, concurrently, module, request


@injectable(scope=singleton_scope)
class Outbox:
    def __init__(self) -> None:
        self.sent: list[Any] = []


@injectable(scope=request_scope)
class Mailer:
    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox

    @background_task
    async def send(self, address: str, *, subject: str = "hello") -> None:
        """Send it."""
        self.outbox.sent.append((type(self).__name__, address, subject))

    @background_task()
    def send_sync(self, address: str) -> None:
        self.outbox.sent.append((type(self).__name__, address, "sync"))

    @background_task
    @classmethod
    async def of_class(cls, into: list[str]) -> None:
        into.append(cls.__name__)

    @classmethod
    @background_task
    async def of_class_above(cls, into: list[str]) -> None:
        into.append(cls.__name__)

    @background_task
    @staticmethod
    async def of_nothing(into: list[str]) -> None:
        into.append("static")

    @staticmethod
    @background_task
    async def of_nothing_above(into: list[str]) -> None:
        into.append("static above")


@injectable(scope=request_scope)
class Newsletter(Mailer): ...


def adding(add: Callable[[BackgroundTasks], Any]) -> Any:
    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        add(tasks)

    return handler


async def sent_by(add: Callable[[BackgroundTasks], Any]) -> list[Any]:
    """What is in the outbox after a request to a handler that adds."""
    app = application(adding(add), services=[Outbox, Mailer, Newsletter])
    client = await request(app, "/")
    assert client.status == 200, client.body
    nodes: list[Any] = [node.value for node in app.injector.tree_manager.modules.values()]
    [feature] = [node for node in nodes if "Feature" in node.name]
    outbox: Outbox = feature.container.injector.get(Outbox)
    return outbox.sent


async def test_the_container_builds_the_service_when_the_task_runs() -> None:
    """It is called with the arguments that were given, behind its ``self``; async or in a thread."""

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(Mailer.send, "ada", subject="welcome")
        tasks.add_task(Mailer.send_sync, "grace")
        send: Any = Mailer.send
        tasks.add_task(partial(send, subject="partial"), "mary")

    assert await sent_by(add) == [
        ("Mailer", "ada", "welcome"),
        ("Mailer", "grace", "sync"),
        ("Mailer", "mary", "partial"),
    ]


async def test_an_inherited_method_builds_the_class_that_it_was_looked_up_on() -> None:
    """``B.send`` inherited from ``A`` builds a ``B``."""
    assert await sent_by(lambda tasks: tasks.add_task(Newsletter.send, "ada")) == [("Newsletter", "ada", "hello")]


async def test_on_an_instance_it_is_that_one() -> None:
    """Called, it is the plain method; added, it runs on the instance that was given."""
    own = Outbox()
    await Mailer(own).send("direct")
    assert await sent_by(lambda tasks: tasks.add_task(Mailer(own).send, "added")) == []
    assert own.sent == [("Mailer", "direct", "hello"), ("Mailer", "added", "hello")]


async def test_class_and_static_methods_are_what_they_were() -> None:
    """The decorator may stand above or below."""
    ran: list[str] = []

    newsletter: Any = Newsletter

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(Newsletter.of_class, ran)
        tasks.add_task(newsletter.of_class_above, ran)
        tasks.add_task(newsletter.of_nothing, ran)
        tasks.add_task(newsletter.of_nothing_above, ran)

    await sent_by(add)
    assert ran == ["Newsletter", "Newsletter", "static", "static above"]


async def test_a_service_of_the_request_is_not_that_of_its_task() -> None:
    """Each task has one of its own, fresh."""
    seen: list[object] = []

    @injectable(scope=request_scope)
    class Service:
        @background_task
        async def note(self) -> None:
            seen.append(self)

    @get("/")
    async def handler(tasks: BackgroundTasks, service: Inject[Service]) -> None:
        seen.append(service)
        tasks.add_task(Service.note)
        tasks.add_task(Service.note)

    await request(application(handler, services=[Service]), "/")
    assert len(set(map(id, seen))) == 3


async def test_a_singleton_stays_one() -> None:
    """A service keeps its own scope."""
    seen: set[object] = set()

    @injectable(scope=singleton_scope)
    class Service:
        @background_task
        async def note(self) -> None:
            seen.add(self)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(Service.note)
        tasks.add_task(Service.note)

    app = application(handler, services=[Service])
    await concurrently([partial(request, app, "/")] * 20)
    assert len(seen) == 1


async def test_an_override_reaches_the_service() -> None:
    """As it reaches a handler's parameter."""
    sent: list[str] = []

    class Fake(Mailer):
        def __init__(self) -> None: ...

        send: Any = staticmethod(lambda address: sent.append(f"fake {address}"))

    routes = [adding(lambda tasks: tasks.add_task(Mailer.send, "ada"))]
    tested: Any = Test.create_test_module(modules=[BackgroundTasksModule], routers=routes, providers=[Mailer, Outbox])
    tested.override_provider(Mailer, use_class=Fake)
    await request(tested.create_application(), "/")
    assert sent == ["fake ada"]


async def test_two_modules_have_services_of_their_own() -> None:
    """The task resolves from the module that added it; also with hundreds of requests at once."""
    seen: list[tuple[str, str]] = []

    class Greeter:
        name = ""

        @background_task
        async def greet(self, whom: str) -> None:
            seen.append((type(self).__name__, whom))

    def feature(name: str) -> Any:
        router = ModuleRouter(f"/{name}")

        @router.get("/")
        async def handler(tasks: BackgroundTasks) -> None:
            tasks.add_task(Greeter.greet, name)

        own = type(name, (Greeter,), {})
        bound: Any = ProviderConfig(Greeter, use_class=own, scope=request_scope)
        return module(name, routers=[router], providers=[bound])

    apps = [application(modules=[feature(f"{app}a"), feature(f"{app}b")]) for app in "xy"]
    paths = [(app, f"/{name}{part}/") for app, name in zip(apps, "xy", strict=True) for part in "ab"]
    clients = await concurrently([partial(request, app, path) for app, path in paths * 100])
    assert {client.status for client in clients} == {200}
    assert len(seen) == 400
    assert all(service == whom for service, whom in seen)


def test_the_decorated_method_is_still_a_function_to_whoever_looks() -> None:
    """To signatures, documentation, autospec, pickle and identity."""
    assert inspect.isfunction(Mailer.send)
    assert inspect.iscoroutinefunction(Mailer.send)
    assert Mailer.send is Mailer.send
    assert Mailer.send is not Newsletter.send
    assert str(inspect.signature(Mailer.send)) == "(self, address: str, *, subject: str = 'hello') -> None"
    assert Mailer.send.__doc__ == "Send it."
    assert pickle.loads(pickle.dumps(Mailer.send)) is Mailer.send
    assert isinstance(mock.create_autospec(Mailer)(Outbox()).send, mock.AsyncMock)


def test_a_class_that_is_made_anew_keeps_its_tasks() -> None:
    """As `dataclass(slots=True)` does."""

    @dataclass(slots=True)
    class Service:
        name: str = ""

        @background_task
        async def note(self) -> None: ...

    assert inspect.isfunction(Service.note)
    note: Any = Service().note
    assert note.__self__ == Service()


def noting(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        NOTED.append("noted")
        return await func(*args, **kwargs)

    return wrapper


NOTED: list[str] = []


@injectable(scope=request_scope)
class Decorated:
    @background_task
    @noting
    async def below(self) -> None:
        NOTED.append("below")

    @noting
    @background_task
    async def above(self) -> None: ...


@noting
@background_task
async def decorated() -> None:
    NOTED.append("function")


async def test_decorators_below_are_honoured_and_above_on_functions() -> None:
    """Above on a method it hides the class: that is refused, with the remedy."""
    NOTED.clear()
    errors: list[TypeError] = []

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(Decorated.below)
        tasks.add_task(decorated)
        for hidden in (Decorated.above, Decorated().above):
            with pytest.raises(TypeError) as refused:
                tasks.add_task(hidden)
            errors.append(refused.value)

    await request(application(adding(add), services=[Decorated]), "/")
    assert NOTED == ["noted", "below", "noted", "function"]
    assert all("Decorated.above" in str(error) and "put @background_task on top" in str(error) for error in errors)


def test_what_a_decorator_above_notes_on_a_method_reaches_it() -> None:
    """A tag that it sets is seen on the class, too."""

    def tagged(func: Any) -> Any:
        func.tag = "x"
        return func

    class Service:
        @tagged
        @background_task
        async def note(self) -> None: ...

    assert Service.note.tag == "x"


async def test_a_task_goes_by_its_name(log: Log) -> None:
    """``module:qualname`` of the function, or what it was declared as."""

    @background_task(name="mail.failing")
    async def failing() -> None:
        raise ValueError

    @injectable(scope=request_scope)
    class Service:
        @background_task
        async def failing(self) -> None:
            raise ValueError

    def add(tasks: BackgroundTasks) -> None:
        tasks.add_task(failing)
        tasks.add_task(Service.failing)

    tasks = BackgroundTasksModule.setup(on_error="continue")
    await request(application(adding(add), services=[Service], tasks=tasks), "/")
    first, second = log.messages
    assert first == "background task mail.failing of GET / failed"
    assert second.startswith("background task tests.test_08_service_tasks:")
    assert second.endswith("Service.failing of GET / failed")


async def test_called_without_bg_di_it_is_the_function_that_it_was() -> None:
    """Directly, and through the class with an instance of one's own."""
    own = Outbox()
    await Mailer.send(Mailer(own), "ada")
    assert own.sent == [("Mailer", "ada", "hello")]

    class Held:
        @background_task
        def method(self: Any) -> str:
            return "called"

        direct = method("self")

    assert Held.direct == "called"
