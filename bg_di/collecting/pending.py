"""What waits in one request, until its turn comes, an engine has it, or it is taken back."""

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from bg_di.calls.task import Origin, Waiting, within
from bg_di.errors import BackgroundTasksNotAccepted
from bg_di.handing_over.departures import Departures
from bg_di.record import NotRun
from bg_di.running.runner import Runner

WEBSOCKET: Final = "WEBSOCKET"


class Pending(Origin):
    """What one collection has to do, and what becomes of that which does not run here.

    Attributes:
        waiting: what has not started, in order.
        ending: whether the connection is over, so that what is added is refused once nothing waits any more.
        outgoing: what goes to engines; None as long as nothing does.
    """

    waiting: deque[Waiting]
    outgoing: Departures | None
    ending: bool
    _runner: Runner
    _scope: Mapping[str, Any]
    # What runs only if the connection fails, while others run before it has ended.
    _undecided: deque[Waiting] | None = None
    # How what is left ends, and why, if it is not to run; and whether not even what runs always.
    _stopped: tuple[NotRun, str] | None
    _given_up = False

    @property
    def method(self) -> str:
        """The request's method; ``"WEBSOCKET"`` for a connection."""
        return str(self._scope.get("method", WEBSOCKET))

    @property
    def path(self) -> str:
        """The path of the request."""
        return str(self._scope["path"])

    def release(self) -> None:
        """Hand over at once all that is released for engines by now."""
        # The last added comes first there.
        taken = [call for call in tuple(self.waiting) if _is_released(call) and self.withdraw(call)]
        if self.outgoing is not None and taken:
            # What a `TaskErrorHandler` adds is nobody's who has added these.
            within(self, partial(self.outgoing.hand_over, taken[::-1]))

    async def handed_over(self) -> BackgroundTasksNotAccepted | None:
        """Wait until everybody has heard what became of what goes to engines; return the first failure."""
        if self.outgoing is None:
            return None
        first = await self.outgoing.end()
        if self.ending:
            given_up = self._stopped[1] if self._stopped and self._given_up else None
            forgotten = await self.outgoing.in_sessions.end(given_up)
            first = first or forgotten
        return first

    def withdraw(self, call: Waiting) -> bool:
        """Do not run a call; return whether that was still to be had."""
        # Of both, one after the other: it may be in another thread that the ones become the others.
        withdrawn = [_removed(call, calls) for calls in (self._undecided, self.waiting) if calls]
        if not any(withdrawn):
            return self.outgoing is not None and self.outgoing.in_sessions.withdraw(call)
        call[0].close()
        return True

    def cancel(self, call: Waiting) -> bool:
        """Do not run a call, as somebody wishes; return whether it was still waiting."""
        withdrawn = self.withdraw(call)
        if withdrawn:
            self._runner.cancelled(call)
        return withdrawn

    def cut_off(self, by: BaseException) -> None:
        """The connection has been given up: name what waits, and what is still added to it."""
        self._given_up = True
        self._stopped = "cancelled", ended_by(by)
        self._abandon(by)

    def _abandon(self, by: BaseException) -> None:
        for call in _taken(self.waiting):
            self._end_unrun(call, "cancelled", ended_by(by))

    def _end_unrun(self, call: Waiting, state: NotRun, reason: str) -> None:
        call[0].close()
        self._runner.not_run(call, state, reason)


def _is_released(call: Waiting) -> bool:
    """Whether a call goes to an engine, and its `when` is decided in its favour by now."""
    origin, plan = call[2], call[6]
    if plan is None or plan.outgoing is None:
        return False
    return plan.policy.when == "always" or (plan.policy.when == "success") is (origin.failure is None)


def _removed(call: Waiting, calls: deque[Waiting]) -> bool:
    try:
        calls.remove(call)
    except ValueError:
        return False
    return True


def _taken(calls: deque[Waiting]) -> Iterator[Waiting]:
    """Take one after another, until another thread or this one has taken the last."""
    while True:
        try:
            call = calls.popleft()
        except IndexError:
            return
        yield call


def ended_by(error: BaseException) -> str:
    return f"its request was ended by {type(error).__name__}"
