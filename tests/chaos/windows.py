"""The narrow windows in which a process may die, and the death that waits in one of them.

Nothing of bg_di is changed for it. These three are seen around every engine, by an observer of tasks and an ASGI frame
around the application; what watches an engine's own ones is with its ground.
"""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bg_di import TaskObserver, TaskRecord
from tests.chaos.record import Record


@dataclass(frozen=True)
class Window:
    """A moment that a process passes again and again.

    Attributes:
        of: who passes it: those that answer, or those that work.
        rarity: a process dies there at the latest when it passes it for the so manieth time.
    """

    name: str
    of: Literal["answers", "work"]
    rarity: int = 20


UNANSWERED: Final = Window("accepted but unanswered", "answers")
UNSTARTED: Final = Window("delivered but unstarted", "work")
UNACKNOWLEDGED: Final = Window("ended but unacknowledged", "work")


class Death:
    """Kills this process the n-th time that it passes one window.

    Args:
        record: is told first.
        window: where it waits; None: nowhere.
        countdown: which time it is.
        peace: as long as this file is there, nobody dies.
    """

    def __init__(self, record: Record, window: Window | None, countdown: int, peace: Path) -> None:
        self._record = record
        self._window = window
        self._countdown = countdown
        self._peace = peace

    def passes(self, window: Window) -> None:
        if window != self._window:
            return
        self._countdown -= 1
        if self._countdown <= 0:
            self.comes("window", window=window.name)

    def comes(self, what: str, **details: str) -> None:
        """Now, unless there is peace."""
        if not self._peace.exists():
            self._record.write(what, **details)
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, app: ASGIApp) -> ASGIApp:
        """An application that may die when its response is ready to leave."""

        async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] == 200:
                    self.passes(UNANSWERED)
                await send(message)

            await app(scope, receive, sending)

        return outermost


class DyingObserver(TaskObserver):
    """Dies before a task begins, or when it has ended and nobody has said so."""

    def __init__(self, death: Death) -> None:
        self._death = death

    @contextmanager
    def task(self, record: TaskRecord) -> Generator[None]:
        self._death.passes(UNSTARTED)
        yield
        self._death.passes(UNACKNOWLEDGED)
