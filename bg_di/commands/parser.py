"""What can be typed."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any, Final, get_args

from bg_di.backends import StoredState
from bg_di.commands.changing import prune_tasks, retry_tasks
from bg_di.commands.check import check
from bg_di.commands.listing import list_tasks, show_task
from bg_di.commands.worker import work

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MODULE_APP: Final = "an Ellar application, or a function that makes one, such as shop.server:app"


def parser(prog: str, *, with_target: bool) -> ArgumentParser:
    """The parser of all commands.

    Args:
        prog: what is typed before a command.
        with_target: whether ``MODULE:APP`` is typed after it.
    """
    whole = ArgumentParser(prog, description="Background tasks on the engines of an application.", allow_abbrev=False)
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[..., int], about: str) -> ArgumentParser:
        one = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        one.set_defaults(run=run)
        if with_target:
            one.add_argument("target", metavar="MODULE:APP", help=_MODULE_APP)
        one.add_argument(
            "--backend", metavar="NAME", action="append", default=[], help="only this one; may be given several times"
        )
        return one

    command("worker", work, "Run what the engines deliver, until SIGTERM or SIGINT; a second one ends at once.")
    _list(command("list", list_tasks, "List the tasks that were accepted last, the last one first."))
    _show(command("show", show_task, "Show how one task stands. Arguments of tasks are never shown."))
    _retry(command("retry", retry_tasks, "Put dead tasks back, as if they had just been accepted."))
    _prune(command("prune", prune_tasks, "Forget tasks that have succeeded or were cancelled, or that are dead."))
    _check(command("check", check, "Tell whether the engines are ready, and how much there is to do."))
    return whole


def _list(command: ArgumentParser) -> None:
    command.add_argument("--state", choices=get_args(StoredState), help="only tasks in this state")
    command.add_argument("--limit", type=_above_zero, default=50, metavar="N", help="so many (default: 50)")
    _json(command)


def _show(command: ArgumentParser) -> None:
    command.add_argument("task_id", metavar="TASK_ID")
    _json(command)


def _retry(command: ArgumentParser) -> None:
    command.add_argument("task_ids", metavar="TASK_ID", nargs="*")
    command.add_argument("--all-dead", action="store_true", help="all that are dead")


def _prune(command: ArgumentParser) -> None:
    about = "only what ended longer ago than this: a number and s, m, h, d or w, such as 7d"
    command.add_argument("--before", type=_age, required=True, metavar="AGE", help=about)
    command.add_argument("--dead", action="store_true", help="what is dead, instead of what has succeeded")


def _check(command: ArgumentParser) -> None:
    command.add_argument("--max-backlog", type=_not_negative, metavar="N", help="not ready if more tasks wait")
    about = "not ready if a task has been due for longer"
    command.add_argument("--max-age", type=_not_negative_seconds, metavar="SECONDS", help=about)
    command.add_argument("--max-dead", type=_not_negative, metavar="N", help="not ready if more tasks are dead")
    _json(command)


def _json(command: ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")


def _age(typed: str) -> float:
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", typed, re.ASCII)
    if matched is None:
        raise ArgumentTypeError(f"{typed!r} is no age: give a number and s, m, h, d or w, such as 7d")
    return float(matched[1]) * _SECONDS[matched[2]]


def _above_zero(typed: str) -> int:
    return int(_number(typed, r"0*[1-9]\d*", "a number of at least 1"))


def _not_negative(typed: str) -> int:
    return int(_number(typed, r"\d+", "a number that is not negative"))


def _not_negative_seconds(typed: str) -> float:
    return float(_number(typed, r"\d+(?:\.\d+)?", "seconds that are not negative"))


def _number(typed: str, pattern: str, wanted: str) -> Any:
    if re.fullmatch(pattern, typed, re.ASCII) is None:
        raise ArgumentTypeError(f"{typed!r}: give {wanted}")
    return typed
