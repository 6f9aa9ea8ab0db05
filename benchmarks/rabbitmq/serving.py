"""A real server with routes that add no task, one in the process, or a durable one.

``python -m benchmarks.rabbitmq.serving PLACE`` says on which port it serves, and does so until it is killed.
"""

import logging
import socket
import sys

import uvicorn
from ellar.common import ModuleRouter

from benchmarks.engines.application import noop
from benchmarks.rabbitmq.place import application
from bg_di import BackgroundTasks

HOST = "127.0.0.1"
_ANSWER = {"status": "done"}

router = ModuleRouter("/")


async def _in_process(number: int) -> None:
    """It does nothing."""


@router.get("/none")
async def without() -> dict[str, str]:
    return _ANSWER


@router.get("/in-process")
async def in_process(tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(_in_process, 1)
    return _ANSWER


@router.get("/durable")
async def durable(tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(noop, 1)
    return _ANSWER


def main(place: str) -> None:
    logging.getLogger("ellar").disabled = True
    app = application(place, routers=[router])
    with socket.create_server((HOST, 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="error")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
