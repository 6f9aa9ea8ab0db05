"""What waits for the commit of a user's session, until that comes or the request has ended without it."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, cast

import anyio

from bg_di.backends import Accepted
from bg_di.calls.plan import Outgoing, Plan
from bg_di.calls.task import Waiting
from bg_di.errors import BackgroundTasksNotAccepted
from bg_di.handing_over.sender import Sender
from bg_di.record import TaskRecord

_GONE: Final = "the transaction of its session ended without committing it"
_FORGOTTEN: Final = (
    "its session was neither committed nor rolled back by the end of the request, and a later commit does not count: "
    "commit where the task is added"
)
_COMMITTING: Final = "the commit of its session had begun and not ended by the end of the request"


class InSessions:
    """The calls of one collection that engines write in transactions of users.

    Args:
        sender: tells what becomes of them.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        # By the coroutine that stands for a call, as its arguments need not be hashable.
        self._calls: dict[Coroutine[Any, Any, Any], tuple[Waiting, Callable[[], bool]]] = {}

    @property
    def calls(self) -> Sequence[Waiting]:
        """What has neither been committed nor rolled back."""
        return [call for call, _ in tuple(self._calls.values())]

    def add(self, call: Waiting) -> None:
        """Have a call written in the transaction of its session.

        Raises:
            InvalidOptions: the session is not one that its engine can write with.
        """
        plan, placeholder = cast(Plan, call[6]), call[0]
        placeholder.close()
        outgoing = cast(Outgoing, plan.outgoing)
        engine = self._sender.engines.of(outgoing.backend)
        take_back = engine.write(plan.policy.session, outgoing.message, partial(self._ended, placeholder))
        self._calls[placeholder] = call, take_back

    def withdraw(self, call: Waiting) -> bool:
        """Do not write a call; return whether that came in time."""
        _, take_back = self._calls.get(call[0], (None, None))
        if take_back is None or not take_back():
            return False
        self._calls.pop(call[0], None)
        return True

    async def end(self, given_up: str | None) -> BackgroundTasksNotAccepted | None:
        """Name what is still here, as nobody waits any longer for its commit; return what is to be told of it.

        Args:
            given_up: why the request was given up, if it was.
        """
        refused, unknown = [], []
        for call in self.calls:
            if not self.withdraw(call):
                self._calls.pop(call[0], None)
                unknown.append(call)
            elif given_up is not None:
                self._sender.not_run(call, "cancelled", given_up)
            elif call[2].failure is not None:
                self._sender.not_run(call, "dropped", call[2].failure)
            else:
                refused.append(call)
        why = [*([_FORGOTTEN] if refused else ()), *([_COMMITTING] if unknown else ())]
        if not why:
            return None
        error = BackgroundTasksNotAccepted(refused=_records(refused), unknown=_records(unknown), accepted=[], why=why)
        with anyio.CancelScope(shield=True):
            for calls, reason in ((refused, _FORGOTTEN), (unknown, _COMMITTING)):
                for call in calls:
                    await self._sender.not_accepted(call, error, reason)
        return error

    def _ended(self, placeholder: Coroutine[Any, Any, Any], outcome: Accepted | None) -> None:
        call, _ = self._calls.pop(placeholder, (None, None))
        if call is None:  # the request has ended before
            return
        if outcome is None:
            self._sender.not_run(call, "dropped", _GONE)
        else:
            self._sender.accepted(call, outcome)


def _records(calls: Sequence[Waiting]) -> list[TaskRecord]:
    return [cast(Plan, call[6]).record("waiting") for call in calls]
