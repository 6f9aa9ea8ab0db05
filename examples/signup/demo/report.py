"""The timeline, for people to read."""

from collections.abc import Sequence

from examples.signup.demo.people import Person
from examples.signup.demo.timeline import (
    Answered,
    CutOff,
    HeldInVain,
    Killed,
    Logged,
    Mailed,
    Moment,
    Personal,
    PutOff,
    Refused,
    StartedAgain,
    Unanswered,
)


def report(people: Sequence[Person], moments: Sequence[Moment], since: float) -> str:
    """One line for each moment after `since`, with the milliseconds that had passed."""
    by_email = {person.email: person for person in people}
    lines = ((moment, _line(moment, by_email)) for moment in moments if moment.at >= since)
    return "\n".join(f"{(moment.at - since) * 1000:6.0f} ms  {line}" for moment, line in lines if line)


def _line(moment: Moment, people: dict[str, Person]) -> str:
    match moment:
        case Personal():
            return _about(moment, people)
        case Killed():
            return "KILLED    the application, by SIGKILL"
        case StartedAgain():
            return "started   the application, again"
        case Logged(line=line) if _is_worth_showing(line):
            return f"log       {line}"
    return ""


def _about(moment: Personal, people: dict[str, Person]) -> str:
    match moment:
        case Answered(email=email, status=status):
            return f"response  {people[email].name:<10} {status} from POST {people[email].path}"
        case Unanswered(email=email, reason=reason):
            return f"NOTHING   {people[email].name:<10} {reason}"
        case Mailed(email=email, subject=subject):
            return f"mail      {_name(email, people):<10} {subject!r} in the mailbox of {email}"
        case Refused(email=email, reply=reply):
            return f"refused   {_name(email, people):<10} {reply} for {email}"
        case PutOff(email=email, reply=reply):
            return f"put off   {_name(email, people):<10} {reply} for {email}"
        case CutOff(email=email):
            return f"cut off   {_name(email, people):<10} the application has gone, the mail is not taken"
        case HeldInVain(email=email):
            return f"TOO EARLY {_name(email, people):<10} a mail waited for the response, which did not come"
    return ""


def _name(email: str, people: dict[str, Person]) -> str:
    return people[email].name if email in people else "?"


def _is_worth_showing(line: str) -> bool:
    """Not what the server says of itself, nor the inside of a traceback, only what was raised."""
    return bool(line) and not line.startswith((" ", "INFO", "Traceback ("))
