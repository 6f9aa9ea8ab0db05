"""A process of the application: one that serves, or one that only works."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Message

from bg_di.edge.lifespan import WORKERS_ONLY
from tests.chaos.application import create
from tests.chaos.record import Record
from tests.chaos.windows import Death, Window


@dataclass(frozen=True, kw_only=True)
class Role:
    """What a process is for.

    Attributes:
        port: where it serves; None: it only works.
        embedded: whether it works, too.
    """

    name: str
    port: int | None
    embedded: bool = False


def run(folder: Path, role: Role, window: Window | None, countdown: int, seed: int) -> None:
    """The whole life of a process."""
    logging.basicConfig(filename=folder / f"{role.name}.log", level="INFO")
    logging.getLogger("ellar").disabled = True
    record = Record(folder / "record")
    death = Death(record, window, countdown)
    death.watch_sqlite()
    app = create(folder, death, record, embedded=role.embedded, seed=seed)
    if role.port is not None:
        uvicorn.run(death.around(app), port=role.port, log_config=None, access_log=False)
    else:
        asyncio.run(_work(app))


async def _work(app: ASGIApp) -> None:
    """Run an application only for its workers."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    await to_app.put({"type": "lifespan.startup"})

    async def send(message: Message) -> None:
        logging.info("%s", message)

    await app({"type": "lifespan", "state": {}, WORKERS_ONLY: ["durable"]}, to_app.get, send)
