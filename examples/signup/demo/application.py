"""The application, on a real server in a process of its own."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from examples.signup.demo.timeline import Ended, Killed, Logged, Moment, Timeline

ROOT = Path(__file__).parents[3]
STARTS_WITHIN = STOPS_WITHIN = 30
FINISHES_REQUESTS_WITHIN = 10

_RUNNING = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


class DidNotStart(Exception):
    """The server did not say that it is running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        url: where the application is.
    """

    url: str
    process: Process
    timeline: Timeline

    async def kill(self) -> None:
        """End it as a crash does, by SIGKILL: nothing of it can finish or clean up."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.timeline.add(Killed())
        await self.process.wait()


@asynccontextmanager
async def serve(application: str, environment: Mapping[str, str], timeline: Timeline) -> AsyncIterator[Server]:
    """Run an application on uvicorn, on a free port of this machine.

    At the end the server is told to stop: it finishes what runs first.

    Args:
        application: as uvicorn takes it, ``"module:attribute"``.
        environment: variables for its process.
        timeline: gets what it logs, and how it ended.

    Raises:
        DidNotStart: with what it has logged.
    """
    options = f"--host 127.0.0.1 --port 0 --no-access-log --timeout-graceful-shutdown {FINISHES_REQUESTS_WITHIN}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", application, *options.split()),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=DEVNULL,
        stderr=PIPE,
    )
    assert process.stderr is not None, "it is a pipe"
    begin = len(timeline.moments)
    reading = asyncio.create_task(_read(process.stderr, timeline))
    try:
        url = await _url(timeline, reading, begin)
        yield Server(url=url, process=process, timeline=timeline)
    finally:
        timeline.add(Ended(status=await _stop(process)))
        await reading


async def _read(log: asyncio.StreamReader, timeline: Timeline) -> None:
    async for line in log:
        timeline.add(Logged(line=line.decode(errors="replace").rstrip()))


async def _url(timeline: Timeline, reading: asyncio.Task[None], begin: int) -> str:
    def has_url(moments: Sequence[Moment]) -> bool:
        return bool(_urls(moments[begin:]))

    running = asyncio.create_task(timeline.until(has_url, timeout=STARTS_WITHIN))
    await asyncio.wait([running, reading], return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    urls = _urls(timeline.moments[begin:])
    if not urls:
        log = [moment.line for moment in timeline.moments[begin:] if isinstance(moment, Logged)]
        raise DidNotStart("\n".join(["the application did not start, it logged:", *log]))
    return urls[0]


def _urls(moments: Sequence[Moment]) -> list[str]:
    found = (_RUNNING.search(moment.line) for moment in moments if isinstance(moment, Logged))
    return [match[1] for match in found if match]


async def _stop(process: Process) -> int:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOPS_WITHIN):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()
