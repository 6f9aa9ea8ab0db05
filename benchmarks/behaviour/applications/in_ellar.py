"""The application in Ellar, which is the same with its built-in feature and with bg_di."""

from collections.abc import Callable
from typing import Any, cast

from ellar.app import App, AppFactory
from ellar.common import (
    GuardCanActivate,
    IExecutionContext,
    IHostContext,
    Inject,
    Module,
    ModuleRouter,
    UseGuards,
    exception_handler,
)
from ellar.core import Config, ModuleBase, WebSocket
from ellar.core.middleware import Middleware
from ellar.di import injectable, request_scope, singleton_scope
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from benchmarks.behaviour.applications.with_starlette import OWN
from benchmarks.behaviour.work import blocking, failing, log, note, slow

log()
router = ModuleRouter()


class Refused(Exception): ...


@router.get("/plain")
async def plain(stage: str, tasks: BackgroundTasks, name: str = "plain") -> dict[str, str]:
    tasks.add_task(note, stage, name)
    return {}


@router.get("/own/json", response={200: JSONResponse})
async def own_json(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "json")
    return OWN["json"]()


@router.get("/own/stream", response={200: StreamingResponse})
async def own_stream(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "stream")
    return OWN["stream"]()


@router.get("/own/file", response={200: FileResponse})
async def own_file(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "file")
    return OWN["file"]()


@router.get("/own/redirect", response={307: RedirectResponse})
async def own_redirect(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "redirect")
    return OWN["redirect"]()


@router.get("/status/201", response={201: dict})
async def created(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(note, stage, "201")
    return {}


@router.get("/status/202", response={202: dict})
async def accepted(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(note, stage, "202")
    return {}


# What Ellar makes of a result for a declared 204 has a body, tasks or not, and uvicorn refuses it.
@router.get("/status/204", response={204: Response})
async def without_content(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "204")
    return Response(status_code=204)


@router.get("/both")
async def both(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "injected")
    return JSONResponse({}, background=BackgroundTask(note, stage, "own"))


SHARED = JSONResponse({})


@router.get("/shared")
async def shared(stage: str, name: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, name)
    return SHARED


@injectable(scope=request_scope)
class Accounts:
    def __init__(self, tasks: BackgroundTasks) -> None:
        self.tasks = tasks

    def create(self, stage: str, name: str) -> None:
        self.tasks.add_task(note, stage, name)


@injectable(scope=singleton_scope)
class Only(Accounts): ...


@router.get("/service")
async def service(stage: str, accounts: Inject[Accounts]) -> dict[str, str]:
    accounts.create(stage, "service")
    return {}


@router.get("/singleton")
async def singleton(stage: str, name: str, only: Inject[Only]) -> dict[str, str]:
    only.create(stage, name)
    await note(stage, f"in {name}")
    return {}


@router.get("/middleware")
async def middled(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(note, stage, "handler")
    return {}


@router.get("/handled")
async def handled() -> None:
    raise Refused


@injectable(scope=request_scope)
class Refusing(GuardCanActivate):
    def __init__(self, tasks: BackgroundTasks) -> None:
        self.tasks = tasks

    async def can_activate(self, context: IExecutionContext) -> bool:
        self.tasks.add_task(note, context.switch_to_http_connection().get_request().query_params["stage"], "guard")
        return False


@router.get("/guarded")
@UseGuards(Refusing)
async def guarded() -> None: ...


# `ws_route` is declared to return what cannot be called.
declared: Callable[[Callable[..., Any]], Any] = cast(Any, router.ws_route)("/ws")


@declared
async def connected(websocket: Inject[WebSocket], stage: str, tasks: BackgroundTasks) -> None:
    await websocket.accept()
    tasks.add_task(note, stage, "socket")
    await websocket.send_text("added")
    await websocket.close()


@router.get("/fails")
async def fails(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(failing, stage)
    tasks.add_task(note, stage, "second")
    tasks.add_task(note, stage, "third")
    return {}


@router.get("/held")
async def held(stage: str) -> dict[str, str]:
    await note(stage, "handler")
    return {}


@router.get("/raises")
async def raises(stage: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(note, stage, "raised")
    raise RuntimeError


@router.get("/wrong")
async def wrong(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    incomplete: Any = note
    tasks.add_task(incomplete, stage)
    return {}


@router.get("/blocks")
async def blocks(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(blocking, stage)
    return {}


@router.get("/sync")
def sync() -> dict[str, str]:
    return {}


@router.get("/slow")
async def adds_slow(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(slow, stage)
    return {}


@Module(routers=[router], providers=[Accounts, Only])
class Feature(ModuleBase):
    @exception_handler(Refused, app=True)
    async def handle(self, context: IHostContext, error: Exception) -> Response:
        stage = context.switch_to_http_connection().get_client().query_params["stage"]
        return JSONResponse({}, 409, background=BackgroundTask(note, stage, "handled"))


def create(middleware: Middleware, *modules: Any) -> App:
    """The application with a middleware that adds a task, and with other modules."""
    return AppFactory.create_app(
        modules=[*modules, Feature], config_module={"MIDDLEWARE": [*Config().MIDDLEWARE, middleware]}
    )
