"""bg_di: the application in Ellar with the module declared. Whoever the container builds may ask for the tasks."""

from urllib.parse import parse_qs

from ellar.common import Module, ModuleRouter
from ellar.core import ModuleBase
from ellar.core.middleware import Middleware
from ellar.di import injectable, request_scope
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.behaviour.applications import ellar
from benchmarks.behaviour.applications.in_ellar import create
from benchmarks.behaviour.applications.streams import held_back, long
from benchmarks.behaviour.work import note
from bg_di import BackgroundTasks, BackgroundTasksModule, background_task


class AddsAround:
    def __init__(self, app: ASGIApp, tasks: BackgroundTasks) -> None:
        self.app = app
        self.tasks = tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/middleware":
            [stage] = parse_qs(scope["query_string"].decode())["stage"]
            self.tasks.add_task(note, stage, "middleware")
        await self.app(scope, receive, send)


class Settings:
    sender = "ada"


@injectable(scope=request_scope)
class Mailer:
    """A service whose method is the task: the container builds it where the task runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @background_task
    async def send(self, stage: str) -> None:
        await note(stage, f"sent by {self.settings.sender}")


router = ModuleRouter()


@router.get("/streaming")
async def streaming(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "after")
    return StreamingResponse(held_back(stage))


@router.get("/leaves")
async def leaves(stage: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(note, stage, "left")
    return StreamingResponse(long(stage))


@router.get("/dependent")
async def dependent(stage: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(Mailer.send, stage)
    return {}


@Module(routers=[router], providers=[Settings, Mailer])
class More(ModuleBase): ...


app = create(Middleware(AddsAround), BackgroundTasksModule, More)


def fakes() -> str:
    """As the built-in feature is asked."""
    return ellar.fakes(BackgroundTasksModule)
