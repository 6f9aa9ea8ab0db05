"""How a script becomes a route of an Ellar application."""

from collections.abc import AsyncIterator, Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import anyio.lowlevel
from ellar.common import (
    Controller,
    ControllerBase,
    IExecutionContext,
    Inject,
    Response,
    UseGuards,
    UseInterceptors,
    get,
)
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Mount, Route

from bg_di import BackgroundTasks, current_background_tasks
from tests.properties.adding import Run, add, running
from tests.properties.places import (
    Guard,
    Handled,
    Interceptor,
    Rescued,
    Scoped,
    Service,
    Singleton,
    Transient,
    Unhandled,
)
from tests.properties.script import Ending, Place, Script


async def shared_background() -> None:
    run = running.get()
    if run.tasks:
        assert run.script.own is not None
        await run.background(run.script.own)()


shared_background.__qualname__ = "own"
SHARED_BACKGROUND = BackgroundTask(shared_background)
SHARED = JSONResponse({"shared": True}, background=SHARED_BACKGROUND)
RAISED = {Ending.RAISES: Unhandled, Ending.RAISES_HANDLED: Handled, Ending.RAISES_RESCUED: Rescued}


class Model(BaseModel):
    name: str


async def chunks() -> AsyncIterator[bytes]:
    add(Place.STREAM)
    yield b"one"
    if running.get().script.ending is Ending.BREAKS:
        raise Unhandled
    yield b"two"


async def by_hand(context: IExecutionContext) -> None:
    _, _, send = context.get_args()
    await send({"type": "http.response.start", "status": 207, "headers": [(b"x-by", b"hand")]})
    await send({"type": "http.response.body", "body": b"by hand"})


def result_of(run: Run, response: StarletteResponse | None) -> Any:
    """What the handler of a request returns, unless it sends by hand."""
    own = run.script.own
    background = run.background(own) if run.tasks and own is not None else None
    if response is not None:
        response.background = background
        response.headers["x-injected"] = "yes"
        return {"injected": True}
    results: dict[str, Callable[[], Any]] = {
        "response": lambda: JSONResponse({"response": True}, status_code=202, background=background),
        "stream": lambda: StreamingResponse(chunks(), background=background),
        "file": lambda: FileResponse(Path(__file__), background=background),
        "redirect": lambda: RedirectResponse("/elsewhere", background=background),
        "collection": lambda: JSONResponse({}, background=current_background_tasks() if run.tasks else None),
        "dict": lambda: {"dict": True},
        "model": lambda: Model(name="Ada"),
        "tuple": lambda: ({"tea": True}, 418),
        "none": lambda: None,
        "shared": lambda: SHARED,
    }
    return results[run.script.result]()


def handle(once: Service, anew: Service, each: Service, tasks: StarletteBackgroundTasks | None) -> Run:
    """What each handler begins with."""
    run = running.get()
    add(Place.SINGLETON, once.tasks)
    add(Place.TRANSIENT, anew.tasks)
    add(Place.SCOPED, each.tasks)
    add(Place.HANDLER, tasks)
    if error := RAISED.get(run.script.ending):
        raise error
    return run


def parameters(script: Script, *, tasks: bool) -> list[Parameter]:
    """What the handler asks for; Ellar reads it from the signature."""
    asked: dict[str, Any] = {"once": Inject[Singleton], "anew": Inject[Transient], "each": Inject[Scoped]}
    if script.result == "injected response":
        asked["response"] = Response
    if script.result == "sent by hand":
        asked["context"] = IExecutionContext
    if tasks and script.handler in ("async", "sync"):
        asked["tasks"] = StarletteBackgroundTasks
    if tasks and script.handler == "inject":
        asked["tasks"] = Inject[BackgroundTasks]
    return [Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation) for name, annotation in asked.items()]


def function(script: Script, *, tasks: bool) -> Any:
    """The handler, a function of its own for each route, as Ellar keeps what it computes on it."""

    async def handler(*, tasks: Any = None, response: Any = None, context: Any = None, **services: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        run = handle(**services, tasks=tasks)
        return result_of(run, response) if context is None else await by_hand(context)

    def sync_handler(*, tasks: Any = None, response: Any = None, **services: Any) -> Any:
        return result_of(handle(**services, tasks=tasks), response)

    chosen: Any = sync_handler if script.handler == "sync" else handler
    chosen.__signature__ = Signature(parameters(script, tasks=tasks))
    return chosen


def route(path: str, script: Script, *, tasks: bool) -> Any:
    """The route of a script, with or without what asks for background tasks in it."""
    if script.handler == "mounted":
        return Mount(path, Starlette(routes=[Route("/{number}", mounted)]))
    declared = {"model": {201: Model}, "tuple": {200: dict, 418: dict}}.get(script.result, {200: Any})
    handler = function(script, tasks=tasks)
    if script.handler == "constructor":
        return controller(path, handler, declared)
    return get(f"{path}/{{number}}", response=declared)(UseGuards(Guard)(UseInterceptors(Interceptor)(handler)))


def controller(path: str, handler: Any, declared: Any) -> Any:
    async def method(self: Any, **arguments: Any) -> Any:
        return await handler(**arguments)

    self_parameter = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    method.__signature__ = Signature(  # type: ignore[attr-defined]
        [self_parameter, *handler.__signature__.parameters.values()]
    )

    @Controller(path)  # pyright: ignore[reportCallIssue]
    @UseGuards(Guard)
    @UseInterceptors(Interceptor)
    class Generated(ControllerBase):
        served = get("/{number}", response=declared)(method)

        def __init__(self, tasks: BackgroundTasks) -> None:
            add(Place.CONSTRUCTOR, tasks)

    return Generated


async def mounted(request: Request) -> StarletteResponse:
    add(Place.MOUNTED)
    if error := RAISED.get(running.get().script.ending):
        raise error
    return JSONResponse({"mounted": True})
