"""BlackSheep: the way that its documentation shows is ``asyncio.create_task``, wherever that may be."""

import asyncio
from functools import partial
from typing import Any

from blacksheep import (
    Application,
    Content,
    Request,
    Response,
    StreamedContent,
    WebSocket,
    accepted,
    created,
    file,
    get,
    json,
    no_content,
    redirect,
    ws,
)
from blacksheep.server.authorization import Policy, auth
from guardpost import AuthenticationHandler
from guardpost.common import AuthenticatedRequirement

from benchmarks.behaviour.applications.streams import few, held_back, long
from benchmarks.behaviour.work import FILE, blocking, failing, log, note, slow

log()
app = Application()


class Refused(Exception): ...


def stage_of(connection: Any) -> str:
    return connection.query["stage"][0]


@get("/plain")
async def plain(stage: str, name: str = "plain") -> Response:
    asyncio.create_task(note(stage, name))
    return json({})


@get("/own/json")
async def own_json(stage: str) -> Response:
    asyncio.create_task(note(stage, "json"))
    return json({})


@get("/own/stream")
async def own_stream(stage: str) -> Response:
    asyncio.create_task(note(stage, "stream"))
    return Response(200, content=StreamedContent(b"text/plain", few))


@get("/own/file")
async def own_file(stage: str) -> Response:
    asyncio.create_task(note(stage, "file"))
    return file(str(FILE), "text/plain")


@get("/own/redirect")
async def own_redirect(stage: str) -> Response:
    asyncio.create_task(note(stage, "redirect"))
    return redirect("/plain")


@get("/status/201")
async def status_created(stage: str) -> Response:
    asyncio.create_task(note(stage, "201"))
    return created()


@get("/status/202")
async def status_accepted(stage: str) -> Response:
    asyncio.create_task(note(stage, "202"))
    return accepted()


@get("/status/204")
async def status_without_content(stage: str) -> Response:
    asyncio.create_task(note(stage, "204"))
    return no_content()


SHARED = Response(200, content=Content(b"application/json", b"{}"))


@get("/shared")
async def shared(stage: str, name: str) -> Response:
    asyncio.create_task(note(stage, name))
    return SHARED


@get("/streaming")
async def streaming(stage: str) -> Response:
    asyncio.create_task(note(stage, "after"))
    return Response(200, content=StreamedContent(b"text/plain", partial(held_back, stage)))


@get("/leaves")
async def leaves(stage: str) -> Response:
    asyncio.create_task(note(stage, "left"))
    return Response(200, content=StreamedContent(b"text/plain", partial(long, stage)))


class Accounts:
    def create(self, stage: str, name: str) -> None:
        asyncio.create_task(note(stage, name))


class Only(Accounts): ...


app.services.add_scoped(Accounts)
app.services.add_singleton(Only)


@get("/service")
async def service(stage: str, accounts: Accounts) -> Response:
    accounts.create(stage, "service")
    return json({})


@get("/singleton")
async def singleton(stage: str, name: str, only: Only) -> Response:
    only.create(stage, name)
    await note(stage, f"in {name}")
    return json({})


@get("/middleware")
async def middled(stage: str) -> Response:
    asyncio.create_task(note(stage, "handler"))
    return json({})


async def add_around(request: Request, handler: Any) -> Response:
    response = await handler(request)
    if request.url.path == b"/middleware":
        asyncio.create_task(note(stage_of(request), "middleware"))
    return response


app.middlewares.append(add_around)


@get("/handled")
async def handled() -> Response:
    raise Refused


@app.exception_handler(Refused)
async def handle(self: Any, request: Request, error: Refused) -> Response:
    asyncio.create_task(note(stage_of(request), "handled"))
    return json({}, 409)


class Refusing(AuthenticationHandler):
    async def authenticate(self, context: Request) -> None:
        if context.url.path == b"/guarded":
            asyncio.create_task(note(stage_of(context), "guard"))


app.use_authentication().add(Refusing())
app.use_authorization().add(Policy("known", AuthenticatedRequirement()))


@auth("known")
@get("/guarded")
async def guarded() -> Response:
    return json({})


@ws("/ws")
async def connected(websocket: WebSocket) -> None:
    await websocket.accept()
    asyncio.create_task(note(stage_of(websocket), "socket"))
    await websocket.send_text("added")
    await websocket.close()


@get("/fails")
async def fails(stage: str) -> Response:
    asyncio.create_task(failing(stage))
    asyncio.create_task(note(stage, "second"))
    asyncio.create_task(note(stage, "third"))
    return json({})


@get("/held")
async def held(stage: str) -> Response:
    await note(stage, "handler")
    return json({})


@get("/raises")
async def raises(stage: str) -> Response:
    asyncio.create_task(note(stage, "raised"))
    raise RuntimeError


@get("/wrong")
async def wrong(stage: str) -> Response:
    incomplete: Any = note
    asyncio.create_task(incomplete(stage))
    return json({})


@get("/blocks")
async def blocks(stage: str) -> Response:
    asyncio.create_task(asyncio.to_thread(blocking, stage))
    return json({})


@get("/sync")
def sync() -> Response:
    return json({})


@get("/slow")
async def adds_slow(stage: str) -> Response:
    asyncio.create_task(slow(stage))
    return json({})
