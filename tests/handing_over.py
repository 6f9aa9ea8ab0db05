"""What the tests of the hand-over share: declared tasks, an application with engines, and who hears of failures."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from ellar.app import App
from ellar.di import ProviderConfig

from bg_di import BackgroundTasksModule, TaskErrorHandler, TaskFailure, TaskObserver, TaskRecord, background_task
from bg_di.backends import Message
from bg_di.errors import BackendUnavailable, OutcomeUnknown
from tests.backends.memory import Memory, MemoryBackend
from tests.harness import application

# Engines are of asyncio's event loops.
ON_ASYNCIO = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)
ON_TRIO = pytest.mark.parametrize("anyio_backend", ["trio"])
RUN_AFTER = pytest.mark.parametrize("run_after", ["response", "request"])

REFUSED = BackendUnavailable("tasks.db", "is full: make room")
UNKNOWN = OutcomeUnknown("tasks.db", "failed while it was written")

Answer = Callable[[Sequence[Message]], Awaitable[Any]]


@background_task(name="send", backend="durable")
async def send(to: str) -> None:
    raise AssertionError("runs in a worker, and there is none")


@background_task(name="bill", backend="other")
async def bill(number: int) -> None:
    raise AssertionError("runs in a worker, and there is none")


class Engines:
    """Two engines that tests tell what to do, and what was heard of their tasks.

    Attributes:
        memory, other: behind the backends ``"durable"`` and ``"other"``.
        failures: what the `TaskErrorHandler` was given.
        heard: the kind of each event of a task that goes to an engine, with the record.
    """

    def __init__(self) -> None:
        self.memory = Memory()
        self.other = Memory()
        self.failures: list[TaskFailure] = []
        self.heard: list[tuple[str, TaskRecord]] = []

    def setup(self, *tasks: Any, **options: Any) -> Any:
        """The module, with both engines and their tasks."""
        return BackgroundTasksModule.setup(
            **{
                "name": "shop",
                "tasks": [send, bill, *tasks],
                "backends": {
                    "durable": MemoryBackend(memory=self.memory, embedded=False),
                    "other": MemoryBackend(memory=self.other, embedded=False),
                },
                **options,
            }
        )

    def application(self, *routes: Any, tasks: Sequence[Any] = (), options: Any = None, **more: Any) -> App:
        """An application with both engines, whose failures are kept instead of logged."""
        providers = [ProviderConfig(TaskErrorHandler, use_value=_Kept(self.failures)), *more.pop("providers", ())]
        return application(*routes, tasks=self.setup(*tasks, **(options or {})), providers=providers, **more)

    def watched(self) -> TaskObserver:
        """Keeps what it hears."""
        return _Heard(self.heard)

    def events(self) -> list[tuple[str, str]]:
        return [(kind, record.name) for kind, record in self.heard]

    def sent(self) -> list[str]:
        """The names of the tasks that wait on the engines."""
        return [*self.memory.names(), *self.other.names()]


class _Kept(TaskErrorHandler):
    def __init__(self, failures: list[TaskFailure]) -> None:
        self._failures = failures

    async def handle(self, failure: TaskFailure) -> None:
        self._failures.append(failure)


class _Heard(TaskObserver):
    def __init__(self, heard: list[tuple[str, TaskRecord]]) -> None:
        self._heard = heard

    def event(self, kind: Any, record: TaskRecord) -> None:
        self._heard.append((kind, record))


def answers(*outcomes: Any) -> Answer:
    """An engine that says so of each message, the last for all the rest; None: it accepts."""

    async def answer(messages: Sequence[Message]) -> list[Any]:
        return [outcomes[min(index, len(outcomes) - 1)] for index, _ in enumerate(messages)]

    return answer


def raises(error: BaseException) -> Answer:
    """An engine that fails."""

    async def answer(messages: Sequence[Message]) -> None:
        raise error

    return answer


async def hangs(messages: Sequence[Message]) -> None:
    """An engine that never answers."""
    await asyncio.Event().wait()


class Gate:
    """An engine that answers when it is told to.

    Attributes:
        asked: set when the engine has been asked.
        opened: to be set for it to answer.
    """

    def __init__(self, outcome: Any = None) -> None:
        self.asked = asyncio.Event()
        self.opened = asyncio.Event()
        self._outcome = outcome

    async def __call__(self, messages: Sequence[Message]) -> list[Any]:
        self.asked.set()
        await self.opened.wait()
        return [self._outcome] * len(messages)


async def run_once(app: App, *, before: Callable[[], Awaitable[Any]] | None = None) -> list[Any]:
    """Start an application and shut it down, as a server does; `before` is awaited in between.

    Returns:
        What the server heard.
    """
    messages = ["lifespan.startup"]
    heard: list[Any] = []

    async def receive() -> Any:
        if messages:
            return {"type": messages.pop()}
        if before is not None:
            await before()
        return {"type": "lifespan.shutdown"}

    async def hear(message: Any) -> None:
        heard.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, hear)
    return heard
