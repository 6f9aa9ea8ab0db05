"""What must have happened, checked against what has happened."""

import math
from collections.abc import Callable, Iterator, Sequence

from examples.signup.demo.people import Person
from examples.signup.demo.timeline import (
    Answered,
    HeldInVain,
    Logged,
    Mailed,
    Moment,
    Personal,
    PutOff,
    Refused,
    Unanswered,
)

# Whether something has happened as often as it was wanted: found, wanted.
Suffices = Callable[[int, int], bool]


def exactly(found: int, wanted: int) -> bool:
    """As a process does that lives."""
    return found == wanted


def at_least_once(found: int, wanted: int) -> bool:
    """As engines deliver. What was not wanted does not happen for all that."""
    return found >= wanted if wanted else not found


def problems(people: Sequence[Person], moments: Sequence[Moment], *, suffices: Suffices = exactly) -> list[str]:
    """Say in words what is missing, too much, or in the wrong order; nothing if all is well.

    Everybody has got one response, and it is a success. After it, and never before, one mail with the right
    text is in the mailbox, also if the mail server was busy at first; or, for whom it refuses, none is, and one failure
    is in the log. The log notes each sign-up by the controller, whatever became of its mail.

    Args:
        suffices: how often a task may run.
    """
    found = [problem for person in people for problem in _about(person, moments, suffices)]
    return [*found, *_strangers(people, moments), *_log(people, moments, suffices)]


def doubles(people: Sequence[Person], moments: Sequence[Moment]) -> list[str]:
    """Say in words which tasks have run more than once."""
    log = _lines(moments)
    mailed = [moment.email for moment in moments if isinstance(moment, Mailed)]
    mails = [f"{each.name} got {n} mails" for each in people if (n := mailed.count(each.email)) > 1]
    notes = [f"{each.name}'s sign-up was noted {n} times" for each in people if (n := log.count(_note(each))) > 1]
    return [*mails, *notes]


def is_lost(moments: Sequence[Moment]) -> bool:
    """Whether something has happened after which all cannot be well any more."""
    return any(
        isinstance(moment, HeldInVain | Unanswered) or (isinstance(moment, Answered) and not moment.is_success)
        for moment in moments
    )


def _about(person: Person, moments: Sequence[Moment], suffices: Suffices) -> Iterator[str]:
    own = [moment for moment in moments if isinstance(moment, Personal) and moment.email == person.email]
    yield from _response(person, own)
    yield from _order(person, own)
    yield from _mails(person, own, suffices)


def _response(person: Person, own: Sequence[Personal]) -> Iterator[str]:
    answers = [moment for moment in own if isinstance(moment, Answered)]
    if len(answers) != 1:
        yield f"{person.name} got {len(answers)} responses instead of 1"
    yield from (f"{person.name} got no response: {moment.reason}" for moment in own if isinstance(moment, Unanswered))
    yield from (f"{person.name} got the status {answer.status}" for answer in answers if not answer.is_success)


def _order(person: Person, own: Sequence[Personal]) -> Iterator[str]:
    answered = min((moment.at for moment in own if isinstance(moment, Answered)), default=math.inf)
    if any(isinstance(moment, Mailed | Refused | PutOff) and moment.at < answered for moment in own):
        yield f"{person.name}'s mail came before the response"
    if any(isinstance(moment, HeldInVain) for moment in own):
        yield f"{person.name}'s mail was on its way before the response had been received"


def _mails(person: Person, own: Sequence[Personal], suffices: Suffices) -> Iterator[str]:
    mails = [moment for moment in own if isinstance(moment, Mailed)]
    refusals = [moment for moment in own if isinstance(moment, Refused)]
    if not suffices(len(mails), int(not person.refused)):
        yield f"{person.name} got {len(mails)} mails instead of {int(not person.refused)}"
    put_off = [moment for moment in own if isinstance(moment, PutOff)]
    if len(put_off) != int(person.busy):
        yield f"{person.name}'s mail was put off {len(put_off)} times instead of {int(person.busy)}"
    if not suffices(len(refusals), int(person.refused)):
        yield f"{person.name}'s mail was refused {len(refusals)} times instead of {int(person.refused)}"
    for mail in mails:
        yield from _text(person, mail)


def _text(person: Person, mail: Mailed) -> Iterator[str]:
    # Written out here once more: the mailer's own words would agree with themselves.
    body = f"Hello {person.name},\n\nyour account is ready. Nice to have you here.\n"
    if mail.to != person.email:
        yield f"{person.name}'s mail is to {mail.to}"
    if mail.subject != f"Welcome, {person.name}":
        yield f"{person.name}'s mail has the subject {mail.subject!r}"
    if mail.body != body:
        yield f"{person.name}'s mail has the text {mail.body!r}"


def _strangers(people: Sequence[Person], moments: Sequence[Moment]) -> Iterator[str]:
    known = {person.email for person in people}
    for moment in moments:
        if isinstance(moment, Personal) and moment.email not in known:
            yield f"there was a mail for {moment.email}, who has not signed up"


def _lines(moments: Sequence[Moment]) -> list[str]:
    return [moment.line for moment in moments if isinstance(moment, Logged)]


def _note(person: Person) -> str:
    return f"WARNING signup.audit: {person.name} has signed up"


def _log(people: Sequence[Person], moments: Sequence[Moment], suffices: Suffices) -> Iterator[str]:
    log = _lines(moments)
    refused = [person for person in people if person.refused]
    for person in refused:
        if not any(person.email in line for line in log):
            yield f"{person.name}'s failure is not in the log"
    for person in people:
        noted = log.count(_note(person))
        if not suffices(noted, int(person.is_audited)):
            yield f"{person.name}'s sign-up was noted {noted} times instead of {int(person.is_audited)}"
    errors = [line for line in log if line.startswith(("ERROR", "CRITICAL"))]
    failures = [line for line in errors if line.startswith("ERROR bg_di: background task ")]
    if not suffices(len(failures), len(refused)):
        yield f"{len(failures)} background tasks failed instead of {len(refused)}"
    for line in errors:
        if line not in failures:
            yield f"the application logged {line!r}"
