"""Promise 13: applications with and without the module in one process, at once, do not disturb each other."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from ellar.app import App
from ellar.common import Body, Controller, ControllerBase, Inject, ModuleRouter, get, middleware, post
from ellar.di import ProviderConfig, injectable, singleton_scope, transient_scope
from starlette.background import BackgroundTasks
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bg_di import BackgroundTasks as OurBackgroundTasks
from bg_di import BackgroundTasksModule, current_background_tasks
from bg_di.collecting.collection import RequestBackgroundTasks
from tests.conftest import BACKENDS
from tests.harness import Client, application, concurrently, module

RUN_AFTER = pytest.mark.parametrize("run_after", ["response", "request"])
NAMES = ("alpha", "beta", "gamma")
IN_ORDER = ["first", "service", "sync", "adding", "last", "added"]


class Gate:
    """Opens when so many have come."""

    def __init__(self, count: int) -> None:
        self.left = count + 1
        self.open = anyio.Event()
        self.arrive()

    def arrive(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.open.set()


@dataclass
class Visit:
    """One request of many.

    Attributes:
        app: the number of its application.
        tasks: whether it adds any; without, it is the control.
        pace: how often it suspends where Ellar does not expect it.
        entered: whether its handler was.
        ran: the tasks that ran for it.
    """

    app: int
    path: str
    method: str
    all_in: Gate
    all_answered: Gate
    tasks: bool
    pace: int
    entered: bool = False
    ran: list[str] = field(default_factory=list)

    @property
    def module(self) -> str:
        return self.path[1:].partition("/")[0].partition("-")[0]

    def __post_init__(self) -> None:
        self.client = Client(before_send=self._sending)

    async def _sending(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.all_answered.arrive()

    async def request(self, apps: list[App]) -> None:
        current.set(self)
        body = b'{"slow": 1}' if self.method == "POST" else b""
        await self.client.request(self._slow_body(apps[self.app]), self.path, method=self.method, body=body)

    def _slow_body(self, app: App) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_slowly() -> Message:
                await self.pauses()
                return await receive()

            await app(scope, receive_slowly, send)

        return serve

    async def pauses(self) -> None:
        for _ in range(self.pace):
            await anyio.lowlevel.checkpoint()

    def enters(self) -> None:
        assert not self.entered
        self.entered = True

    async def waits_for_the_others(self) -> None:
        self.all_in.arrive()
        await self.all_in.open.wait()


current: ContextVar[Visit] = ContextVar("current")


async def task(name: str) -> None:
    await current.get().all_answered.open.wait()
    current.get().ran.append(name)


def sync_task(name: str) -> None:
    current.get().ran.append(name)


async def adding_task(name: str, tasks: BackgroundTasks) -> None:
    await task(name)
    tasks.add_task(task, "added")


class Tag:
    """Something that each module binds for itself."""

    def __init__(self, name: str) -> None:
        self.name = name


@injectable(scope=singleton_scope)
class Mailer:
    """A service that keeps the collection of its first request."""

    def __init__(self, tasks: OurBackgroundTasks) -> None:
        self.tasks = tasks


def add(tasks: BackgroundTasks, mailer: Mailer) -> None:
    """Add tasks by every object that there is."""
    if not current.get().tasks:
        return
    tasks.add_task(task, "first")
    mailer.tasks.add_task(task, "service")
    tasks.add_task(sync_task, "sync")
    tasks.add_task(adding_task, "adding", mailer.tasks)
    tasks.add_task(task, "last")


def feature(app: int, name: str, *children: Any, slow_middleware: bool) -> Any:
    """A module with function routes and a controller, which say where they were served."""
    router = ModuleRouter(f"/{name}")

    @router.get("/async")
    async def handler(tag: Inject[Tag], mailer: Inject[Mailer], tasks: BackgroundTasks) -> dict[str, Any]:
        current.get().enters()
        await current.get().waits_for_the_others()
        add(tasks, mailer)
        return {"app": app, "module": tag.name}

    @router.get("/sync")
    def sync_handler(tag: Inject[Tag], mailer: Inject[Mailer], tasks: BackgroundTasks) -> dict[str, Any]:
        current.get().enters()
        add(tasks, mailer)
        return {"app": app, "module": tag.name}

    @Controller(f"/{name}-controller")  # pyright: ignore[reportCallIssue]
    class Served(ControllerBase):
        def __init__(self, tag: Tag, mailer: Mailer, tasks: OurBackgroundTasks) -> None:
            self.tag = tag
            self.mailer = mailer
            self.tasks = tasks

        @get("/async")
        async def handler(self) -> dict[str, Any]:
            current.get().enters()
            await current.get().waits_for_the_others()
            add(self.tasks, self.mailer)
            return {"app": app, "module": self.tag.name}

        @post("/body")
        async def body(self, data: Body[dict[str, int]]) -> dict[str, Any]:
            current.get().enters()
            add(self.tasks, self.mailer)
            return {"app": app, "module": self.tag.name}

    @middleware()
    async def slow(cls: type, context: Any, call_next: Callable[..., Any]) -> None:
        await current.get().pauses()
        await call_next()

    return module(
        name,
        routers=[router],
        controllers=[Served],
        providers=[ProviderConfig(Tag, use_value=Tag(name))],
        modules=children,
        body={"slow": slow} if slow_middleware else {},
    )


def applications(*, tasks: Any, slow_middleware: bool = False) -> list[App]:
    """Two applications of three modules, one inside another, and a singleton that all six share.

    The first request that asks for it, to either application, makes it, and is the one whose collection it keeps.
    """
    apps: list[App] = []
    # The control adds nothing, but its constructors ask for something to add to.
    needed: list[Any] = [] if tasks else [ProviderConfig(OurBackgroundTasks, use_class=OurBackgroundTasks)]
    shared = ProviderConfig(Mailer, use_value=lambda: apps[0].injector.get(Mailer), scope=transient_scope)
    for app, mailer in enumerate((Mailer, shared)):
        alpha, beta, gamma = (partial(feature, app, name, slow_middleware=slow_middleware) for name in NAMES)
        apps.append(application(tasks=tasks, modules=[alpha(), beta(gamma())], providers=[mailer, *needed]))
    return apps


async def visit_all(
    apps: list[App], requests: list[tuple[str, str]], *, tasks: bool, race: bool = False
) -> list[Visit]:
    """Send all requests to both applications at once, to be open together, or else to race through them."""
    waiting = sum(path.endswith("/async") for _, path in requests) * len(apps)
    all_in, all_answered = Gate(0 if race else waiting), Gate(len(requests) * len(apps))
    visits = [
        Visit(app, path, method, all_in, all_answered, tasks, pace=number % 5 if race else 0)
        for number, (method, path) in enumerate(requests)
        for app in range(len(apps))
    ]
    with anyio.fail_after(60):
        await concurrently([partial(visit.request, apps) for visit in visits])
    return visits


@RUN_AFTER
async def test_hundreds_of_requests_over_two_applications(run_after: str) -> None:
    """Each gets all of its tasks, once and in order, and none of another's, while all of them are open."""
    requests = [("GET", f"/{name}{kind}") for name in NAMES for kind in ("/async", "/sync", "-controller/async")] * 25
    apps = applications(tasks=BackgroundTasksModule.setup(run_after=run_after))
    for visit in await visit_all(apps, requests, tasks=True):
        assert visit.client.json() == {"app": visit.app, "module": visit.module}
        assert visit.ran == IN_ORDER


RACE = [
    (method, f"/{name}{kind}")
    for method, kind in [("GET", "/async"), ("GET", "-controller/async"), ("POST", "-controller/body")]
    for name in NAMES
] * 20


@RUN_AFTER
async def test_in_ellars_own_race_a_request_that_does_not_get_in_runs_no_task(run_after: str) -> None:
    """Module middleware that suspends, and slow bodies, make Ellar mix requests up; their tasks it does not."""
    apps = applications(tasks=BackgroundTasksModule.setup(run_after=run_after), slow_middleware=True)
    visits = await visit_all(apps, RACE, tasks=True, race=True)
    for visit in visits:
        assert visit.ran == (IN_ORDER if visit.entered else [])


@pytest.mark.parametrize("anyio_backend", BACKENDS[:2])
async def test_ellars_own_race_costs_no_request_more_than_without_the_module() -> None:
    """Where the event loop's order is the same each time, the same requests fail with the module and without it."""
    apps = applications(tasks=BackgroundTasksModule.setup(run_after="request"), slow_middleware=True)
    visits = await visit_all(apps, RACE, tasks=True, race=True)
    controls = await visit_all(applications(tasks=None, slow_middleware=True), RACE, tasks=False, race=True)
    assert [visit.client.status for visit in visits] == [control.client.status for control in controls]


running: ContextVar[Client] = ContextVar("running")


async def note(name: str) -> None:
    running.get().timeline.append(name)


def shared_routes() -> dict[str, Any]:
    """Route objects of each kind that ask for tasks in Ellar's own way, as an application takes them."""
    router = ModuleRouter("/router")

    @get("/function", response={201: dict})
    async def function(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(note, "function")
        return {"asked": "function"}

    @get("/response")
    async def response(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(note, "response")
        return JSONResponse({"asked": "response"}, headers={"x-own": "yes"})

    @router.get("/sync")
    def sync(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(note, "sync")
        return {"asked": "sync"}

    @Controller("/controller")  # pyright: ignore[reportCallIssue]
    class Served(ControllerBase):
        @get("/method")
        async def method(self, tasks: BackgroundTasks) -> dict[str, str]:
            tasks.add_task(note, "method")
            return {"asked": "method"}

    return {"routers": [function, response, router], "controllers": [Served]}


PATHS = ["/function", "/response", "/router/sync", "/controller/method"]
OPTIONS = ["without", "response", "request"]


def build(options: str, routes: dict[str, Any], *mounted: Any) -> App:
    """An application without the module, or with it and the option `run_after`."""
    tasks = None if options == "without" else BackgroundTasksModule.setup(run_after=options)
    return application(tasks=tasks, modules=[module(**routes), module(routers=list(mounted))])


async def seen(app: App, prefix: str = "") -> list[Any]:
    """What clients see of all routes, asked for at once, and when which task runs."""
    clients = [Client() for _ in PATHS]

    async def visit(client: Client, path: str) -> None:
        running.set(client)
        await client.request(app, prefix + path)

    await concurrently([partial(visit, client, path) for client, path in zip(clients, PATHS, strict=True)])
    return [(client.status, client.headers, client.body, client.error, client.timeline) for client in clients]


@pytest.mark.parametrize("inner", OPTIONS)
@pytest.mark.parametrize("outer", OPTIONS)
@pytest.mark.parametrize("first", ["inner", "outer"])
async def test_applications_that_share_routes_do_not_notice_each_other(first: str, outer: str, inner: str) -> None:
    """With or without the module, one mounted in the other, built in either order: each is as if it were alone."""
    alone = {options: await seen(build(options, shared_routes())) for options in {outer, inner}}
    shared, apps = shared_routes(), dict[str, App]()

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await apps["inner"](scope, receive, send)

    for which in ("inner", "outer") if first == "inner" else ("outer", "inner"):
        mounts = [Mount("/mounted", mounted)] if which == "outer" else []
        apps[which] = build(outer if which == "outer" else inner, shared, *mounts)
    inside, through, outside = await concurrently(
        [partial(seen, apps["inner"]), partial(seen, apps["outer"], "/mounted"), partial(seen, apps["outer"])]
    )
    assert inside == through == alone[inner]
    assert outside == alone[outer]


async def test_without_the_module_the_built_in_feature_is_as_ever() -> None:
    """Also what it does wrong: it forgets a declared status, and the tasks of a handler that returns a response."""
    shared = shared_routes()
    with_module, without = await seen(build("response", shared)), await seen(build("without", shared))
    sent = ["start", "last byte"]
    assert [(status, timeline) for status, *_, timeline in with_module] == [
        (201, [*sent, "function"]),
        (200, [*sent, "response"]),
        (200, [*sent, "sync"]),
        (200, [*sent, "method"]),
    ]
    assert [(status, timeline) for status, *_, timeline in without] == [
        (200, [*sent, "function"]),
        (200, sent),
        (200, [*sent, "sync"]),
        (200, [*sent, "method"]),
    ]


async def test_the_built_in_feature_still_gives_starlettes_own_collection() -> None:
    """A route function that both list gets what its application has."""
    given: list[type] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> dict[str, str]:
        given.append(type(tasks))
        return {}

    with_module, without = application(handler), application(handler, tasks=None)
    await Client().request(without, "/")
    await Client().request(with_module, "/")
    await Client().request(without, "/")
    assert given[0] is given[2] is BackgroundTasks
    assert issubclass(given[1], RequestBackgroundTasks)


async def test_a_task_belongs_to_the_application_that_it_was_added_in() -> None:
    """Around a mounted application with the module, the outer one's tasks run when the outer response is done."""
    timeline: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(timeline.append, "inner")
        return {}

    inner = application(handler, tasks=BackgroundTasksModule.setup(run_after="request"))

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        tasks = current_background_tasks()
        tasks.add_task(timeline.append, "outer")
        await inner(scope, receive, send)
        assert current_background_tasks() is tasks
        timeline.append("left")

    await Client().request(application(Mount("/mounted", mounted)), "/mounted/")
    assert timeline == ["inner", "left", "outer"]
