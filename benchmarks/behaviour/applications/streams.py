"""What streams consist of, in every framework."""

import asyncio
from collections.abc import AsyncIterator

from benchmarks.behaviour.work import CHUNK, CHUNKS, note


async def few() -> AsyncIterator[bytes]:
    yield b"some"


async def held_back(stage: str) -> AsyncIterator[bytes]:
    """The last chunk waits for the stage."""
    yield b"first"
    await note(stage, "stream")
    yield b"last"


async def long(stage: str) -> AsyncIterator[bytes]:
    """More than its client reads."""
    yield b"first"
    await note(stage, "stream")
    for _ in range(CHUNKS):
        await asyncio.sleep(0)
        yield CHUNK
