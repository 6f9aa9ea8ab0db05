"""The command line, as it says itself what can be typed."""

import os
from contextlib import redirect_stdout, suppress
from io import StringIO
from typing import Final
from unittest.mock import patch

from bg_di.commands.main import main

_PROG: Final = "python -m bg_di"
_WIDTH: Final = "80"


def command_line() -> str:
    """The help of each command, as it is printed."""
    whole = _help([])
    names = [
        line.split()[0]
        for line in whole.partition("COMMAND\n")[2].splitlines()
        if line.startswith("    ") and line[4] != " "
    ]
    return "\n\n".join([_shown([]), *(f"## {name}\n\n{_shown([name])}" for name in names)])


def _shown(typed: list[str]) -> str:
    return f"```console\n$ {' '.join([_PROG, *typed, '--help'])}\n{_help(typed)}```"


def _help(typed: list[str]) -> str:
    printed = StringIO()
    with patch.dict(os.environ, COLUMNS=_WIDTH), redirect_stdout(printed), suppress(SystemExit):
        main([*typed, "--help"], prog=_PROG)
    return printed.getvalue()
