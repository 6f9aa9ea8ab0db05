"""A command, from what was typed to how it ended."""

from collections.abc import Callable, Sequence

from ellar.app import App

from bg_di.commands.application import Application
from bg_di.commands.outcome import NOT_DONE, CommandFailed
from bg_di.commands.output import say
from bg_di.commands.parser import parser
from bg_di.commands.target import import_application
from bg_di.errors import BackendUnavailable


def main(typed: Sequence[str], *, prog: str = "python -m bg_di", app: Callable[[], App] | None = None) -> int:
    """Run a command.

    Args:
        typed: the command and what follows it.
        prog: what was typed before it.
        app: gives the application, if it is not typed.

    Returns:
        How the process is to end: 0 done; 1 not found, not done or not ready; 2 wrong usage.

    Raises:
        SystemExit: what was typed is no command, or asked for help. What the application's own code raises while it
            is imported is left as it is.
    """
    arguments = parser(prog, with_target=app is None).parse_args(typed)
    try:
        made = import_application(arguments.target) if app is None else app()
        ended: int = arguments.run(Application.of(made), arguments)
    except CommandFailed as failed:
        say(str(failed))
        return failed.code
    except BackendUnavailable as error:
        say(str(error))
        return NOT_DONE
    return ended
