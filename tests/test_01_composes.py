"""Promise 1 beside other interceptors and other plugins: whoever wraps whom, nothing is lost."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from ellar.app import App, AppFactory
from ellar.common import (
    Controller,
    ControllerBase,
    EllarInterceptor,
    IApplicationReady,
    IExecutionContext,
    IInterceptorsConsumer,
    Module,
    UseInterceptors,
    get,
)
from ellar.core import EllarInterceptorConsumer, ModuleBase
from ellar.di import ProviderConfig, injectable, singleton_scope
from injector import Binding, InstanceProvider, NoScope
from starlette.background import BackgroundTasks
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bg_di import BackgroundTasksModule
from tests.harness import Client, application, module, wrap


def interceptor(into: list[Any], name: str) -> EllarInterceptor:
    class Interceptor(EllarInterceptor):
        async def intercept(self, context: IExecutionContext, next_interceptor: Callable[..., Any]) -> Any:
            into.append(name)
            return await next_interceptor()

    return Interceptor()


async def test_route_controller_and_global_interceptors_run_as_ever() -> None:
    """A route's own replace the global ones, in Ellar; ours is around all of them."""
    client = Client()

    @UseInterceptors(interceptor(client.timeline, "controller"))
    @Controller("/c")  # pyright: ignore[reportCallIssue]
    class Users(ControllerBase):
        @get("/")
        async def users(self, tasks: BackgroundTasks) -> None:
            tasks.add_task(client.timeline.append, "task")

        @get("/own")
        @UseInterceptors(interceptor(client.timeline, "route"))
        async def own(self, tasks: BackgroundTasks) -> None:
            tasks.add_task(client.timeline.append, "task")

    @get("/global")
    async def plain(tasks: BackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")

    app = application(plain, controllers=[Users])
    app.use_global_interceptors(interceptor(client.timeline, "global"))
    for path, name in (("/c/", "controller"), ("/c/own", "route"), ("/global", "global")):
        client.timeline.clear()
        client.complete = False
        await client.request(app, path)
        assert client.timeline == [name, "start", "last byte", "task"]


async def test_an_interceptor_that_answers_instead_of_the_handler_keeps_its_tasks() -> None:
    """Its result became the response."""
    client = Client()

    @injectable(scope=singleton_scope)
    class Cached(EllarInterceptor):
        def __init__(self, tasks: BackgroundTasks) -> None:
            self.tasks = tasks

        async def intercept(self, context: IExecutionContext, next_interceptor: Callable[..., Any]) -> Any:
            self.tasks.add_task(client.timeline.append, "interceptor")
            return {"cached": True}

    @get("/")
    @UseInterceptors(Cached)
    async def handler() -> None:
        raise AssertionError("never entered")

    await client.request(application(handler), "/")
    assert client.json() == {"cached": True}
    assert client.timeline == ["start", "last byte", "interceptor"]


def core_plugin(into: list[Any]) -> Any:
    """A plugin that replaces the consumer as a core service, as Ellar documents it."""

    @injectable(scope=singleton_scope)
    class Consumer(EllarInterceptorConsumer):  # pyright: ignore[reportGeneralTypeIssues]
        async def execute(self, context: IExecutionContext, route_operation: Any) -> None:
            assert route_operation.endpoint.__name__ == "handler"
            into.append("core plugin")
            await super().execute(context, route_operation)

    return module("Core", providers=[ProviderConfig(IInterceptorsConsumer, use_class=Consumer, core=True)])


def wrapping_plugin(into: list[Any]) -> Any:
    """A plugin that wraps the consumer when the application is ready, as we do."""

    @Module(name="Wrapping")
    class Wrapping(ModuleBase, IApplicationReady):
        def on_ready(self, app: App) -> None:
            inner = app.injector.get(IInterceptorsConsumer)

            class Consumer(IInterceptorsConsumer):
                async def execute(self, context: IExecutionContext, route_operation: Any) -> Any:
                    into.append("wrapping plugin")
                    return await inner.execute(context, route_operation)

            core: Any = app.injector.parent
            core.container.register_binding(
                IInterceptorsConsumer, Binding(IInterceptorsConsumer, InstanceProvider(Consumer()), NoScope)
            )

    return Wrapping


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_other_plugins_consumers_run_in_any_order_of_declaration(order: tuple[int, ...]) -> None:
    """One that is bound as a core service, and one that wraps as ours does."""
    client = Client()

    @get("/")
    async def handler(tasks: BackgroundTasks) -> dict[str, bool]:
        tasks.add_task(client.timeline.append, "task")
        return {"ok": True}

    plugins = [BackgroundTasksModule, core_plugin(client.timeline), wrapping_plugin(client.timeline)]
    app = AppFactory.create_app(modules=[plugins[index] for index in order], routers=[handler])
    await client.request(app, "/")
    assert client.error is None
    assert sorted(client.timeline[:2]) == ["core plugin", "wrapping plugin"]
    assert client.timeline[2:] == ["start", "last byte", "task"]


async def test_without_our_frame_nothing_breaks() -> None:
    """Who replaces the middleware stack after start-up has removed the frame."""
    client = Client()

    @get("/")
    async def handler() -> dict[str, bool]:
        return {"ok": True}

    app = application(handler)
    app.config.MIDDLEWARE = app.config.MIDDLEWARE[1:]
    assert (await client.request(app, "/")).json() == {"ok": True}


@pytest.mark.parametrize("second", ["returns", "raises"])
async def test_a_middleware_that_calls_the_application_twice_attaches_both(second: str) -> None:
    """A retry, an internal redirect, a fallback: each route stands for itself."""
    client = Client()

    class Twice:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def swallow(message: Message) -> None: ...

            await self.app({**scope, "path": "/first"}, receive, swallow)
            await self.app({**scope, "path": f"/{second}"}, receive, send)

    @get("/first")
    async def first(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(client.timeline.append, "first")
        return JSONResponse({})

    @get("/returns")
    async def returns(tasks: BackgroundTasks) -> JSONResponse:
        tasks.add_task(client.timeline.append, "second")
        return JSONResponse({})

    @get("/raises")
    async def raises(tasks: BackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "second")
        raise ValueError

    await client.request(wrap(application(first, returns, raises), Middleware(Twice)), "/")
    assert client.timeline == ["start", "last byte", "first", *(["second"] if second == "returns" else [])]
