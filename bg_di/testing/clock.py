"""A clock that a test moves: delays, timeouts and waits between attempts take no time on it."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, get_ident
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel

from bg_di.declaring.retry import Retry
from bg_di.values import Seconds, seconds


class VirtualClock:
    """How much time has passed for the tasks of a test, besides the real time.

    Waits between the attempts of a task pass on it at once. A delayed task runs when it has come so far, and a task
    that takes longer on it than its ``timeout`` is ended. It moves only where somebody moves it: a test by `advance`, a
    fake that stands for something slow by `sleep`, and a task that waits for its next attempt.

    Attributes:
        passed: seconds since the test began.
    """

    def __init__(self) -> None:
        self.passed = 0.0
        self._ends: dict[object, tuple[float, Callable[[], None]]] = {}
        self._moving = Lock()

    def advance(self, by: Seconds) -> None:
        """Let time pass. What runs and has a timeout that is over now is ended where it waits next.

        Args:
            by: seconds, or a timedelta.

        Raises:
            ValueError: that is less than nothing.
        """
        more = seconds(by)
        if more < 0:
            raise ValueError(f"advance({by!r}): a clock does not go back; give seconds or a timedelta from 0 on")
        with self._moving:
            self.passed += more
            over = [key for key, (at, _) in self._ends.items() if at <= self.passed]
            ended = [self._ends.pop(key)[1] for key in over]
        for end in ended:
            end()

    async def sleep(self, by: Seconds) -> None:
        """Take time on this clock: what a fake awaits that stands for something slow.

        Args:
            by: seconds, or a timedelta.
        """
        self.advance(by)
        await anyio.lowlevel.checkpoint()

    @contextmanager
    def passing(self, scope: anyio.CancelScope, limit: float) -> Generator[None]:
        """Cancel a scope, in a block of code, when its time has passed on this clock.

        Args:
            scope: of the event loop in which this is entered.
            limit: seconds from now.
        """
        with self._moving:
            self._ends[scope] = self.passed + limit, _cancel_from_anywhere(scope)
        try:
            yield
        finally:
            with self._moving:
                self._ends.pop(scope, None)

    async def attempts(self, retry: Retry, limit: float | None) -> AsyncGenerator["Attempt"]:
        """The attempts of a task as stamina makes them, with waits that pass on this clock.

        Args:
            retry: how often, and with which waits.
            limit: seconds over all, on this clock, after which no other one starts; None: without a limit.
        """
        began, number = self.passed, 1
        while True:
            attempt = Attempt(number, retry, self.passed - began, limit)
            yield attempt
            if attempt.wait is None:
                return
            self.advance(attempt.wait)
            number += 1


@dataclass(slots=True)
class Attempt:
    """One of several attempts: swallows its error if there is another one.

    Attributes:
        num: from 1.
        retry: says whether there is another one.
        passed: seconds from the start of the first attempt to that of this one.
        limit: seconds over all, after which no other one starts; None without a limit.
        wait: seconds until the next one; None if there is none.
    """

    num: int
    retry: Retry
    passed: float
    limit: float | None
    wait: float | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> bool:
        if error is not None:
            self.wait = self.retry.next_after(self.num, error, passed=self.passed, limit=self.limit)
        return self.wait is not None


def _cancel_from_anywhere(scope: anyio.CancelScope) -> Callable[[], None]:
    """Cancel a scope that was opened here, whichever thread says so."""
    here, token = get_ident(), anyio.lowlevel.current_token()

    def cancel() -> None:
        if get_ident() == here:
            scope.cancel()
        else:
            anyio.from_thread.run_sync(scope.cancel, token=token)

    return cancel
