"""FastAPI: handlers and dependencies ask for ``BackgroundTasks`` by type."""

import json
from typing import Annotated, Any, ClassVar

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.middleware.base import RequestResponseEndpoint

from benchmarks.behaviour.applications.streams import held_back, long
from benchmarks.behaviour.applications.with_starlette import OWN
from benchmarks.behaviour.work import blocking, failing, log, note, slow

log()
app = FastAPI()


class Refused(Exception): ...


@app.get("/plain")
async def plain(stage: str, tasks: BackgroundTasks, name: str = "plain") -> dict[str, str]:
    tasks.add_task(note, stage, name)
    return {}


@app.get("/own/{kind}")
async def own(kind: str, stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, kind)
    return OWN[kind]()


@app.get("/status/201", status_code=201)
async def created(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(note, stage, "201")
    return {}


@app.get("/status/202", status_code=202)
async def accepted(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(note, stage, "202")
    return {}


@app.get("/status/204", status_code=204)
async def without_content(stage: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(note, stage, "204")


@app.get("/both")
async def both(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "injected")
    return JSONResponse({}, background=BackgroundTask(note, stage, "own"))


SHARED = JSONResponse({})


@app.get("/shared")
async def shared(stage: str, name: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, name)
    return SHARED


@app.get("/streaming")
async def streaming(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "after")
    return StreamingResponse(held_back(stage))


@app.get("/leaves")
async def leaves(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "left")
    return StreamingResponse(long(stage))


class Accounts:
    def __init__(self, stage: str, tasks: BackgroundTasks) -> None:
        self.stage, self.tasks = stage, tasks

    def create(self) -> None:
        self.tasks.add_task(note, self.stage, "service")


@app.get("/service")
async def service(accounts: Annotated[Accounts, Depends()]) -> dict[str, str]:
    accounts.create()
    return {}


@app.get("/middleware")
async def middled(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(note, stage, "handler")
    return {}


@app.middleware("http")
async def add_around(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    if request.url.path == "/middleware":
        response.background = BackgroundTask(note, request.query_params["stage"], "middleware")
    return response


@app.get("/handled")
async def handled() -> None:
    raise Refused


@app.exception_handler(Refused)
async def handle(request: Request, error: Exception) -> Response:
    return JSONResponse({}, 409, background=BackgroundTask(note, request.query_params["stage"], "handled"))


def refuse(stage: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(note, stage, "guard")
    raise HTTPException(401)


@app.get("/guarded", dependencies=[Depends(refuse)])
async def guarded() -> None: ...


@app.websocket("/ws")
async def connected(websocket: WebSocket, stage: str, tasks: BackgroundTasks) -> None:
    await websocket.accept()
    tasks.add_task(note, stage, "socket")
    await websocket.send_text("added")
    await websocket.close()


@app.get("/fails")
async def fails(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(failing, stage)
    tasks.add_task(note, stage, "second")
    tasks.add_task(note, stage, "third")
    return {}


@app.get("/held")
async def held(stage: str) -> dict[str, str]:
    await note(stage, "handler")
    return {}


@app.get("/raises")
async def raises(stage: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(note, stage, "raised")
    raise RuntimeError


@app.get("/wrong")
async def wrong(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    incomplete: Any = note
    tasks.add_task(incomplete, stage)
    return {}


@app.get("/blocks")
async def blocks(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(blocking, stage)
    return {}


@app.get("/sync")
def sync() -> dict[str, str]:
    return {}


@app.get("/slow")
async def adds_slow(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(slow, stage)
    return {}


class Fake(BackgroundTasks):
    """Takes down what is added, and runs nothing."""

    added: ClassVar[list[str]] = []

    def add_task(self, func: Any, *args: Any, **kwargs: Any) -> None:
        self.added.append(args[-1])


def fakes() -> str:
    """Override the collection as a dependency is overridden, and tell whom the fake reached."""
    Fake.added.clear()
    app.dependency_overrides[BackgroundTasks] = Fake
    client = TestClient(app, raise_server_exceptions=False)
    for path in ("/plain", "/service"):
        client.get(path, params={"stage": "0"})
    return json.dumps(Fake.added)
