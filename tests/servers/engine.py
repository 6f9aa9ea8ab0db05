"""An application with an engine, which answers as the stage that a task names directs it."""

from collections.abc import AsyncIterator, Sequence

import anyio
from ellar.common import ModuleRouter
from starlette.background import BackgroundTasks
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from bg_di import BackgroundTasksModule, background_task
from bg_di.backends import Message
from bg_di.errors import BackendUnavailable
from bg_di.wire import Envelope
from tests.backends.memory import Memory, MemoryBackend
from tests.harness import application, module
from tests.servers import logs
from tests.servers.stage import cue

logs.configure()
router = ModuleRouter()
REFUSED = BackendUnavailable("tasks.db", "is full")


@background_task(name="handed over", backend="durable")
async def handed_over(stage: str, outcome: str) -> None: ...


@router.get("/{stage}/{outcome}/plain")
async def plain(stage: str, outcome: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(handed_over, stage, outcome)
    return {}


@router.get("/{stage}/{outcome}/endless")
async def endless(stage: str, outcome: str, tasks: BackgroundTasks) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        while True:
            await anyio.sleep(0)
            yield "chunk"

    tasks.add_task(handed_over, stage, outcome)
    return StreamingResponse(chunks())


async def answer(messages: Sequence[Message]) -> list[BackendUnavailable | None]:
    [message] = messages
    stage, outcome = Envelope.from_bytes(message.body).arguments["args"]
    await cue(stage, "asked")
    await cue(stage, outcome)
    return [REFUSED if outcome == "refused" else None]


backend = MemoryBackend(memory=Memory(answer=answer), embedded=False)
tasks_module = BackgroundTasksModule.setup(
    name="shop", tasks=[handed_over], backends={"durable": backend}, accept_timeout=20
)
shop = application(tasks=tasks_module, modules=[module(routers=[router])])


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Say when a request has ended."""
    await shop(scope, receive, send)
    if scope["type"] == "http":
        await cue(scope["path"].split("/")[1], "ended")
