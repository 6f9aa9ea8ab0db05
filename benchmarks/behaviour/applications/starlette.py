"""Starlette: tasks are handed to the response that the handler returns, as ``background``."""

from typing import Any

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from benchmarks.behaviour.applications.streams import held_back, long
from benchmarks.behaviour.applications.with_starlette import OWN
from benchmarks.behaviour.work import blocking, failing, log, note, slow

log()


class Refused(Exception): ...


def stage_of(connection: HTTPConnection) -> str:
    return connection.query_params["stage"]


async def plain(request: Request) -> Response:
    name = request.query_params.get("name", "plain")
    return JSONResponse({}, background=BackgroundTask(note, stage_of(request), name))


async def own(request: Request) -> Response:
    kind = request.path_params["kind"]
    return OWN[kind](background=BackgroundTask(note, stage_of(request), kind))


async def status(request: Request) -> Response:
    code = request.path_params["code"]
    return Response(status_code=code, background=BackgroundTask(note, stage_of(request), str(code)))


async def streaming(request: Request) -> Response:
    stage = stage_of(request)
    return StreamingResponse(held_back(stage), background=BackgroundTask(note, stage, "after"))


async def leaves(request: Request) -> Response:
    stage = stage_of(request)
    return StreamingResponse(long(stage), background=BackgroundTask(note, stage, "left"))


async def middled(request: Request) -> Response:
    return JSONResponse({}, background=BackgroundTask(note, stage_of(request), "handler"))


async def add_around(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    if request.url.path == "/middleware":
        response.background = BackgroundTask(note, stage_of(request), "middleware")
    return response


async def handled(request: Request) -> Response:
    raise Refused


async def handle(request: Request, error: Exception) -> Response:
    return JSONResponse({}, 409, background=BackgroundTask(note, stage_of(request), "handled"))


class Refusing(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        if conn.url.path == "/guarded":
            raise AuthenticationError
        return None


def refuse(connection: HTTPConnection, error: Exception) -> Response:
    return JSONResponse({}, 401, background=BackgroundTask(note, stage_of(connection), "guard"))


async def fails(request: Request) -> Response:
    stage, tasks = stage_of(request), BackgroundTasks()
    tasks.add_task(failing, stage)
    tasks.add_task(note, stage, "second")
    tasks.add_task(note, stage, "third")
    return JSONResponse({}, background=tasks)


async def held(request: Request) -> Response:
    await note(stage_of(request), "handler")
    return JSONResponse({})


async def wrong(request: Request) -> Response:
    incomplete: Any = note
    return JSONResponse({}, background=BackgroundTask(incomplete, stage_of(request)))


async def blocks(request: Request) -> Response:
    return JSONResponse({}, background=BackgroundTask(blocking, stage_of(request)))


def sync(request: Request) -> Response:
    return JSONResponse({})


async def adds_slow(request: Request) -> Response:
    return JSONResponse({}, background=BackgroundTask(slow, stage_of(request)))


app = Starlette(
    routes=[
        Route("/plain", plain),
        Route("/own/{kind}", own),
        Route("/status/{code:int}", status),
        Route("/streaming", streaming),
        Route("/leaves", leaves),
        Route("/middleware", middled),
        Route("/handled", handled),
        Route("/guarded", held),
        Route("/fails", fails),
        Route("/held", held),
        Route("/wrong", wrong),
        Route("/blocks", blocks),
        Route("/sync", sync),
        Route("/slow", adds_slow),
    ],
    middleware=[
        Middleware(AuthenticationMiddleware, backend=Refusing(), on_error=refuse),
        Middleware(BaseHTTPMiddleware, dispatch=add_around),
    ],
    exception_handlers={Refused: handle},
)
