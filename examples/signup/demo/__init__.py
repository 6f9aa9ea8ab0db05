"""The demo: a real mail server, the application on a real server, and twenty people who sign up at once."""

import time

from examples.signup.demo.application import serve
from examples.signup.demo.check import is_lost, problems
from examples.signup.demo.outcome import exit_code
from examples.signup.demo.people import PEOPLE
from examples.signup.demo.post_office import PostOffice, mail_server
from examples.signup.demo.report import report
from examples.signup.demo.timeline import Timeline
from examples.signup.demo.visit import sign_up_all

MAILED_WITHIN = 30


def main(application: str = "examples.signup.server:application", *, patience: float = 10) -> int:
    """Run the demo and print what happens.

    Args:
        application: what uvicorn is to run.
        patience: seconds for which the mail server holds a mail whose sign-up has not been answered.

    Returns:
        The exit code: 0 if everything was as it must be, else 1.
    """
    return exit_code(_run(application, patience))


async def _run(application: str, patience: float) -> list[str]:
    timeline = Timeline()
    async with (
        mail_server(PostOffice(PEOPLE, timeline, patience=patience)) as port,
        serve(application, {"SIGNUP_SMTP_PORT": str(port)}, timeline) as server,
    ):
        print(f"{server.url} is the application, on a server in a process of its own.")
        print(f"127.0.0.1:{port} is the mail server. It holds each mail until the sign-up has been answered.")
        print(f"{len(PEOPLE)} people sign up at once.\n", flush=True)
        since = time.monotonic()
        await sign_up_all(server.url, PEOPLE, timeline)
        await timeline.until(lambda moments: not problems(PEOPLE, moments) or is_lost(moments), timeout=MAILED_WITHIN)
    print(report(PEOPLE, timeline.moments, since), end="\n\n")
    # Once more now that everything has ended: there may be too much, too.
    wrong = problems(PEOPLE, timeline.moments)
    if not wrong:
        refused = sum(person.refused for person in PEOPLE)
        print(
            f"All {len(PEOPLE)} responses were successes. {len(PEOPLE) - refused} mails are in the mailbox, each came "
            f"after its response, one at the second try. {refused} was refused: its failure is in the log, and nobody "
            "else noticed. The sign-ups are noted, also of the refused one."
        )
    return wrong
