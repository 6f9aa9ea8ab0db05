"""How commands end. Scripts may rely on the numbers."""

from typing import Final

DONE: Final = 0
NOT_DONE: Final = 1
WRONG_USAGE: Final = 2


class CommandFailed(Exception):
    """A command has not done what it was asked for; the message says why, and what to do."""

    code = NOT_DONE


class WrongUsage(CommandFailed):
    """What was typed can never be done, as it is or with this application."""

    code = WRONG_USAGE
