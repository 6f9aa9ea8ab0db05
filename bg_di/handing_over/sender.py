"""What handing over asks of the application whose tasks they are."""

from typing import Protocol

from bg_di.backends import Accepted
from bg_di.calls.task import Waiting
from bg_di.errors import BackgroundTasksNotAccepted
from bg_di.handing_over.engines import Engines
from bg_di.record import NotRun


class Sender(Protocol):
    """Has engines, and hears what becomes of each call.

    Attributes:
        engines: take what is handed over.
        accept_timeout: seconds that they have for it.
    """

    engines: Engines
    accept_timeout: float

    def accepted(self, call: Waiting, accepted: Accepted, /) -> None:
        """An engine has a call, or one that stands for it."""

    def undecided(self, call: Waiting, /) -> None:
        """Nobody will ever know whether an engine has a call."""

    def not_run(self, call: Waiting, state: NotRun, reason: str, /) -> None:
        """A call is not handed over any more."""

    async def not_accepted(self, call: Waiting, error: BackgroundTasksNotAccepted, reason: str, /) -> None:
        """A call, among others, could not be handed over."""
