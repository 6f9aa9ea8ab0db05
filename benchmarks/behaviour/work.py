"""What the tasks of every application do: they tell the stage that they are running, and go on when it lets them.

This runs in the environment of each framework, so it needs nothing but Python. The driver's side of it is
`tests.servers.stage`.
"""

import asyncio
import json
import logging
import socket
import sys
from pathlib import Path

AWAY = "the mail server is away"
FILE = Path(__file__)
# What a client that leaves does not wait for: more than the buffers between it and the server hold.
CHUNK, CHUNKS = b"-" * 65536, 1000


class JSONLines(logging.Formatter):
    """One line a record, so that a message is told from its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        traceback = self.formatException(record.exc_info) if record.exc_info else ""
        fields = {"logger": record.name, "level": record.levelname, "message": record.getMessage()}
        return json.dumps({**fields, "traceback": traceback})


def log() -> None:
    """Log what everybody has to say, from INFO on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level="INFO", handlers=[handler])


async def note(stage: str, name: str) -> None:
    """The usual task: tell its name."""
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(stage))
    try:
        writer.write(f"{name}\n".encode())
        await reader.read(1)
    finally:
        writer.close()


def note_in_thread(stage: str, name: str) -> None:
    """`note` for sync code."""
    with socket.create_connection(("127.0.0.1", _port(stage))) as connection:
        connection.sendall(f"{name}\n".encode())
        connection.recv(1)


async def failing(stage: str) -> None:
    await note(stage, "failing")
    raise RuntimeError(AWAY)


async def slow(stage: str) -> None:
    await note(stage, "running")
    await note(stage, "ended")


def blocking(stage: str) -> None:
    note_in_thread(stage, "blocking")


def _port(stage: str) -> int:
    return int(stage.partition(".")[0])
