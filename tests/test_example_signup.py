"""The example: its demo keeps its promises and can fail; the application is tested as users would test it."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ellar.app import App, AppFactory
from ellar.common import Body, Inject, post
from ellar.di import ProviderConfig, injectable, singleton_scope
from ellar.testing import module as testing

from bg_di import BackgroundTasks, BackgroundTasksModule
from bg_di.testing import RecordingBackgroundTasks
from examples.signup import controllers, routers
from examples.signup.app import ApplicationModule
from examples.signup.demo import main
from examples.signup.demo.check import problems
from examples.signup.demo.people import PEOPLE, Person
from examples.signup.demo.report import report
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
from examples.signup.mailer import Mailer, audit
from examples.signup.schemas import SignedUp, SignUp
from examples.signup.settings import MailSettings

ROOT = Path(__file__).parents[1]
ADA = {"username": "Ada", "email": "ada@example.org"}
BOTH_WAYS = pytest.mark.parametrize("path", ["/accounts/", "/background-test/signup"])


# The demo, as `make demo` runs it.


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.signup"], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )


def moments_of(demo: subprocess.CompletedProcess[str], kind: str) -> dict[str, int]:
    """In which line of the timeline the moment of this kind came, by name."""
    found = (re.match(rf" *\d+ ms  {kind} +(\w+) ", line) for line in demo.stdout.splitlines())
    return {match[1]: number for number, match in enumerate(found) if match}


def test_the_demo_succeeds(demo: subprocess.CompletedProcess[str]) -> None:
    """The demo exits with 0 and has nothing to complain of."""
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout
    assert "WRONG" not in demo.stdout


def test_twenty_people_are_answered(demo: subprocess.CompletedProcess[str]) -> None:
    """The timeline shows the response to each of the twenty, by the controller and by the router."""
    assert len(moments_of(demo, "response")) == 20
    assert demo.stdout.count(" 201 from POST /accounts/") == 15
    assert demo.stdout.count(" 200 from POST /background-test/signup") == 5


def test_nineteen_mails_come_each_after_its_response(demo: subprocess.CompletedProcess[str]) -> None:
    """The timeline shows nineteen mails, none before the response that it belongs to."""
    responses, mails = moments_of(demo, "response"), moments_of(demo, "mail")
    assert set(mails) == set(responses) - {"Edsger"}
    assert all(responses[name] < line for name, line in mails.items())


def test_the_refused_one_is_answered_and_logged(demo: subprocess.CompletedProcess[str]) -> None:
    """Whose address the mail server refuses has been answered before, and the failure is in the log, once."""
    responses, refusals = moments_of(demo, "response"), moments_of(demo, "refused")
    assert list(refusals) == ["Edsger"]
    assert responses["Edsger"] < refusals["Edsger"] < min(moments_of(demo, "log").values())
    assert demo.stdout.count("ERROR bg_di: background task examples.signup.mailer:Mailer.send_welcome") == 1


def test_a_busy_mail_server_is_tried_again(demo: subprocess.CompletedProcess[str]) -> None:
    """It first answers 421; the same task then brings the mail."""
    put_off, mails = moments_of(demo, "put off"), moments_of(demo, "mail")
    assert list(put_off) == ["Hedy"]
    assert put_off["Hedy"] < mails["Hedy"]


def test_every_sign_up_is_noted_whatever_becomes_of_its_mail(demo: subprocess.CompletedProcess[str]) -> None:
    """By a task with ``when="always"``, also behind the one that failed."""
    assert demo.stdout.count("has signed up") == 15
    assert "WARNING signup.audit: Edsger has signed up" in demo.stdout


# The demo can fail.


@post("/accounts/")
async def mail_first(account: Body[SignUp], mailer: Inject[Mailer]) -> SignedUp:
    await mailer.send_welcome(account.username, account.email)
    return SignedUp()


def mails_before_it_answers() -> App:
    """An application for the demo that does by the controller's path what it must not do."""
    return AppFactory.create_app(
        routers=[mail_first, routers.router],
        modules=[BackgroundTasksModule],
        providers=[
            ProviderConfig(Mailer),
            ProviderConfig(MailSettings, use_value=MailSettings.from_environment),
        ],
    )


def test_an_application_that_mails_first_fails_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """The mail server holds such mails for as long as it is patient, and the demo says whose they were."""
    assert main("tests.test_example_signup:mails_before_it_answers", patience=1) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG")]
    assert "WRONG: Ada's mail was on its way before the response had been received" in wrong
    assert "WRONG: Ada got 0 mails instead of 1" in wrong
    assert not [line for line in wrong if "Anita" in line], "by the router all was well"


def test_an_application_that_does_not_start_fails_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo then shows what the server has logged."""
    assert main("examples.signup.server:misspelt") == 1
    assert 'Attribute "misspelt" not found' in capsys.readouterr().out


PAIR = ("Grace", "Edsger")
GRACE = Person(name="Grace", path="/accounts/", busy=True)
EDSGER = Person(name="Edsger", path="/accounts/", refused=True)
GRACE_ANSWERED = Answered(at=1, email=GRACE.email, status=201)
EDSGER_ANSWERED = Answered(at=2, email=EDSGER.email, status=201)
GRACE_MAILED = Mailed(
    at=3,
    email=GRACE.email,
    to=GRACE.email,
    subject="Welcome, Grace",
    body="Hello Grace,\n\nyour account is ready. Nice to have you here.\n",
)
EDSGER_REFUSED = Refused(at=4, email=EDSGER.email, reply="550")
FAILED = Logged(at=5, line="ERROR bg_di: background task mailer of POST /accounts/ failed")
RAISED = Logged(at=6, line="SMTPRecipientsRefused: edsger@example.org")
GRACE_PUT_OFF = PutOff(at=2.5, email=GRACE.email, reply="421")
GRACE_NOTED, EDSGER_NOTED = (Logged(at=7, line=f"WARNING signup.audit: {name} has signed up") for name in PAIR)
GOOD: tuple[Moment, ...] = (
    *(GRACE_ANSWERED, EDSGER_ANSWERED, GRACE_PUT_OFF, GRACE_MAILED, EDSGER_REFUSED),
    *(FAILED, RAISED, GRACE_NOTED, EDSGER_NOTED),
)


def test_the_check_has_nothing_to_say_when_all_is_well() -> None:
    """One response each, then a mail, or a refusal and a failure in the log."""
    assert problems([GRACE, EDSGER], GOOD) == []


def without(moment: Moment) -> Callable[[Sequence[Moment]], list[Moment]]:
    return lambda moments: [other for other in moments if other is not moment]


def plus(moment: Moment) -> Callable[[Sequence[Moment]], list[Moment]]:
    return lambda moments: [*moments, moment]


def instead(old: Moment, new: Moment) -> Callable[[Sequence[Moment]], list[Moment]]:
    return lambda moments: [new if moment is old else moment for moment in moments]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without(GRACE_ANSWERED), "Grace got 0 responses instead of 1"),
        (plus(GRACE_ANSWERED), "Grace got 2 responses instead of 1"),
        (plus(Unanswered(email=GRACE.email, reason="ReadTimeout")), "Grace got no response: ReadTimeout"),
        (instead(GRACE_ANSWERED, replace(GRACE_ANSWERED, status=500)), "Grace got the status 500"),
        (without(GRACE_MAILED), "Grace got 0 mails instead of 1"),
        (plus(replace(GRACE_MAILED)), "Grace got 2 mails instead of 1"),
        (instead(GRACE_MAILED, replace(GRACE_MAILED, at=0.5)), "Grace's mail came before the response"),
        (instead(EDSGER_REFUSED, replace(EDSGER_REFUSED, at=0.5)), "Edsger's mail came before the response"),
        (plus(HeldInVain(email=GRACE.email)), "Grace's mail was on its way before the response had been received"),
        (instead(GRACE_MAILED, replace(GRACE_MAILED, to=EDSGER.email)), "Grace's mail is to edsger@example.org"),
        (instead(GRACE_MAILED, replace(GRACE_MAILED, subject="Hi")), "Grace's mail has the subject 'Hi'"),
        (instead(GRACE_MAILED, replace(GRACE_MAILED, body="Hi")), "Grace's mail has the text 'Hi'"),
        (plus(replace(GRACE_MAILED, email=EDSGER.email)), "Edsger got 1 mails instead of 0"),
        (without(EDSGER_REFUSED), "Edsger's mail was refused 0 times instead of 1"),
        (plus(replace(GRACE_MAILED, email="x@y")), "there was a mail for x@y, who has not signed up"),
        (without(GRACE_PUT_OFF), "Grace's mail was put off 0 times instead of 1"),
        (plus(GRACE_PUT_OFF), "Grace's mail was put off 2 times instead of 1"),
        (instead(GRACE_PUT_OFF, replace(GRACE_PUT_OFF, at=0.5)), "Grace's mail came before the response"),
        (without(EDSGER_NOTED), "Edsger's sign-up was noted 0 times instead of 1"),
        (plus(GRACE_NOTED), "Grace's sign-up was noted 2 times instead of 1"),
        (without(FAILED), "0 background tasks failed instead of 1"),
        (plus(FAILED), "2 background tasks failed instead of 1"),
        (without(RAISED), "Edsger's failure is not in the log"),
        (plus(Logged(line="ERROR: Exception in ASGI")), "the application logged 'ERROR: Exception in ASGI'"),
    ],
)
def test_the_check_says_what_is_wrong(change: Callable[[Sequence[Moment]], list[Moment]], problem: str) -> None:
    """Whatever is missing, too much, wrong or in the wrong order is named."""
    assert problem in problems([GRACE, EDSGER], change(GOOD))


def test_the_timeline_shows_what_went_wrong_too() -> None:
    """Somebody without a response, a mail that was too early, and mail for strangers have lines of their own."""
    shown: list[Personal] = [
        Unanswered(at=1, email="ada@example.org", reason="ReadTimeout"),
        HeldInVain(at=2, email="alan@example.org"),
        Refused(at=3, email="x@y", reply="550"),
        PutOff(at=4, email="x@y", reply="421"),
    ]
    assert report(PEOPLE, shown, 0).splitlines() == [
        "  1000 ms  NOTHING   Ada        ReadTimeout",
        "  2000 ms  TOO EARLY Alan       a mail waited for the response, which did not come",
        "  3000 ms  refused   ?          550 for x@y",
        "  4000 ms  put off   ?          421 for x@y",
    ]


# The application, tested as a user would.


@injectable(scope=singleton_scope)
class KeepingMailer(Mailer):
    """A mailer that keeps what it would send."""

    def __init__(self, settings: MailSettings, tasks: BackgroundTasks) -> None:
        super().__init__(settings, tasks)
        self.sent: list[tuple[str, str]] = []

    async def send_welcome(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, username: str, email: str
    ) -> None:
        self.sent.append((username, email))


def module_with(**metadata: Any) -> testing.TestingModule:
    module: testing.TestingModule = testing.Test.create_test_module(**metadata)
    return module


def test_a_sign_up_adds_the_welcome_mail() -> None:
    """With recorded tasks: the controller answers, and the mail is among the tasks of the request."""
    tasks = RecordingBackgroundTasks()
    module = module_with(modules=[ApplicationModule]).override_provider(BackgroundTasks, use_value=tasks)
    response = module.get_test_client().post("/accounts/", json=ADA)
    assert (response.status_code, response.json()) == (201, {"status": "signed up"})
    tasks.one(Mailer.send_welcome, username="Ada", email="ada@example.org")
    tasks.one(audit, "Ada")


@BOTH_WAYS
def test_a_sign_up_sends_one_mail(path: str) -> None:
    """With a fake mailer, whose tasks really run: by either way it sends one mail."""
    module = module_with(
        controllers=[controllers.AccountsController],
        routers=[routers.router],
        modules=[BackgroundTasksModule],
        providers=[
            ProviderConfig(Mailer, use_class=KeepingMailer),
            ProviderConfig(MailSettings, use_value=MailSettings(host="mail.invalid", port=25)),
        ],
    )
    assert module.get_test_client().post(path, json=ADA).is_success
    mailer = module.get(Mailer)
    assert isinstance(mailer, KeepingMailer)
    assert mailer.sent == [("Ada", "ada@example.org")]


@BOTH_WAYS
@pytest.mark.parametrize(
    "wrong", [{"username": "Ada\nBcc: all@example.org"}, {"email": "ada@example.org\n"}, {"email": "a@b,c@d"}]
)
def test_what_could_break_out_of_a_mail_header_is_refused(path: str, wrong: dict[str, str]) -> None:
    """Such a sign-up is answered with 422 and adds no task."""
    tasks = RecordingBackgroundTasks()
    module = module_with(modules=[ApplicationModule]).override_provider(BackgroundTasks, use_value=tasks)
    assert module.get_test_client().post(path, json=ADA | wrong).status_code == 422
    tasks.assert_none()
