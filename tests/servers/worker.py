"""A process that only works: it runs an application, named as servers have it, without serving it."""

import asyncio
import signal
import sys

from starlette.types import ASGIApp, Message
from uvicorn.importer import import_from_string

from bg_di.edge.lifespan import WORKERS_ONLY


async def _work(app: ASGIApp) -> None:
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    await to_app.put({"type": "lifespan.startup"})

    async def send(message: Message) -> None:
        print(message, flush=True)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, to_app.put_nowait, {"type": "lifespan.shutdown"})
    await app({"type": "lifespan", "state": {}, WORKERS_ONLY: True}, to_app.get, send)


if __name__ == "__main__":
    asyncio.run(_work(import_from_string(sys.argv[1])))
