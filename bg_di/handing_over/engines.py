"""The live handles of an application's engines: one for each event loop that uses them, opened when it does."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from threading import Lock
from typing import Any

from bg_di import log
from bg_di.backends import Accepted, Backend, Engine, Message
from bg_di.calls.overlay import overlay
from bg_di.errors import BackendUnavailable


class Engines:
    """The engines of one application.

    A test client makes an event loop for each request, and closes it without a word: what was opened there is given
    back when the next one opens something.

    Args:
        backends: that tasks are handed over to, by name.
        application: under whose name they keep tasks.
        sessions_here: gives the database sessions of the request that the running code belongs to.

    Attributes:
        under_way: what is being handed over. Kept here, as nobody else may be left that waits for it.
    """

    def __init__(
        self, backends: Mapping[str, Backend], application: str, sessions_here: Callable[[], Sequence[Any]] = tuple
    ) -> None:
        self.backends = backends
        self.under_way: set[asyncio.Task[Any]] = set()
        self._application = application
        self._sessions_here = sessions_here
        self._open: dict[asyncio.AbstractEventLoop | None, dict[str, Engine]] = {}
        self._opening = Lock()
        # Of which nobody has heard yet that no worker takes what they have.
        self._idle = dict(backends)

    def started(self) -> None:
        """The application starts up, and its workers with it."""
        self._idle.clear()

    def miss_worker(self, name: str) -> None:
        """Say once that no worker here takes what the backend of that name has accepted, if there was to be one."""
        backend = self._idle.pop(name, None)
        if backend is not None and backend.embedded and overlay() is None:
            log.no_worker(name)

    def of(self, name: str) -> Engine:
        """The engine of that name, in the running event loop; in a thread without one, whichever is open."""
        over = overlay()
        if over is not None:
            return over.engine(self, name, self.backends[name])
        loop = _running_loop()
        with self._opening:
            engines = self._opened(loop)
            if name not in engines:
                engines[name] = self.backends[name].open(self._application)
            return engines[name]

    async def accept(
        self, name: str, messages: Sequence[Message], *, added_in: Iterable[Context]
    ) -> Sequence[Accepted | BackendUnavailable]:
        """Hand messages over to the engine of that name; return for each what became of it.

        Args:
            name: of the backend.
            messages: what is handed over.
            added_in: the contexts in which that was added.

        Raises:
            BackendUnavailable: none of them can be accepted.
        """
        engine = self.of(name)
        if "transaction" in self.backends[name].capabilities:
            sessions = {id(session): session for context in added_in for session in context.run(self._sessions_here)}
            for session in sessions.values():
                engine.refuse_behind(session)
        return await engine.accept(messages)

    async def finish(self) -> None:
        """Wait until nothing is being handed over in the running event loop."""
        loop = _running_loop()
        while pending := [task for task in tuple(self.under_way) if task.get_loop() is loop]:
            await asyncio.wait(pending)

    async def close(self) -> None:
        """Close what the running event loop has opened, and what was opened without any."""
        with self._opening:
            engines = self._open.pop(_running_loop(), {})
            self._abandon(None)
        for name, engine in engines.items():
            try:
                await engine.close()
            except Exception as error:  # noqa: BLE001  # the others are to be closed, and the application to end
                log.engine_not_closed(name, error)

    def _opened(self, loop: asyncio.AbstractEventLoop | None) -> dict[str, Engine]:
        for closed in [known for known in self._open if known is not None and known.is_closed()]:
            self._abandon(closed)
        if loop is None:
            return next(iter(self._open.values())) if self._open else self._open.setdefault(None, {})
        return self._open.setdefault(loop, {})

    def _abandon(self, loop: asyncio.AbstractEventLoop | None) -> None:
        for engine in self._open.pop(loop, {}).values():
            engine.abandon()
        # What ends so says itself what it was about.
        self.under_way.difference_update([task for task in tuple(self.under_way) if task.get_loop() is loop])


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
