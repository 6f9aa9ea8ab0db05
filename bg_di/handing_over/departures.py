"""What of one collection goes to engines, from its release until everybody has heard what became of it."""

from collections.abc import Sequence

from bg_di.calls.overlay import overlay
from bg_di.calls.task import Waiting
from bg_di.errors import BackgroundTasksNotAccepted
from bg_di.handing_over.handover import HandOver, Refused, hand_over
from bg_di.handing_over.in_sessions import InSessions
from bg_di.handing_over.sender import Sender


class Departures:
    """What is being handed over, and what waits for the commits of users.

    Args:
        sender: of the application.

    Attributes:
        in_sessions: what waits for commits.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._under_way: list[HandOver | Refused] = []
        self.in_sessions = InSessions(sender)

    @property
    def calls(self) -> Sequence[Waiting]:
        """What nobody has decided on yet."""
        under_way = tuple(self._under_way)
        undecided = [call for handing in under_way if not handing.is_decided for call in handing.calls]
        return [*undecided, *self.in_sessions.calls]

    def hand_over(self, calls: Sequence[Waiting]) -> None:
        """Begin to hand calls over."""
        self._under_way.append(hand_over(self._sender, calls))

    async def decision(self) -> BackgroundTasksNotAccepted | None:
        """Wait until it is decided on all that is being handed over; return the first failure."""
        decisions = [await handing.decision() for handing in tuple(self._under_way)]
        return next(filter(None, decisions), None)

    async def end(self) -> BackgroundTasksNotAccepted | None:
        """Wait until everybody has heard what became of that which was handed over; return the first failure."""
        first: BackgroundTasksNotAccepted | None = None
        while self._under_way:
            handing = self._under_way[0]
            error = await handing.end()
            first = first or error
            if handing in self._under_way:  # others may wait here, too
                self._under_way.remove(handing)
        over = overlay()
        if over is not None:
            await over.deliver(self._sender)
        return first
