"""When something is to be done again, and whether it has been done without a gap."""

import time


class Turn:
    """Comes every so many seconds, for the first time at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is there."""
        return time.monotonic() >= self._next

    def take(self) -> bool:
        """Whether it is there; then the next one comes so many seconds later."""
        is_due = self.is_due()
        if is_due:
            self._next = time.monotonic() + self._seconds
        return is_due

    def is_due_again(self) -> None:
        """It is there at once, as nothing came of the last one, or not enough."""
        self._next = time.monotonic()


class Watch:
    """For how long somebody has been able to look without a gap, by the clock that others are judged by.

    After one, as when the machine was suspended or the file was locked, others may not have come to say that they
    live and what they know.

    Args:
        gap: more seconds than that between two looks.
    """

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._since = self._last = time.time()

    def lasts(self, seconds: float, now: float) -> bool:
        """Look, and say whether it has been so long."""
        if not self._last <= now <= self._last + self._gap:
            self._since = now
        self._last = now
        return now - self._since >= seconds
