"""The places around a handler in which tasks are added, one class or function each."""

from collections.abc import Callable
from typing import Any

from ellar.common import EllarInterceptor, GuardCanActivate, IExecutionContext, middleware
from ellar.core.exceptions import as_exception_handler
from ellar.di import injectable, request_scope, singleton_scope, transient_scope
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as StarletteResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di import BackgroundTasks
from tests.properties.adding import add, running
from tests.properties.script import Ending, Place


class Unhandled(Exception):
    """What a failing handler or stream raises."""


class Handled(Exception):
    """What a handler raises that an exception handler makes a response of."""


class Rescued(Exception):
    """What a handler raises that its interceptor catches."""


class Asgi:
    """An ASGI middleware class that the container builds."""

    def __init__(self, app: ASGIApp, tasks: BackgroundTasks) -> None:
        self.app = app
        self.tasks = tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            add(Place.ASGI_MIDDLEWARE, self.tasks)
            await self.app(scope, receive, send)
            add(Place.AFTER_ASGI, self.tasks)
        finally:
            running.get().timeline.append("stack left")


async def function_middleware(request: Request, call_next: RequestResponseEndpoint) -> StarletteResponse:
    add(Place.FUNCTION_MIDDLEWARE)
    return await call_next(request)


@middleware(app=True)
async def application_middleware(cls: type, context: Any, call_next: Callable[..., Any]) -> None:
    add(Place.APPLICATION_MIDDLEWARE)
    await call_next()
    add(Place.AFTER_APPLICATION)


@middleware()
async def module_middleware(cls: type, context: Any, call_next: Callable[..., Any]) -> None:
    add(Place.MODULE_MIDDLEWARE)
    await call_next()
    add(Place.AFTER_MODULE)


@as_exception_handler(Handled)
async def exception_handler(context: Any, error: Exception) -> JSONResponse:
    add(Place.EXCEPTION_HANDLER)
    return JSONResponse({"handled": True}, status_code=418)


@injectable(scope=transient_scope)
class Guard(GuardCanActivate):
    def __init__(self, tasks: BackgroundTasks) -> None:
        self.tasks = tasks

    async def can_activate(self, context: IExecutionContext) -> bool:
        add(Place.GUARD, self.tasks)
        return running.get().script.ending is not Ending.REFUSED


@injectable(scope=transient_scope)
class Interceptor(EllarInterceptor):
    def __init__(self, tasks: BackgroundTasks) -> None:
        self.tasks = tasks

    async def intercept(self, context: IExecutionContext, next_interceptor: Callable[..., Any]) -> Any:
        add(Place.INTERCEPTOR, self.tasks)
        try:
            result = await next_interceptor()
        except Rescued:
            result = JSONResponse({"rescued": True})
        add(Place.AFTER_HANDLER, self.tasks)
        return result


class Service:
    def __init__(self, tasks: BackgroundTasks) -> None:
        self.tasks = tasks


@injectable(scope=singleton_scope)
class Singleton(Service):
    pass


@injectable(scope=transient_scope)
class Transient(Service):
    pass


@injectable(scope=request_scope)
class Scoped(Service):
    pass
