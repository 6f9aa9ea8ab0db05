"""The example with its tasks on a file: its demo is killed and loses nothing, and can fail."""

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bg_di.backends import Counts, Entry
from examples.signup.demo.check import at_least_once, doubles, problems
from examples.signup.demo.crash import Left, crash_problems
from examples.signup.demo.durable import main
from examples.signup.demo.people import BY_CONTROLLER, Person
from examples.signup.demo.report import report
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
    Tried,
)

ROOT = Path(__file__).parents[1]
NAMES = {person.name for person in BY_CONTROLLER}


# The demo, as `make demo-durable` runs it.


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.signup.demo.durable"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


def lines_of(demo: subprocess.CompletedProcess[str], kind: str) -> dict[str, int]:
    """In which line of the timeline the last moment of this kind came, by the word that follows."""
    found = (re.match(rf" *\d+ ms  {kind} +(\w+)", line) for line in demo.stdout.splitlines())
    return {match[1]: number for number, match in enumerate(found) if match}


def test_the_demo_succeeds(demo: subprocess.CompletedProcess[str]) -> None:
    """The demo exits with 0 and has nothing to complain of."""
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout
    assert "WRONG" not in demo.stdout


def test_everybody_is_answered_before_the_kill(demo: subprocess.CompletedProcess[str]) -> None:
    """All fifteen of the controller: nobody is told to come again."""
    responses, [killed] = lines_of(demo, "response"), lines_of(demo, "KILLED").values()
    assert set(responses) == NAMES
    assert all(line < killed for line in responses.values())
    assert demo.stdout.count(" 201 from POST /accounts/") == 15


def test_the_kill_comes_while_mails_are_on_their_way(demo: subprocess.CompletedProcess[str]) -> None:
    """Their connections break at the mail server, which has taken none."""
    [killed], [started] = lines_of(demo, "KILLED").values(), lines_of(demo, "started").values()
    held = lines_of(demo, "cut off")
    assert held
    assert all(killed < line < started for line in held.values())


def test_every_mail_comes_after_the_application_has_started_again(demo: subprocess.CompletedProcess[str]) -> None:
    """Those that were on their way at the kill, those that waited, and the one that was put off."""
    [started], mails = lines_of(demo, "started").values(), lines_of(demo, "mail")
    assert set(mails) == NAMES - {"Edsger"}
    assert all(started < line for line in mails.values())


def test_what_the_mail_server_puts_off_is_a_later_delivery(demo: subprocess.CompletedProcess[str]) -> None:
    """The worker says at which attempt it failed and that it runs again; the mail comes then."""
    put_off, mails = lines_of(demo, "put off"), lines_of(demo, "mail")
    assert list(put_off) == ["Hedy"]
    assert put_off["Hedy"] < mails["Hedy"]
    assert re.search(
        r"of BACKEND durable \(\w+\) failed at attempt 1 and runs again in .*hedy@example\.org", demo.stdout
    )


def test_what_the_mail_server_refuses_is_dead_on_the_file(demo: subprocess.CompletedProcess[str]) -> None:
    """With the attempts that were made, and the reason."""
    [dead] = [line for line in demo.stdout.splitlines() if line.startswith("dead on the file: ")]
    assert "examples.signup.mailer:Mailer.send_welcome, attempt 1: " in dead
    assert "550" in dead
    assert "edsger@example.org" in dead


def test_every_sign_up_is_noted(demo: subprocess.CompletedProcess[str]) -> None:
    """At least once, before the kill or after it; what came twice is listed."""
    noted = re.findall(r"WARNING signup\.audit: (\w+) has signed up", demo.stdout)
    assert set(noted) == NAMES
    assert demo.stdout.count("'s sign-up was noted ") == len({name for name in noted if noted.count(name) > 1})


# The demo can fail.


def test_an_application_that_keeps_its_tasks_in_the_process_fails_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """By the other declaration, all that was not out at the kill is lost, and the demo says whose mails those were."""
    assert main("examples.signup.server:application", patience=3) == 1
    wrong = {line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG")}
    assert wrong >= {f"WRONG: {name} got 0 mails instead of 1" for name in NAMES - {"Edsger"}}
    assert wrong >= {f"WRONG: {name}'s sign-up was noted 0 times instead of 1" for name in NAMES}
    assert "WRONG: Edsger's mail is not among the dead on the file, with the reason" in wrong
    assert not [line for line in wrong if "response" in line or "status" in line], "everybody was answered all the same"


def test_an_application_that_does_not_start_fails_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo then shows what the server has logged."""
    assert main("examples.signup.durable:misspelt") == 1
    assert 'Attribute "misspelt" not found' in capsys.readouterr().out


GRACE = Person(name="Grace", path="/accounts/", busy=True)
EDSGER = Person(name="Edsger", path="/accounts/", refused=True)
GRACE_ANSWERED = Answered(at=1, email=GRACE.email, status=201)
EDSGER_ANSWERED = Answered(at=1, email=EDSGER.email, status=201)
CUT_OFF = CutOff(at=3, email=GRACE.email)
ENDED = Ended(at=3, status=-signal.SIGKILL)
GRACE_PUT_OFF = PutOff(at=5, email=GRACE.email, reply="421")
AGAIN = Logged(
    at=5, line="WARNING bg_di: background task m failed at attempt 1 and runs again in 1.0 s: 421 grace@example.org"
)
EDSGER_REFUSED = Refused(at=5, email=EDSGER.email, reply="550")
FAILED = Logged(at=6, line="ERROR bg_di: background task m of BACKEND durable (id) failed")
RAISED = Logged(at=6, line="SMTPRecipientsRefused: edsger@example.org")
GRACE_MAILED = Mailed(
    at=7,
    email=GRACE.email,
    to=GRACE.email,
    subject="Welcome, Grace",
    body="Hello Grace,\n\nyour account is ready. Nice to have you here.\n",
)
GRACE_NOTED, EDSGER_NOTED = (
    Logged(at=7, line=f"WARNING signup.audit: {name} has signed up") for name in ("Grace", "Edsger")
)
KILLED, STARTED = Killed(at=2), StartedAgain(at=4)
GOOD: tuple[Moment, ...] = (
    *(GRACE_ANSWERED, EDSGER_ANSWERED, Tried(at=1, email=GRACE.email), KILLED, CUT_OFF, ENDED, STARTED),
    *(GRACE_PUT_OFF, AGAIN, EDSGER_REFUSED, FAILED, RAISED, GRACE_MAILED, GRACE_NOTED, EDSGER_NOTED, Ended(status=0)),
)
DEAD = Entry(
    task_id="1",
    name="m",
    version=1,
    state="dead",
    since=0,
    added_at=0,
    due_at=0,
    attempt=1,
    deliveries=1,
    owner=None,
    lease_until=None,
    unique_key=None,
    unique_until=None,
    reason="550 edsger@example.org",
)
LEFT = Left(counts=Counts(waiting=0, running=0, dead=1, oldest=0), dead=[DEAD])
PEOPLE = [GRACE, EDSGER]


def without(moment: Moment) -> list[Moment]:
    return [other for other in GOOD if other is not moment]


def at_the_kill(moment: Moment) -> list[Moment]:
    """The same, but this came before the application was back."""
    moments = without(moment)
    moments.insert(moments.index(STARTED), moment)
    return moments


def test_the_checks_have_nothing_to_say_when_all_is_well() -> None:
    """Also when what is delivered at least once came twice."""
    assert crash_problems(PEOPLE, GOOD, LEFT) == []
    twice = [*GOOD, GRACE_MAILED, EDSGER_REFUSED, FAILED, EDSGER_NOTED]
    assert problems(PEOPLE, twice, suffices=at_least_once) == []
    assert crash_problems(PEOPLE, twice, LEFT) == []


@pytest.mark.parametrize(
    ("moments", "problem"),
    [
        (without(KILLED), "no mail was on its way when the application was killed"),
        (without(CUT_OFF), "no mail was on its way when the application was killed"),
        (without(ENDED), "the application was not ended by the kill"),
        (
            [moment if moment is not ENDED else replace(ENDED, status=1) for moment in GOOD],
            "the application was not ended by the kill",
        ),
        (at_the_kill(GRACE_ANSWERED), "Grace was not answered before the kill"),
        (without(EDSGER_ANSWERED), "Edsger was not answered before the kill"),
        (at_the_kill(GRACE_MAILED), "the mail for grace@example.org was out before the application had started again"),
        (
            at_the_kill(EDSGER_REFUSED),
            "the mail for edsger@example.org was out before the application had started again",
        ),
        (without(STARTED), "the mail for grace@example.org was out before the application had started again"),
        (without(AGAIN), "Grace's mail was not put back for a later attempt"),
    ],
)
def test_the_check_says_what_was_wrong_with_the_crash(moments: Sequence[Moment], problem: str) -> None:
    """A crash that could not have lost anything proves nothing."""
    assert problem in crash_problems(PEOPLE, moments, LEFT)


@pytest.mark.parametrize(
    ("left", "problem"),
    [
        (replace(LEFT, counts=replace(LEFT.counts, waiting=2, running=1)), "on the file 2 tasks still wait and 1 run"),
        (replace(LEFT, dead=[]), "on the file 0 tasks are dead instead of 1"),
        (replace(LEFT, dead=[DEAD, DEAD]), "on the file 2 tasks are dead instead of 1"),
        (
            replace(LEFT, dead=[replace(DEAD, reason=None)]),
            "Edsger's mail is not among the dead on the file, with the reason",
        ),
    ],
)
def test_the_check_says_what_is_wrong_on_the_file(left: Left, problem: str) -> None:
    """What is left to do, dead without need, or not kept with its reason."""
    assert problem in crash_problems(PEOPLE, GOOD, left)


@pytest.mark.parametrize(
    ("moments", "problem"),
    [
        (without(GRACE_MAILED), "Grace got 0 mails instead of 1"),
        ([*GOOD, replace(GRACE_MAILED, email=EDSGER.email)], "Edsger got 1 mails instead of 0"),
        (without(GRACE_NOTED), "Grace's sign-up was noted 0 times instead of 1"),
        (without(FAILED), "0 background tasks failed instead of 1"),
    ],
)
def test_at_least_once_is_no_excuse(moments: Sequence[Moment], problem: str) -> None:
    """For what is missing, or what nobody has asked for."""
    assert problem in problems(PEOPLE, moments, suffices=at_least_once)


def test_what_came_twice_is_counted() -> None:
    """Mails and notes, by name."""
    assert doubles(PEOPLE, GOOD) == []
    assert doubles(PEOPLE, [*GOOD, GRACE_MAILED, EDSGER_NOTED, EDSGER_NOTED]) == [
        "Grace got 2 mails",
        "Edsger's sign-up was noted 3 times",
    ]


def test_the_timeline_shows_the_crash() -> None:
    """The kill, what it has cut off, and the second start have lines of their own."""
    assert report(BY_CONTROLLER, [KILLED, CUT_OFF, ENDED, STARTED], 0).splitlines() == [
        "  2000 ms  KILLED    the application, by SIGKILL",
        "  3000 ms  cut off   Grace      the application has gone, the mail is not taken",
        "  4000 ms  started   the application, again",
    ]
