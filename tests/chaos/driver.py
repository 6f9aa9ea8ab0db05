"""Adds tasks over HTTP while the processes of an application are killed, stopped and started again."""

import asyncio
import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess

import httpx

from tests.chaos.ground import Ground
from tests.chaos.process import run
from tests.chaos.scene import Role, Scene
from tests.chaos.windows import Window

_FORKS = multiprocessing.get_context("forkserver")


class Chaos:
    """One run of a plan, on some ground."""

    def __init__(self, scene: Scene, ground: Ground) -> None:
        self._scene = scene
        self._plan = scene.plan
        self._random = scene.random
        self._record = scene.record
        self._answers = scene.answers
        self._ground = ground
        self._number = 0
        self._stops = 0
        self._stopped: BaseProcess | None = None
        self._armed = True
        self._enough = asyncio.Event()

    async def run(self) -> None:
        """Add tasks until there are enough and enough has gone wrong; then let the application finish in peace."""
        async with self._ground.laid():
            # Once: a process that is killed hundreds of times has to be back at once.
            _FORKS.set_forkserver_preload(["tests.chaos.process", type(self._ground.site).__module__])
            try:
                await self._disturbed()
                self._armed = False
                for role in self._ground.roles:
                    self._start(role)
                await self._finished()
            finally:
                self._end_all()
            await self._ground.end()

    async def _disturbed(self) -> None:
        async with asyncio.TaskGroup() as group:
            own = (*map(self._keep_up, self._ground.roles), self._kill(), self._stop(), self._watch())
            disturbing = [group.create_task(each) for each in (*own, *self._ground.disturbing())]
            async with httpx.AsyncClient(timeout=10) as client:
                await asyncio.gather(*(self._add(client) for _ in range(8)))
            async with self._scene.trouble.closed():
                for task in disturbing:
                    task.cancel()
        self._end_all()

    async def _watch(self) -> None:
        while not self._is_enough():
            await asyncio.sleep(0.1)
        self._enough.set()

    def _is_enough(self) -> bool:
        history, plan = self._scene.reader.history(), self._plan
        return (
            len(self._answers.accepted) >= plan.tasks
            and self._stops >= plan.times
            and all(history.windows[window.name] >= plan.deaths for window in self._ground.windows)
            and self._ground.is_enough()
        )

    async def _add(self, client: httpx.AsyncClient) -> None:
        while not self._enough.is_set():
            async with self._scene.clients.passing():
                self._number += 1
                await self._ask(client, f"/{self._number}")

    async def _ask(self, client: httpx.AsyncClient, path: str) -> None:
        role = self._random.choice([role for role in self._ground.roles if role.port])
        try:
            response = await client.post(f"http://{role.host}:{role.port}{path}")
        except httpx.TransportError as error:
            self._answers.others[type(error).__name__] += 1
            await asyncio.sleep(0.02)  # it is being started
            return
        if response.status_code == 200:
            self._answers.accepted.add(response.json())
        else:
            self._answers.others[str(response.status_code)] += 1

    async def _keep_up(self, role: Role) -> None:
        """Start a process again whenever it has died."""
        while True:
            process = self._start(role)
            while process.is_alive():
                await asyncio.sleep(0.02)

    def _start(self, role: Role) -> BaseProcess:
        window = self._window(role) if self._armed else None
        countdown = self._random.randint(1, window.rarity if window else 1)
        seed = self._random.randrange(2**32)
        process = _FORKS.Process(target=run, args=(self._ground.site, role, window, countdown, seed), daemon=True)
        process.start()
        self._scene.processes[role] = process
        return process

    def _window(self, role: Role) -> Window | None:
        """One that not enough have died in yet, of those that a process passes: a rarer one more likely."""
        passes = {"answers": role.port is not None, "work": role.embedded}
        deaths = self._scene.reader.history().windows
        missing = [
            window for window in self._ground.windows if passes[window.of] and deaths[window.name] < self._plan.deaths
        ]
        if not missing:
            return None
        [chosen] = self._random.choices(missing, [1 / (1 + deaths[window.name]) for window in missing])
        return chosen

    async def _kill(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.2, 2))
            async with self._scene.trouble.passing():
                self._signal(signal.SIGKILL, "killed")

    async def _stop(self) -> None:
        while self._stops < self._plan.times:
            await asyncio.sleep(self._random.uniform(0.1, 1))
            async with self._scene.trouble.passing():
                self._stopped = process = self._signal(signal.SIGSTOP, "stopped")
                await asyncio.sleep(self._ground.rest)
                self._stopped = None
                if process.pid is not None and _signalled(process.pid, signal.SIGCONT):
                    self._stops += 1

    def _signal(self, number: signal.Signals, what: str) -> BaseProcess:
        others = [process for process in self._scene.processes.values() if process is not self._stopped]
        process = self._random.choice(others)
        if process.pid is not None:
            self._record.write(what, victim=process.pid)
            _signalled(process.pid, number)
        return process

    def _end_all(self) -> None:
        for process in self._scene.processes.values():
            self._record.write("killed", victim=process.pid)
            process.kill()
            process.join()

    async def _finished(self) -> None:
        """Wait until nothing waits or runs any more."""
        while not await self._ground.has_finished():
            await asyncio.sleep(0.1)
            for role, process in list(self._scene.processes.items()):
                if not process.is_alive():  # poisoned
                    self._start(role)


def _signalled(pid: int, number: signal.Signals) -> bool:
    """Whether a process was still there to be told."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
