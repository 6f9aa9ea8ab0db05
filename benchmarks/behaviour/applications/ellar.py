"""Ellar's built-in feature: handlers ask for ``BackgroundTasks`` by type."""

import json
from typing import Any, ClassVar

from ellar.common import Module, ModuleRouter
from ellar.core import ModuleBase
from ellar.core.middleware import Middleware
from ellar.testing import Test
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from benchmarks.behaviour.applications.in_ellar import Feature, create
from benchmarks.behaviour.applications.streams import held_back, long
from benchmarks.behaviour.work import note


async def add_around(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    if request.url.path == "/middleware":
        response.background = BackgroundTask(note, request.query_params["stage"], "middleware")
    return response


router = ModuleRouter()


@router.get("/streaming")
async def streaming(stage: str) -> Response:
    # What is injected is lost with a response of the handler's own; what such a response is given is not.
    return StreamingResponse(held_back(stage), background=BackgroundTask(note, stage, "after"))


@router.get("/leaves")
async def leaves(stage: str) -> Response:
    return StreamingResponse(long(stage), background=BackgroundTask(note, stage, "left"))


@Module(routers=[router])
class Streams(ModuleBase): ...


app = create(Middleware(BaseHTTPMiddleware, dispatch=add_around), Streams)


class Fake(BackgroundTasks):
    """Takes down what is added, and runs nothing."""

    added: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()

    def add_task(self, func: Any, *args: Any, **kwargs: Any) -> None:
        self.added.append(args[-1])


def fakes(*modules: Any) -> str:
    """Override the collection as any provider is overridden, and tell whom the fake reached."""
    Fake.added.clear()
    test: Any = Test.create_test_module(modules=[*modules, Feature])
    test.override_provider(BackgroundTasks, use_class=Fake)
    client = test.get_test_client(raise_server_exceptions=False)
    for path in ("/plain", "/service"):
        client.get(path, params={"stage": "0"})
    return json.dumps(Fake.added)
