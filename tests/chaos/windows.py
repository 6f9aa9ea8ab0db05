"""The narrow windows in which a process may die, and the death that waits in one of them.

Nothing of bg_di is changed for it: a connection of SQLite that looks at each statement, an observer of tasks and an
ASGI frame around the application see the moments.
"""

import os
import signal
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bg_di import TaskObserver, TaskRecord
from bg_di.backends.sqlite import statements
from tests.chaos.record import Record

Window = Literal[
    "inserted but uncommitted",
    "committed but unanswered",
    "claimed but unstarted",
    "ended but unacknowledged",
    "during takeover",
]
WINDOWS: Final[tuple[Window, ...]] = get_args(Window)

# What opens a window, until it is committed.
_CHANGES: Final[dict[str, Window]] = {
    statements.ACCEPT: "inserted but uncommitted",
    statements.TAKE_BACK: "during takeover",
}


class Death:
    """Kills this process the n-th time that it passes one window.

    Args:
        record: is told first.
        window: where it waits; None: nowhere.
        countdown: which time it is.
    """

    def __init__(self, record: Record, window: Window | None, countdown: int) -> None:
        self._record = record
        self._window = window
        self._countdown = countdown

    def passes(self, window: Window) -> None:
        if window != self._window:
            return
        self._countdown -= 1
        if self._countdown <= 0:
            self._record.write("window", window=window)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_sqlite(self) -> None:
        """Look at each statement of every connection of this process."""
        death, record = self, self._record

        class Watched(sqlite3.Connection):
            _owner: str | None = None
            _window: Window | None = None
            _changes = 0

            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                if sql.startswith("BEGIN"):
                    self._window = None
                elif sql in _CHANGES:
                    self._window, self._changes = _CHANGES[sql], self.total_changes
                elif sql == "COMMIT" and self._window is not None and self.total_changes > self._changes:
                    death.passes(self._window)
                elif sql == statements.CLAIM and parameters["owner"] != self._owner:
                    self._owner = parameters["owner"]
                    record.write("owner", owner=self._owner)
                return super().execute(sql, parameters)

        patched: Any = sqlite3
        patched.connect = partial(sqlite3.connect, factory=Watched)

    def around(self, app: ASGIApp) -> ASGIApp:
        """An application that may die when its response is ready to leave."""

        async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] == 200:
                    self.passes("committed but unanswered")
                await send(message)

            await app(scope, receive, sending)

        return outermost


class DyingObserver(TaskObserver):
    """Dies before a task begins, or when it has ended and nobody has said so."""

    def __init__(self, death: Death) -> None:
        self._death = death

    @contextmanager
    def task(self, record: TaskRecord) -> Generator[None]:
        self._death.passes("claimed but unstarted")
        yield
        self._death.passes("ended but unacknowledged")
