"""A process of the application: one that serves, or one that only works."""

import asyncio
import logging

import uvicorn
from starlette.types import ASGIApp, Message

from bg_di.edge.lifespan import WORKERS_ONLY
from tests.chaos.application import create
from tests.chaos.ground import Site
from tests.chaos.record import Record
from tests.chaos.scene import Role
from tests.chaos.windows import Death, Window


def run(site: Site, role: Role, window: Window | None, countdown: int, seed: int) -> None:
    """The whole life of a process."""
    site.enter(role)
    logging.basicConfig(
        filename=site.folder / f"{role.name}.log", level="INFO", format="%(asctime)s %(process)s %(message)s"
    )
    logging.getLogger("ellar").disabled = True
    record = Record(site.folder / "record")
    record.write("born", role=role.name)
    death = Death(record, window, countdown, peace=site.folder / "peace")
    site.watch(death, record)
    app = create(site.backend(role), death, record, seed=seed)
    if role.port is not None:
        uvicorn.run(death.around(app), host=role.host, port=role.port, log_config=None, access_log=False)
    else:
        asyncio.run(_work(app))


async def _work(app: ASGIApp) -> None:
    """Run an application only for its workers."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    await to_app.put({"type": "lifespan.startup"})

    async def send(message: Message) -> None:
        logging.info("%s", message)

    await app({"type": "lifespan", "state": {}, WORKERS_ONLY: ["durable"]}, to_app.get, send)
