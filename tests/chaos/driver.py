"""Adds tasks over HTTP while the processes of an application are killed, stopped and started again."""

import asyncio
import multiprocessing
import os
import signal
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import httpx

from bg_di.backends.sqlite import SqliteBackend
from tests.chaos.application import LEASE
from tests.chaos.process import Role, run
from tests.chaos.record import Record, read
from tests.chaos.windows import WINDOWS, Window

# Preloaded once: a process that is killed hundreds of times has to be back at once.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.chaos.process"])

_OF_ANSWERS: Sequence[Window] = ("inserted but uncommitted", "committed but unanswered")
_OF_WORK: Sequence[Window] = ("claimed but unstarted", "ended but unacknowledged", "during takeover")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done to the application.

    Attributes:
        tasks: how many have to be accepted, at least.
        deaths: how often a process has to die in each window, at least.
        stops: how often a process is stopped for longer than its lease.
        seed: of what is random here and there.
    """

    tasks: int
    deaths: int
    stops: int
    seed: int


@dataclass
class Answers:
    """What the clients were told.

    Attributes:
        accepted: the ids of tasks that were answered with success.
        others: how often anything else came back, by what it was.
    """

    accepted: set[str] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)


class Chaos:
    """One run of a plan, in a folder."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._random = Random(plan.seed)
        self._record = Record(folder / "record")
        self._processes: dict[Role, BaseProcess] = {}
        self._number = 0
        self._stops = 0
        self._armed = True
        self._enough = asyncio.Event()
        self.answers = Answers()

    async def run(self) -> None:
        """Add tasks until there are enough and enough has gone wrong; then let the application finish in peace."""
        roles = [
            Role(name="web and worker", port=_free_port(), embedded=True),
            Role(name="web", port=_free_port()),
            Role(name="worker", port=None, embedded=True),
            Role(name="other worker", port=None, embedded=True),
        ]
        ports = [role.port for role in roles if role.port is not None]
        async with asyncio.TaskGroup() as group:
            disturbing = [group.create_task(self._keep_up(role)) for role in roles]
            disturbing += [group.create_task(each()) for each in (self._kill, self._stop, self._watch)]
            async with httpx.AsyncClient(timeout=10) as client:
                await asyncio.gather(*(self._add(client, ports) for _ in range(8)))
            for task in disturbing:
                task.cancel()
        self._end_all()
        self._armed = False
        for role in roles:
            self._start(role)
        await self._finished()
        self._end_all()

    async def _watch(self) -> None:
        while not self._is_enough():
            await asyncio.sleep(0.1)
        self._enough.set()

    def _is_enough(self) -> bool:
        if len(self.answers.accepted) < self._plan.tasks or self._stops < self._plan.stops:
            return False
        windows = read(self._folder / "record").windows
        return all(windows[window] >= self._plan.deaths for window in WINDOWS)

    async def _add(self, client: httpx.AsyncClient, ports: Sequence[int]) -> None:
        while not self._enough.is_set():
            self._number += 1
            try:
                response = await client.post(f"http://127.0.0.1:{self._random.choice(ports)}/{self._number}")
            except httpx.TransportError as error:
                self.answers.others[type(error).__name__] += 1
                await asyncio.sleep(0.02)  # it is being started
                continue
            if response.status_code == 200:
                self.answers.accepted.add(response.json())
            else:
                self.answers.others[str(response.status_code)] += 1

    async def _keep_up(self, role: Role) -> None:
        """Start a process again whenever it has died."""
        while True:
            process = self._start(role)
            while process.is_alive():
                await asyncio.sleep(0.02)

    def _start(self, role: Role) -> BaseProcess:
        window = self._window(role) if self._armed else None
        # Takeovers come one at a time, and only after somebody else has died.
        countdown = 1 if window == "during takeover" else self._random.randint(1, 20)
        seed = self._random.randrange(2**32)
        process = _FORKS.Process(target=run, args=(self._folder, role, window, countdown, seed), daemon=True)
        process.start()
        self._processes[role] = process
        return process

    def _window(self, role: Role) -> Window | None:
        """One that not enough have died in yet, of those that a process passes: a rarer one more likely."""
        mine = (*_OF_ANSWERS, *_OF_WORK) if role.port and role.embedded else _OF_ANSWERS if role.port else _OF_WORK
        deaths = read(self._folder / "record").windows
        missing: list[Window] = [window for window in mine if deaths[window] < self._plan.deaths]
        if not missing:
            return None
        rarer: list[float] = [1 / (1 + deaths[window]) for window in missing]
        [chosen] = self._random.choices(missing, rarer)
        return chosen

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.2, 2))
            self._signal(signal.SIGKILL, "killed")

    async def _stop(self) -> None:
        while self._stops < self._plan.stops:
            await asyncio.sleep(self._random.uniform(0.1, 1))
            process = self._signal(signal.SIGSTOP, "stopped")
            await asyncio.sleep(LEASE * 1.5)
            if process.pid is not None and _signalled(process.pid, signal.SIGCONT):
                self._stops += 1

    def _signal(self, number: signal.Signals, what: str) -> BaseProcess:
        process = self._random.choice(list(self._processes.values()))
        if process.pid is not None:
            self._record.write(what, victim=process.pid)
            _signalled(process.pid, number)
        return process

    def _end_all(self) -> None:
        for process in self._processes.values():
            process.kill()
            self._record.write("killed", victim=process.pid)
            process.join()

    async def _finished(self) -> None:
        """Wait until nothing waits or runs any more."""
        engine = SqliteBackend(self._folder / "tasks.db").open("chaos")
        while (counts := await asyncio.to_thread(engine.counts)).waiting or counts.running:
            await asyncio.sleep(0.1)
            for role, process in list(self._processes.items()):
                if not process.is_alive():  # poisoned
                    self._start(role)
        await engine.close()


def _signalled(pid: int, number: signal.Signals) -> bool:
    """Whether a process was still there to be told."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
