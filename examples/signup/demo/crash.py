"""What must have happened around a crash, and what must be on the file after it."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bg_di.backends import Counts, Entry
from bg_di.backends.sqlite import SqliteBackend
from examples.signup.demo.people import Person
from examples.signup.demo.timeline import (
    Answered,
    CutOff,
    Ended,
    Killed,
    Logged,
    Mailed,
    Moment,
    PutOff,
    Refused,
    StartedAgain,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What the file says in the end.

    Attributes:
        dead: the tasks that it keeps with a reason, and which do not run any more.
    """

    counts: Counts
    dead: Sequence[Entry]


async def left_on(file: Path, *, limit: int) -> Left:
    """Ask the file of the application ``signup``; it gives `limit` dead tasks at most."""
    engine = SqliteBackend(file).open("signup")
    try:
        return Left(counts=engine.counts(), dead=engine.entries("dead", limit=limit))
    finally:
        await engine.close()


def has_started_again(_address: str, moments: Sequence[Moment]) -> bool:
    """Whether the application is back. The mail server holds every mail until then."""
    return any(isinstance(moment, StartedAgain) for moment in moments)


def crash_problems(people: Sequence[Person], moments: Sequence[Moment], left: Left) -> list[str]:
    """Say in words what makes the crash none, or what has not been made good after it; nothing if all is well.

    The application has been killed when everybody had been answered, while mails were on their way and none was out.
    What the mail server put off was put back for a later delivery; what it refused is dead on the file, with the
    reason. Nothing waits there, nor runs.
    """
    return [*_kill(people, moments), *_retries(people, moments), *_file(people, left)]


def _kill(people: Sequence[Person], moments: Sequence[Moment]) -> Iterator[str]:
    killed = _first(Killed, moments)
    if [moment.status for moment in moments if isinstance(moment, Ended)][:1] != [-signal.SIGKILL]:
        yield "the application was not ended by the kill"
    if not any(isinstance(moment, CutOff) for moment in moments[killed : _first(StartedAgain, moments)]):
        yield "no mail was on its way when the application was killed"
    answered = {moment.email for moment in moments[:killed] if isinstance(moment, Answered)}
    yield from (f"{each.name} was not answered before the kill" for each in people if each.email not in answered)
    for moment in moments[: _first(StartedAgain, moments)]:
        if isinstance(moment, Mailed | Refused | PutOff):
            yield f"the mail for {moment.email} was out before the application had started again"


def _first(kind: type[Moment], moments: Sequence[Moment]) -> int:
    return next((index for index, moment in enumerate(moments) if isinstance(moment, kind)), len(moments))


def _retries(people: Sequence[Person], moments: Sequence[Moment]) -> Iterator[str]:
    again = [moment.line for moment in moments if isinstance(moment, Logged) and " and runs again in " in moment.line]
    for person in people:
        if person.busy and not any(person.email in line for line in again):
            yield f"{person.name}'s mail was not put back for a later attempt"


def _file(people: Sequence[Person], left: Left) -> Iterator[str]:
    if left.counts.waiting or left.counts.running:
        yield f"on the file {left.counts.waiting} tasks still wait and {left.counts.running} run"
    refused = [person for person in people if person.refused]
    if len(left.dead) != len(refused):
        yield f"on the file {len(left.dead)} tasks are dead instead of {len(refused)}"
    for person in refused:
        if not any(person.email in (entry.reason or "") for entry in left.dead):
            yield f"{person.name}'s mail is not among the dead on the file, with the reason"
