"""The demo of durable tasks: everybody is answered, the application is killed, started again, and every mail arrives.

``python -m examples.signup.demo.durable``; the exit code is 0 only if all that it promises has happened.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.signup.demo.application import serve
from examples.signup.demo.check import at_least_once, doubles, is_lost, problems
from examples.signup.demo.crash import Left, crash_problems, has_started_again, left_on
from examples.signup.demo.outcome import exit_code
from examples.signup.demo.people import BY_CONTROLLER as PEOPLE
from examples.signup.demo.post_office import PostOffice, mail_server
from examples.signup.demo.report import report
from examples.signup.demo.timeline import CutOff, Moment, StartedAgain, Timeline, Tried
from examples.signup.demo.visit import sign_up_all

_WHY = "; delivery is at least once, and the kill came before the file had heard that they had ended"


def main(application: str = "examples.signup.durable:application", *, patience: float = 30) -> int:
    """Run the demo and print what happens.

    Args:
        application: what uvicorn is to run.
        patience: seconds to wait for a first mail to be tried, and for all of them after the crash.

    Returns:
        The exit code: 0 if everything was as it must be, else 1.
    """
    return exit_code(_run(application, patience))


async def _run(application: str, patience: float) -> list[str]:
    timeline = Timeline()
    with TemporaryDirectory() as folder:
        file = Path(folder, "tasks.db")
        async with mail_server(PostOffice(PEOPLE, timeline, gate=has_started_again, patience=None)) as port:
            print(
                f"127.0.0.1:{port} is the mail server. It holds each mail until the application is back from its crash."
            )
            environment = {"SIGNUP_SMTP_PORT": str(port), "SIGNUP_TASKS": str(file)}
            since = await _crash(application, environment, timeline, patience)
            await _recover(application, environment, timeline, patience)
        left = await left_on(file, limit=len(PEOPLE))
    print(report(PEOPLE, timeline.moments, since), end="\n\n")
    _show(timeline.moments, left)
    # Once more now that everything has ended: there may be too much, too.
    wrong = [*_problems(timeline.moments), *crash_problems(PEOPLE, timeline.moments, left)]
    if not wrong:
        refused = sum(person.refused for person in PEOPLE)
        print(
            f"All {len(PEOPLE)} responses were successes before the kill, and no mail was out. All "
            f"{len(PEOPLE) - refused} mails have come since, one at a later attempt: the file kept them, "
            f"those on their way too. {refused} was refused and is dead on the file, with the reason. All are noted."
        )
    return wrong


async def _crash(application: str, environment: Mapping[str, str], timeline: Timeline, patience: float) -> float:
    """Answer everybody, and kill the application while mails are on their way; return since when there were people."""

    def is_tried(moments: Sequence[Moment]) -> bool:
        return any(isinstance(moment, Tried) for moment in moments)

    async with serve(application, environment, timeline) as server:
        print(f"{server.url} is the application, on a server in a process of its own, with its tasks on a file.")
        print(f"{len(PEOPLE)} people sign up at once.\n", flush=True)
        since = time.monotonic()
        await sign_up_all(server.url, PEOPLE, timeline)
        await timeline.until(is_tried, timeout=patience)
        await server.kill()
    return since


async def _recover(application: str, environment: Mapping[str, str], timeline: Timeline, patience: float) -> None:
    """Start the application again on the same file, and wait for every mail."""
    async with serve(application, environment, timeline):
        timeline.add(StartedAgain())
        await timeline.until(lambda moments: not _problems(moments) or is_lost(moments), timeout=patience)


def _problems(moments: Sequence[Moment]) -> list[str]:
    return problems(PEOPLE, moments, suffices=at_least_once)


def _show(moments: Sequence[Moment], left: Left) -> None:
    for entry in left.dead:
        print(f"dead on the file: {entry.name}, attempt {entry.attempt}: {entry.reason}")
    held = sum(isinstance(moment, CutOff) for moment in moments)
    print(f"mails on their way at the kill: {held}")
    twice = doubles(PEOPLE, moments)
    print(f"tasks that ran to their end more than once: {len(twice)}{_WHY if twice else ''}")
    print(*(f"twice: {each}\n" for each in twice), sep="")


if __name__ == "__main__":
    sys.exit(main())
