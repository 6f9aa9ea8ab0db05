"""Give tasks to their engines, and say what became of each: accepted, refused, or unknown."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from bg_di.backend import Accepted
from bg_di.errors import BackendUnavailable, BackgroundTasksNotAccepted, OutcomeUnknown
from bg_di.plan import Outgoing, Plan
from bg_di.record import TaskRecord
from bg_di.runner import Runner
from bg_di.steps import in_words
from bg_di.task import Waiting

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

    async def decision(self) -> BackgroundTasksNotAccepted | None:
        """Wait until it is decided; whoever is cancelled meanwhile leaves it to go on."""
        await asyncio.wait([self.decided])
        return self.decided.result()


def hand_over(runner: Runner, calls: Sequence[Waiting]) -> HandOver:
    """Begin to hand calls over. To be called in an event loop of asyncio."""
    outcomes: list[Outcome] = []
    decided = _kept(runner, _decide(runner, calls, outcomes))
    return HandOver(calls, decided, _kept(runner, _tell(runner, decided, outcomes)))


def _kept(runner: Runner, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    task = asyncio.get_running_loop().create_task(work)
    runner.engines.under_way.add(task)
    task.add_done_callback(runner.engines.under_way.discard)
    return task


async def _decide(
    runner: Runner, calls: Sequence[Waiting], outcomes: list[Outcome]
) -> BackgroundTasksNotAccepted | None:
    by_backend: dict[str, list[Waiting]] = {}
    for call in calls:
        by_backend.setdefault(_outgoing(call).backend, []).append(call)
    for of_one in await asyncio.gather(*(_accepted(runner, *each) for each in by_backend.items())):
        outcomes.extend(of_one)
    for call, outcome in outcomes:
        if isinstance(outcome, Accepted):
            runner.accepted(call, outcome)
    return _not_accepted(outcomes)


async def _accepted(runner: Runner, backend: str, calls: Sequence[Waiting]) -> Iterable[Outcome]:
    """Ask one engine. What it does not answer for is unknown."""
    seconds = runner.accept_timeout
    try:
        async with asyncio.timeout(seconds):
            messages = [_outgoing(call).message for call in calls]
            outcomes = await runner.engines.accept(backend, messages, added_in=[call[1] for call in calls])
            return list(zip(calls, outcomes, strict=True))
    except BackendUnavailable as unavailable:
        error = unavailable
    except TimeoutError:
        error = OutcomeUnknown(f"the backend {backend!r}", f"has not answered within accept_timeout={seconds} seconds")
    except Exception as unexpected:  # noqa: BLE001  # whatever an engine raises, its tasks are not to be forgotten
        error = OutcomeUnknown(f"the backend {backend!r}", f"failed: {in_words(unexpected)}")
    except BaseException:
        for call in calls:
            runner.cut_off(call, "the event loop ended while it was handed over; it may run all the same")
        raise
    return [(call, error) for call in calls]


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


async def _tell(
    runner: Runner, decided: "asyncio.Task[BackgroundTasksNotAccepted | None]", outcomes: Sequence[Outcome]
) -> None:
    error = await decided
    if error is not None:
        for call, outcome in outcomes:
            if isinstance(outcome, BackendUnavailable):
                await runner.not_accepted(call, error, str(outcome))


def _record(call: Waiting) -> TaskRecord:
    return _plan(call).record("waiting")


def _outgoing(call: Waiting) -> Outgoing:
    return cast(Outgoing, _plan(call).outgoing)


def _plan(call: Waiting) -> Plan:
    return cast(Plan, call[6])
