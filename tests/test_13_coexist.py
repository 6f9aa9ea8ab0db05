"""Promise 13: several applications in one process do not disturb each other, nor one without the module."""

from typing import Any

import pytest
from ellar.app import App
from ellar.common import Controller, ControllerBase, Inject, ModuleRouter, get
from ellar.core import WebSocket, mount
from ellar.di import ProviderConfig
from ellar.openapi import OpenAPIDocumentBuilder
from starlette.background import BackgroundTasks
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from bg_di import BackgroundTasks as OurBackgroundTasks
from bg_di import BackgroundTasksModule, BackgroundTasksUnavailable
from bg_di.testing import RecordingBackgroundTasks
from tests.harness import Client, Log, Socket, application, module, request, websocket


def shared_routes(ran: list[str]) -> dict[str, Any]:
    """One set of routes, as modules of several applications list them."""

    @get("/function")
    async def function(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(ran.append, "function")
        return {"from": "function"}

    @get("/response")
    async def response(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(ran.append, "response")
        return JSONResponse({"from": "response"})

    @websocket("/ws")
    async def socket(websocket: Inject[WebSocket]) -> None:
        await websocket.accept()
        await websocket.close()

    router = ModuleRouter("/router")

    @router.get("/")
    async def routed(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(ran.append, "router")
        return {"from": "router"}

    @Controller("/controller")  # pyright: ignore[reportCallIssue]
    class Users(ControllerBase):
        @get("/")
        async def users(self, tasks: BackgroundTasks) -> dict[str, str]:
            tasks.add_task(ran.append, "controller")
            return {"from": "controller"}

    return {"routers": [function, response, socket, router], "controllers": [Users]}


PATHS = ["/function", "/response", "/router/", "/controller/"]
EVERYTHING = ["function", "response", "router", "controller"]


@pytest.mark.parametrize("order", ["with first", "without first"])
@pytest.mark.parametrize("same_module", [True, False])
async def test_routes_shared_with_an_application_without_the_module(same_module: bool, order: str) -> None:
    """Built in either order: with the module all tasks run; without it the built-in feature works as ever."""
    ran: list[str] = []
    routes = shared_routes(ran)
    feature = module(**routes)

    def build(tasks: Any) -> App:
        return application(tasks=tasks, modules=[feature if same_module else module(**routes)])

    apps = [
        build(tasks)
        for tasks in ([BackgroundTasksModule, None] if order == "with first" else [None, BackgroundTasksModule])
    ]
    if order == "without first":
        apps.reverse()
    with_module, without = apps
    for _ in range(2):
        ran.clear()
        for path in PATHS:
            assert (await request(with_module, path)).status == 200
        assert ran == EVERYTHING
        ran.clear()
        for path in PATHS:
            assert (await request(without, path)).status == 200
        assert ran == ["function", "router", "controller"]
        assert await Socket().run(with_module, "/ws") is None


@pytest.mark.parametrize("reverse", [True, False])
async def test_routes_shared_by_two_configurations(reverse: bool) -> None:
    """Each application runs them in its own way."""
    client = Client()
    fake = RecordingBackgroundTasks()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(client.timeline.append, "task")
        return {}

    builders = {
        "request": lambda: application(handler, tasks=BackgroundTasksModule.setup(run_after="request")),
        "response": lambda: application(handler),
        "fake": lambda: application(handler, providers=[ProviderConfig(BackgroundTasks, use_value=fake)]),
    }
    names = sorted(builders, reverse=reverse)
    apps = {name: builders[name]() for name in names}
    for name in names:
        client = Client()
        await client.request(apps[name], "/")
        assert client.timeline == ["start", "last byte", *(["task"] if name != "fake" else [])]
    assert len(fake.recorded) == 1


def test_sharing_changes_nothing_of_the_routes_themselves() -> None:
    """Paths, names and documentation are those of an application alone."""
    routes = shared_routes([])
    alone = application(tasks=None, modules=[module(**routes)])
    document = OpenAPIDocumentBuilder().build_document(alone)
    app = application(modules=[module(**routes)])
    assert OpenAPIDocumentBuilder().build_document(app) == document
    assert app.url_path_for("function") == "/function"
    assert [route.path for route in app.routes] == [route.path for route in alone.routes]  # type: ignore[attr-defined]


@pytest.mark.parametrize("outer_has_it", [True, False])
@pytest.mark.parametrize("inner_has_it", [True, False])
async def test_applications_mounted_in_each_other(inner_has_it: bool, outer_has_it: bool, log: Log) -> None:
    """Each runs what it has, in its own way; a request to the inner one passes through both."""
    client = Client()

    @get("/inner")
    async def inner(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(client.timeline.append, "inner")
        return {}

    @get("/outer")
    async def outer(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(client.timeline.append, "outer")
        return {}

    mounted = application(inner, tasks=BackgroundTasksModule if inner_has_it else None)
    feature = module(routers=[outer, mount("/mounted", mounted)])
    app = application(tasks=BackgroundTasksModule if outer_has_it else None, modules=[feature])
    for path, name in (("/outer", "outer"), ("/mounted/inner", "inner")):
        client = Client()
        await client.request(app, path)
        assert client.error is None
        assert client.timeline == ["start", "last byte", name]
    assert log.messages == []


async def test_a_mounted_application_without_the_module_may_ask_for_the_collection_of_the_request() -> None:
    """By our annotation, which says that it knows of the module around it; alone it is refused."""
    client = Client()

    @get("/inner")
    async def inner(tasks: OurBackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "inner")

    mounted = application(inner, tasks=None)
    app = application(modules=[module(routers=[mount("/mounted", mounted)])])
    await client.request(app, "/mounted/inner")
    assert client.timeline == ["start", "last byte", "inner"]
    assert isinstance((await request(mounted, "/inner")).error, BackgroundTasksUnavailable)


def test_the_lifespan_passes_through() -> None:
    """A server's start-up and shutdown reach the application as ever."""
    ran: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(ran.append, "task")

    with TestClient(application(handler)) as client:
        client.get("/")
    assert ran == ["task"]
