"""The same commands in ``ellar``, where ellar-cli is installed."""

import sys
from collections.abc import Iterator
from typing import Any, Final

from bg_di.commands.main import main

_NAME: Final = "background-tasks"


class EllarCommands:
    """What ellar-cli finds at the module: made when it looks, so that nobody else imports what it is made of."""

    def __iter__(self) -> Iterator[Any]:
        import click
        from ellar_cli.constants import ELLAR_META

        # All that follows is left to our own parser. The function is a plain one, which click runs in the main thread.
        @click.command(
            _NAME,
            short_help="Background tasks on the engines of the application.",
            add_help_option=False,
            context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        )
        @click.argument("typed", nargs=-1, type=click.UNPROCESSED)
        @click.pass_context
        def command(context: click.Context, typed: tuple[str, ...]) -> None:
            project = context.meta[ELLAR_META]
            sys.exit(main(typed, prog=context.command_path, app=project.import_application))

        yield command
