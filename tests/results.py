"""Every kind of result that a handler can give, as a route with background tasks and as its twin without."""

import inspect
from collections.abc import AsyncIterator, Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, cast

from ellar.common import IExecutionContext, Response, get, render
from ellar.common.responses.models import EmptyAPIResponseModel
from pydantic import BaseModel
from starlette.background import BackgroundTasks
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.types import Receive, Scope, Send

DOCUMENT = Path(__file__)
SHARED = JSONResponse({"shared": True}, headers={"x-shared": "yes"})
TASKS = inspect.Parameter("tasks", inspect.Parameter.KEYWORD_ONLY, annotation=BackgroundTasks)

Add = Callable[[BackgroundTasks], None]


def with_tasks(handler: Callable[..., Any], add: Add) -> Callable[..., Any]:
    """The same handler with a `tasks` parameter in front, which calls `add` first."""
    signature = inspect.signature(handler)

    @wraps(handler)
    async def tasked(*, tasks: BackgroundTasks, **arguments: Any) -> Any:
        add(tasks)
        return await handler(**arguments)

    @wraps(handler)
    def tasked_sync(*, tasks: BackgroundTasks, **arguments: Any) -> Any:
        add(tasks)
        return handler(**arguments)

    chosen: Any = tasked if inspect.iscoroutinefunction(handler) else tasked_sync
    chosen.__signature__ = signature.replace(parameters=[*signature.parameters.values(), TASKS])
    return cast(Callable[..., Any], chosen)


def route(kind: str, add: Add | None = None) -> Any:
    """The route ``/`` whose handler gives this kind of result; `add` is called with the collection in it."""
    make, declare = KINDS[kind]
    # Ellar keeps what it has computed on the function, so each route has a function of its own.
    handler = make()
    return declare(handler if add is None else with_tasks(handler, add))


async def chunks() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


class User(BaseModel):
    name: str


class Deaf(PlainTextResponse):
    """A response that ignores its background."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def _cookie() -> Response:
    response = JSONResponse({"cookie": True}, status_code=202)
    response.set_cookie("session", "abc")
    return response


def _returns(make: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        async def handler() -> Any:
            return make()

        return handler

    return made


def _sync() -> Any:
    def handler() -> dict[str, str]:
        return {"handler": "sync"}

    return handler


def _injected_response() -> Any:
    async def handler(res: Response) -> dict[str, str]:
        res.headers["x-res"] = "1"
        res.status_code = 203
        return {"res": "injected"}

    return handler


def _by_hand() -> Any:
    async def handler(ctx: IExecutionContext) -> None:
        _, _, send = ctx.get_args()
        await send({"type": "http.response.start", "status": 207, "headers": [(b"x-by", b"hand")]})
        await send({"type": "http.response.body", "body": b"by hand"})

    return handler


def _template(handler: Any) -> Any:
    return get("/")(render("page.html")(handler))


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "dict": (_returns(lambda: {"ok": True}), get("/")),
    "model": (_returns(lambda: User(name="Ada")), get("/", response={200: User})),
    "declared 201": (_returns(lambda: {"made": 1}), get("/", response={201: dict})),
    "declared 202": (_returns(lambda: {"accepted": 1}), get("/", response={202: dict})),
    "declared 204": (_returns(lambda: None), get("/", response={204: EmptyAPIResponseModel()})),
    "tuple with status": (_returns(lambda: ({"tea": 1}, 418)), get("/", response={200: dict, 418: dict})),
    "None": (_returns(lambda: None), get("/")),
    "JSON response": (_returns(lambda: JSONResponse({"a": 1}, status_code=202, headers={"x-a": "1"})), get("/")),
    "HTML response": (_returns(lambda: HTMLResponse("<p>hi</p>")), get("/")),
    "cookie": (_returns(_cookie), get("/")),
    "stream": (_returns(lambda: StreamingResponse(chunks(), media_type="text/plain")), get("/")),
    "sync stream": (_returns(lambda: StreamingResponse(iter(["one ", "two"]))), get("/")),
    "file": (_returns(partial(FileResponse, DOCUMENT)), get("/")),
    "redirect": (_returns(lambda: RedirectResponse("/elsewhere")), get("/")),
    "template": (_returns(lambda: {"name": "Ada"}), _template),
    "injected response": (_injected_response, get("/")),
    "ignores background": (_returns(lambda: Deaf("deaf")), get("/")),
    "shared by all requests": (_returns(lambda: SHARED), get("/")),
    "sent by hand": (_by_hand, get("/")),
    "sync handler": (_sync, get("/")),
}
