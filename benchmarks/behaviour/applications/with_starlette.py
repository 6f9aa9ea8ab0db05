"""The responses that applications on Starlette return."""

from collections.abc import Callable

from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from benchmarks.behaviour.applications.streams import few
from benchmarks.behaviour.work import FILE

OWN: dict[str, Callable[..., Response]] = {
    "json": lambda **more: JSONResponse({}, **more),
    "stream": lambda **more: StreamingResponse(few(), **more),
    "file": lambda **more: FileResponse(FILE, **more),
    "redirect": lambda **more: RedirectResponse("/plain", **more),
}
