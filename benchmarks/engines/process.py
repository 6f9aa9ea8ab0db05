"""A process of one engine, which another one tells what to do: ``python -m benchmarks.engines.process …``.

``enqueue`` reads from each line how many tasks to enqueue, and answers with how long each took. ``work`` waits for a
line and works; it answers each ``count`` with how many tasks have run, and ``stop`` with when they ran. ``hold`` and
``finish`` work until they are killed: the one keeps each task that it has in hand, the other ends them.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from benchmarks.engines.marks import MARKS
from benchmarks.engines.peer import Peer

Role = Literal["enqueue", "work", "hold", "finish"]


class Process:
    """A process of an engine, seen from outside.

    Args:
        place: where the tasks are.
        slots: how many tasks a worker runs at once; None: as many as the engine comes with.
        record: a file in which "hold" and "finish" write down what has started and ended.
    """

    def __init__(
        self, peer: Peer, place: str, role: Role, *, slots: int | None = None, record: Path | None = None
    ) -> None:
        words = [peer.home, peer.name, place, role, str(slots or ""), str(record or "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.engines.process", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.answer() == "ready"

    def tell(self, word: object) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What it says."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, word: object) -> Any:
        """What it says to a line."""
        self.tell(word)
        return self.answer()

    def kill(self) -> None:
        """By SIGKILL, with all that it has started: it ends nothing."""
        with self._process, suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill()


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


async def _lines() -> asyncio.StreamReader:
    """What it is told. No thread reads that: an engine that forks meanwhile would take along its lock."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    return lines


async def _enqueue(peer: Peer, place: str, slots: int | None) -> None:
    lines = await _lines()
    async with peer.enqueuing(place, slots) as enqueue:
        _say("ready")
        async for line in lines:
            latencies = []
            for number in range(int(line)):
                started = time.perf_counter()
                await enqueue(number)
                latencies.append(time.perf_counter() - started)
            _say(latencies)


async def _work(peer: Peer, place: str, slots: int | None) -> None:
    lines = await _lines()
    _say("ready")
    await lines.readline()
    async with peer.working(place, slots):
        while await lines.readline() == b"count\n":
            _say(len(MARKS.times))
    _say(MARKS.times)


async def _stay(peer: Peer, place: str, slots: int | None, record: Path, *, holds: bool) -> None:
    MARKS.keep(record, holds=holds)
    _say("ready")
    async with peer.working(place, slots):
        await asyncio.Event().wait()


def _main(home: str, name: str, place: str, role: str, at_once: str, record: str) -> None:
    logging.getLogger("ellar").disabled = True
    peer: Peer = next(each for each in import_module(home).PEERS if each.name == name)
    slots = int(at_once) if at_once else None
    match role:
        case "enqueue":
            asyncio.run(_enqueue(peer, place, slots))
        case "work":
            asyncio.run(_work(peer, place, slots))
        case _:
            asyncio.run(_stay(peer, place, slots, Path(record), holds=role == "hold"))


def until(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until something is so in another process."""
    end = time.perf_counter() + seconds
    while not is_so():
        assert time.perf_counter() < end, otherwise
        time.sleep(0.02)


if __name__ == "__main__":
    _main(*sys.argv[1:])
