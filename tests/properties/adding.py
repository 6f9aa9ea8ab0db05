"""A request while it runs: what it adds, and what is seen of it."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

import anyio.lowlevel
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.types import ASGIApp, Message

from bg_di import BackgroundTasks, current_background_tasks
from tests.harness import Client
from tests.properties.script import Call, Leaving, Place, Script, attempted, numbered
from tests.properties.tasks import TaskError, Worker, function_of, policy


@dataclass
class Run:
    """One request, and what came of it.

    Attributes:
        number: which one of its program it is.
        tasks: whether it adds its tasks; without, it is the control.
        timeline: ``"sent"`` for each message of the response, the tasks that ran, and ``"stack left"``.
        added: the tasks that were added.
        log: what was logged of which task.
        ended: what the monitor remembers: each task, and its state.
        heard: what an observer heard of which task.
    """

    number: int
    script: Script
    leaving: Leaving
    tasks: bool = True
    timeline: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    log: dict[str, str] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)
    heard: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ran(self) -> list[str]:
        """The tasks that ran, in order, but for the response's own background."""
        return [name for name in dict.fromkeys(self.timeline) if name not in ("sent", "own", "stack left")]

    @property
    def early(self) -> list[str]:
        """What ran before the last byte had gone; but under `BaseHTTPMiddleware` Starlette runs a background so."""
        last = max((at for at, what in enumerate(self.timeline) if what == "sent"), default=0)
        return [name for name in self.timeline[:last] if name != "sent" and not name.startswith("own")]

    @property
    def response(self) -> object:
        """What the client saw."""
        client = self.client
        return client.status, client.headers, client.body, client.complete, type(client.error)

    def said(self, *words: str) -> set[str]:
        """The tasks of which the log says any of these."""
        return {name for name, said in self.log.items() if said in words}

    def __post_init__(self) -> None:
        self.client = Client(spec=self.leaving.spec, leaves_after=self.leaving.after, before_send=self._sending)

    async def request(self, app: ASGIApp, path: str) -> None:
        """Send the request in the current asyncio task, as a server does in one of its own."""
        running.set(self)
        self._serving = asyncio.current_task()
        assert self._serving is not None
        try:
            await self.client.request(app, path, headers=[("accept-encoding", "gzip")])
        except asyncio.CancelledError:
            self._serving.uncancel()

    async def _sending(self, message: Message) -> None:
        if self.leaving.cancels and self.timeline.count("sent") == self.leaving.after:
            assert self._serving is not None
            asyncio.get_running_loop().call_soon(self._serving.cancel)
        if self.leaving.slow:
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
        self.timeline.append("sent")

    def perform(self, call: Call, name: str, worker: Worker | None) -> None:
        """What a task does, in each attempt."""
        assert running.get() is self, "a task sees the context variables as they were when it was added"
        self.timeline.append(name)
        attempt = self.timeline.count(name)
        self.add(call.adds, attempted(name, attempt), current_background_tasks() if worker is None else worker.use())
        if attempt <= call.fails:
            raise TaskError(name)

    def background(self, call: Call) -> BackgroundTask:
        """The own background of a response."""
        return BackgroundTask(function_of(call, "own"), perform=partial(self.perform, call, "own"))

    def add(self, calls: tuple[Call, ...], adder: str, tasks: StarletteBackgroundTasks) -> None:
        for call, name in numbered(calls, adder):
            function, perform = function_of(call, name), partial(self.perform, call, name)
            if call.uses:
                assert isinstance(tasks, BackgroundTasks)
                tasks.using(**policy(call)).add_task(function, perform=perform)
            else:
                tasks.add_task(function, perform=perform)
            self.added.append(name)


running: ContextVar[Run] = ContextVar("running")


def add(place: Place, tasks: StarletteBackgroundTasks | None = None) -> None:
    """Add what the current request adds here, to the collection that was injected or else to the current one."""
    run = running.get()
    if run.tasks and place in run.script.added:
        collection = current_background_tasks() if tasks is None else tasks
        run.add(run.script.added[place], place.name.lower(), collection)
