"""Give tasks to their engines, and say what became of each: accepted, refused, or unknown."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

import anyio

from bg_di.backends import Accepted
from bg_di.calls.plan import Outgoing, Plan
from bg_di.calls.steps import in_words, is_failure, on_asyncio
from bg_di.calls.task import Waiting
from bg_di.errors import BackendUnavailable, BackgroundTasksNotAccepted, OutcomeUnknown
from bg_di.handing_over.sender import Sender
from bg_di.record import TaskRecord

T = TypeVar("T")
Outcome = tuple[Waiting, Accepted | BackendUnavailable]


@dataclass(frozen=True, slots=True, eq=False)
class HandOver:
    """Calls that are handed over together, in tasks that no cancellation of a request reaches.

    Attributes:
        calls: what is handed over.
        decided: its result is None if all were accepted.
        told: ends when everybody has heard of those that were not.
    """

    calls: Sequence[Waiting]
    decided: "asyncio.Task[BackgroundTasksNotAccepted | None]"
    told: "asyncio.Task[None]"

    @property
    def is_decided(self) -> bool:
        return self.decided.done()

    async def decision(self) -> BackgroundTasksNotAccepted | None:
        """Wait until it is decided; whoever is cancelled meanwhile leaves it to go on."""
        await asyncio.wait([self.decided])
        return self.decided.result()

    async def end(self) -> BackgroundTasksNotAccepted | None:
        """Wait until everybody has heard of it, in the same way."""
        await asyncio.wait([self.told])
        return self.decided.result()


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """The same where no event loop of asyncio runs, so that no engine can be asked.

    Attributes:
        calls: what would have been handed over.
        error: says so.
        untold: of which nobody has heard yet.
        sender: of the application.
    """

    calls: Sequence[Waiting]
    error: BackgroundTasksNotAccepted
    untold: list[Outcome]
    sender: Sender
    is_decided: ClassVar = True

    async def decision(self) -> BackgroundTasksNotAccepted:
        return self.error

    async def end(self) -> BackgroundTasksNotAccepted:
        """Tell everybody of it, whoever is cancelled meanwhile."""
        with anyio.CancelScope(shield=True):
            await _tell(self.sender, self.error, self.untold)
        return self.error


def hand_over(sender: Sender, calls: Sequence[Waiting]) -> HandOver | Refused:
    """Begin to hand calls over."""
    if not on_asyncio():
        return _refused(sender, calls)
    outcomes: list[Outcome] = []
    decided = _kept(sender, _decide(sender, calls, outcomes))
    return HandOver(calls, decided, _kept(sender, _tell_decided(sender, decided, outcomes)))


def _refused(sender: Sender, calls: Sequence[Waiting]) -> Refused:
    why = "works on asyncio only: run the application on it"
    outcomes: list[Outcome] = [(call, BackendUnavailable(_named(_outgoing(call).backend), why)) for call in calls]
    return Refused(calls, cast(BackgroundTasksNotAccepted, _not_accepted(outcomes)), outcomes, sender)


def _kept(sender: Sender, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    task = asyncio.get_running_loop().create_task(work)
    sender.engines.under_way.add(task)
    task.add_done_callback(sender.engines.under_way.discard)
    return task


async def _decide(
    sender: Sender, calls: Sequence[Waiting], outcomes: list[Outcome]
) -> BackgroundTasksNotAccepted | None:
    by_backend: dict[str, list[Waiting]] = {}
    for call in calls:
        by_backend.setdefault(_outgoing(call).backend, []).append(call)
    for of_one in await asyncio.gather(*(_ask(sender, *each) for each in by_backend.items())):
        outcomes.extend(of_one)
    return _not_accepted(outcomes)


async def _ask(sender: Sender, backend: str, calls: Sequence[Waiting]) -> list[Outcome]:
    """Ask one engine. What it does not answer for is unknown."""
    limit = asyncio.timeout(sender.accept_timeout)
    try:
        async with limit:
            messages = [_outgoing(call).message for call in calls]
            answers = await sender.engines.accept(backend, messages, added_in=[call[1] for call in calls])
        outcomes: list[Outcome] = [
            (call, _outcome(backend, answer)) for call, answer in zip(calls, answers, strict=True)
        ]
    except BackendUnavailable as unavailable:
        outcomes = [(call, unavailable) for call in calls]
    except BaseException as error:
        if not is_failure(error, 0):
            for call in calls:
                sender.undecided(call)
            raise
        # Whatever an engine raises, its tasks are not to be forgotten.
        late = f"has not answered within accept_timeout={sender.accept_timeout} seconds"
        unknown = OutcomeUnknown(_named(backend), late if limit.expired() else f"failed: {in_words(error)}")
        outcomes = [(call, unknown) for call in calls]
    for call, outcome in outcomes:
        if isinstance(outcome, Accepted):
            sender.accepted(call, outcome)
    return outcomes


def _outcome(backend: str, answer: Any) -> Accepted | BackendUnavailable:
    if isinstance(answer, Accepted | BackendUnavailable):
        return answer
    return OutcomeUnknown(_named(backend), f"has answered with a {type(answer).__qualname__!r}, which says nothing")


def _not_accepted(outcomes: Sequence[Outcome]) -> BackgroundTasksNotAccepted | None:
    failed = [(call, outcome) for call, outcome in outcomes if isinstance(outcome, BackendUnavailable)]
    if not failed:
        return None
    return BackgroundTasksNotAccepted(
        refused=[_record(call) for call, outcome in failed if not isinstance(outcome, OutcomeUnknown)],
        unknown=[_record(call) for call, outcome in failed if isinstance(outcome, OutcomeUnknown)],
        accepted=[_record(call) for call, outcome in outcomes if isinstance(outcome, Accepted)],
        why=list(dict.fromkeys(str(outcome) for _, outcome in failed)),
    )


async def _tell_decided(
    sender: Sender, decided: "asyncio.Task[BackgroundTasksNotAccepted | None]", outcomes: list[Outcome]
) -> None:
    error = await decided
    if error is not None:
        await _tell(sender, error, outcomes)


async def _tell(sender: Sender, error: BackgroundTasksNotAccepted, outcomes: list[Outcome]) -> None:
    while outcomes:
        call, outcome = outcomes.pop(0)
        if isinstance(outcome, BackendUnavailable):
            await sender.not_accepted(call, error, str(outcome))


def _record(call: Waiting) -> TaskRecord:
    return _plan(call).record("waiting")


def _named(backend: str) -> str:
    return f"the backend {backend!r}"


def _outgoing(call: Waiting) -> Outgoing:
    return cast(Outgoing, _plan(call).outgoing)


def _plan(call: Waiting) -> Plan:
    return cast(Plan, call[6])
