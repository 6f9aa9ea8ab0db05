"""A process of one engine, which another one tells what to do: ``python -m benchmarks.durable.process …``.

``enqueue`` reads from each line how many tasks to enqueue, and answers with how long each took. ``work`` waits for a
line, works until nothing has happened for a while, and answers with when its tasks ran. ``hold`` and ``finish`` work
until they are killed: the one keeps each task that it has in hand, the other ends them.
"""

import asyncio
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from benchmarks.durable.engines import Peer, peer_of
from benchmarks.durable.marks import MARKS

Role = Literal["enqueue", "work", "hold", "finish"]
RECORD = "record"
# Seconds after which a worker has nothing to do; DBOS looks once a second.
_IDLE, _BEGINNING = 1.5, 15.0


class Process:
    """A process of an engine, seen from outside."""

    def __init__(self, peer: Peer, folder: Path, role: Role, *, slots: int | None = None, enough: int = 0) -> None:
        words = [peer.name, str(folder), role, str(slots or ""), str(enough)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.durable.process", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.answer() == "ready"

    def tell(self, number: int) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What it says."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        """By SIGKILL: it ends nothing."""
        with self._process:
            self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill()


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


async def _enqueue(peer: Peer, folder: Path, slots: int | None) -> None:
    async with peer.enqueuing(folder, slots) as enqueue:
        _say("ready")
        for line in sys.stdin:
            latencies = []
            for number in range(int(line)):
                started = time.perf_counter()
                await enqueue(number)
                latencies.append(time.perf_counter() - started)
            _say(latencies)


async def _work(peer: Peer, folder: Path, slots: int | None, enough: int) -> None:
    _say("ready")
    sys.stdin.readline()
    async with peer.working(folder, slots):
        await _worked(enough)
        _say(MARKS.times)


async def _worked(enough: int) -> None:
    """Until so many tasks have run here, or no more come."""
    seen, changed, patience = 0, time.perf_counter(), _BEGINNING
    while len(MARKS.times) < enough and time.perf_counter() - changed < patience:
        await asyncio.sleep(0.02)
        if len(MARKS.times) != seen:
            seen, changed, patience = len(MARKS.times), time.perf_counter(), _IDLE


async def _stay(peer: Peer, folder: Path, slots: int | None, *, holds: bool) -> None:
    MARKS.keep(folder / RECORD, holds=holds)
    _say("ready")
    async with peer.working(folder, slots):
        await asyncio.Event().wait()


def _main(name: str, place: str, role: str, at_once: str, enough: str) -> None:
    logging.getLogger("ellar").disabled = True
    peer, folder, slots = peer_of(name), Path(place), int(at_once) if at_once else None
    match role:
        case "enqueue":
            asyncio.run(_enqueue(peer, folder, slots))
        case "work":
            asyncio.run(_work(peer, folder, slots, int(enough)))
        case _:
            asyncio.run(_stay(peer, folder, slots, holds=role == "hold"))


if __name__ == "__main__":
    _main(*sys.argv[1:])
