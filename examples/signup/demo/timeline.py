"""What happened, as one process saw it: one clock and one event loop, so that before and after mean something."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened.

    Attributes:
        at: seconds on the monotonic clock.
    """

    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal(Moment):
    """Something that happened to somebody.

    Attributes:
        email: the address that they sign up with.
    """

    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Personal):
    """The response to the sign-up has been read to its end."""

    status: int

    @property
    def is_success(self) -> bool:
        """Whether the status says so."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered(Personal):
    """There will be no response to the sign-up."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(Personal):
    """The application has begun to hand a mail to the mail server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff(Personal):
    """The application has gone while the mail server held the mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed(Personal):
    """The mail server has put a mail into the mailbox; the attributes are what the mail itself says."""

    to: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Personal):
    """The mail server has refused a mail."""

    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff(Personal):
    """The mail server was busy and wants a mail to be tried again later."""

    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInVain(Personal):
    """A mail has waited at the mail server for the response to the sign-up, and that did not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged(Moment):
    """The application has logged a line."""

    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed(Moment):
    """The application's process has been sent what no process can refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Moment):
    """The application's process has ended; its status is the signal's number below zero, if one has ended it."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedAgain(Moment):
    """The application takes requests again."""


class Timeline:
    """Moments in the order in which they happened, to which coroutines can listen."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._more = asyncio.Event()

    def add(self, moment: Moment) -> None:
        """Add a moment and wake who waits for it."""
        self.moments.append(moment)
        self._more.set()
        self._more = asyncio.Event()

    async def until(self, condition: Callable[[Sequence[Moment]], bool], *, timeout: float | None) -> bool:
        """Wait until the condition holds; return whether it does before `timeout` seconds are over, if any."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not condition(self.moments):
                    await self._more.wait()
        return condition(self.moments)
