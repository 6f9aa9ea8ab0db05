"""An application whose declared tasks go to an engine in memory, under a test's control."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from ellar.app import App

from bg_di import BackgroundTasks, BackgroundTasksModule, collect_background_tasks
from bg_di.backends import Message
from bg_di.testing.memory import Kept
from bg_di.wire import Envelope
from tests.backends.memory import Memory, MemoryBackend
from tests.harness import application, running

NAME = "shop"


class Shop:
    """One application, and what its engine keeps.

    Args:
        tasks: what its workers may run.
        routes: of its feature module.
        memory: of the engine; another application's, to share it.
        backend: options of the engine.
        more: of `application`.
        **options: of the module.
    """

    def __init__(
        self,
        *tasks: Any,
        routes: Any = (),
        memory: Memory | None = None,
        backend: Any = (),
        more: Any = (),
        **options: Any,
    ) -> None:
        self.memory = memory or Memory()
        engine = MemoryBackend(memory=self.memory, **dict(backend))
        given = {"name": NAME, "backends": {"engine": engine}, "default_backend": "engine", **options}
        setup = BackgroundTasksModule.setup(tasks=tasks, **given)
        self.app: App = application(*routes, tasks=setup, **dict(more))
        self._name = str(given["name"])

    @asynccontextmanager
    async def adding(self) -> AsyncGenerator[BackgroundTasks]:
        """Collect tasks, which are accepted at the end."""
        async with collect_background_tasks(self.app) as tasks:
            yield tasks

    async def add(self, task: Any, *args: Any, **kwargs: Any) -> None:
        """Add one task, and wait until it is accepted."""
        async with self.adding() as tasks:
            tasks.add_task(task, *args, **kwargs)

    @asynccontextmanager
    async def working(self, *told: str) -> AsyncGenerator[Memory]:
        """Run the application until its worker has told these verdicts, in any order."""
        async with running(self.app) as lifespan:
            assert lifespan.said == ["startup.complete"]
            yield self.memory
            await self.memory.until(*told)

    async def work(self, *told: str) -> None:
        """The same, with nothing meanwhile."""
        async with self.working(*told):
            pass

    def put(self, name: str, *args: Any, body: bytes | None = None, attempt: int = 0, **envelope: Any) -> Kept:
        """Let the engine keep a message as somebody else may have written it."""
        task_id = uuid4().hex
        parts = {
            "task_id": task_id,
            "application": self._name,
            "name": name,
            "arguments": {"args": list(args), "kwargs": {}},
            "added_at": time.time(),
            **envelope,
        }
        body = Envelope(**parts).to_bytes() if body is None else body
        message = Message(task_id=task_id, name=name, body=body, added_at=parts["added_at"], due_at=0)
        kept = self.memory.of(self._name).kept[task_id] = Kept(message, attempt=attempt)
        self.memory.wake()
        return kept
