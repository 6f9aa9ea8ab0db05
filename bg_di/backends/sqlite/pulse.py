"""Whether an event loop still turns, asked from another thread."""

import asyncio
import time
from contextlib import suppress


class Pulse:
    """Asks an event loop for an answer, and counts how long it takes.

    Args:
        patience: seconds that it may be busy with something else.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._loop = loop
        self._patience = patience
        self._asked: float | None = None

    def is_felt(self) -> bool:
        """Whether nothing has been asked that was not answered in time; ask again if all was."""
        asked = self._asked
        if asked is None:
            self._asked = asked = time.monotonic()
            with suppress(RuntimeError):  # it has been closed, and will not answer
                self._loop.call_soon_threadsafe(self._answer)
        return time.monotonic() - asked <= self._patience

    def _answer(self) -> None:
        self._asked = None
