"""Litestar: tasks are handed to the response that the handler returns, as ``background``."""

from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.response import File, Redirect, Stream

from benchmarks.behaviour.applications.streams import few, held_back, long
from benchmarks.behaviour.work import FILE, blocking, failing, log, note, slow

log()


class Refused(Exception): ...


def answered(background: BackgroundTask | BackgroundTasks | None = None) -> Response[dict[str, str]]:
    return Response({}, background=background)


@get("/plain")
async def plain(stage: str, name: str = "plain") -> Response[dict[str, str]]:
    return answered(BackgroundTask(note, stage, name))


@get("/own/json")
async def own_json(stage: str) -> Response[dict[str, str]]:
    return answered(BackgroundTask(note, stage, "json"))


@get("/own/stream")
async def own_stream(stage: str) -> Stream:
    return Stream(few(), background=BackgroundTask(note, stage, "stream"))


@get("/own/file")
async def own_file(stage: str) -> File:
    return File(FILE, background=BackgroundTask(note, stage, "file"))


@get("/own/redirect", status_code=302)
async def own_redirect(stage: str) -> Redirect:
    return Redirect("/plain", background=BackgroundTask(note, stage, "redirect"))


@get("/status/201", status_code=201)
async def created(stage: str) -> Response[dict[str, str]]:
    return answered(BackgroundTask(note, stage, "201"))


@get("/status/202", status_code=202)
async def accepted(stage: str) -> Response[dict[str, str]]:
    return answered(BackgroundTask(note, stage, "202"))


@get("/status/204", status_code=204)
async def without_content(stage: str) -> Response[None]:
    return Response(None, background=BackgroundTask(note, stage, "204"))


@get("/streaming")
async def streaming(stage: str) -> Stream:
    return Stream(held_back(stage), background=BackgroundTask(note, stage, "after"))


@get("/leaves")
async def leaves(stage: str) -> Stream:
    return Stream(long(stage), background=BackgroundTask(note, stage, "left"))


@get("/middleware")
async def middled(stage: str) -> Response[dict[str, str]]:
    return answered(BackgroundTask(note, stage, "handler"))


async def after_each(request: Request[Any, Any, Any]) -> None:
    """What it has for all routes: a hook that is called when a response was sent."""
    if request.url.path == "/middleware":
        await note(request.query_params["stage"], "middleware")


@get("/handled")
async def handled() -> None:
    raise Refused


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    return Response({}, status_code=409, background=BackgroundTask(note, request.query_params["stage"], "handled"))


@get("/fails")
async def fails(stage: str) -> Response[dict[str, str]]:
    names = ("second", "third")
    tasks = [BackgroundTask(failing, stage), *(BackgroundTask(note, stage, name) for name in names)]
    return answered(BackgroundTasks(tasks))


@get("/held")
async def held(stage: str) -> dict[str, str]:
    await note(stage, "handler")
    return {}


@get("/wrong")
async def wrong(stage: str) -> Response[dict[str, str]]:
    incomplete: Any = note
    return answered(BackgroundTask(incomplete, stage))


@get("/blocks")
async def blocks(stage: str) -> Response[dict[str, str]]:
    return answered(BackgroundTask(blocking, stage))


@get("/sync", sync_to_thread=True)
def sync() -> dict[str, str]:
    return {}


@get("/slow")
async def adds_slow(stage: str) -> Response[dict[str, str]]:
    return answered(BackgroundTask(slow, stage))


app = Litestar(
    [
        *(plain, own_json, own_stream, own_file, own_redirect, created, accepted, without_content, streaming, leaves),
        *(middled, handled, fails, held, wrong, blocks, sync, adds_slow),
    ],
    after_response=after_each,
    exception_handlers={Refused: handle},
)
