"""``list`` and ``show``: how tasks stand."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Final

from bg_di.backends import Engine, Entry
from bg_di.backends.capabilities import incapable
from bg_di.commands.application import Application
from bg_di.commands.asking import ask, some_able
from bg_di.commands.outcome import DONE, CommandFailed
from bg_di.commands.output import as_fields, print_fields, print_json, print_table, say

# What is listed to read; scripts get all.
_SHOWN: Final = ("task_id", "backend", "state", "since", "name", "attempt", "deliveries", "reason")


def list_tasks(application: Application, arguments: Namespace) -> int:
    """List the tasks that were accepted last."""

    def question(engines: Mapping[str, Engine]) -> list[tuple[str, Entry]]:
        return [
            (name, entry)
            for name, engine in engines.items()
            for entry in engine.entries(arguments.state, limit=arguments.limit)
        ]

    names, unable = some_able(application, arguments.backend, "listing")
    # Each engine gives its last ones first, and those of one moment in an order of its own.
    found = sorted(ask(application, names, question), key=lambda each: -each[1].added_at)
    listed = [as_fields(*each) for each in found[: arguments.limit]]
    if arguments.json:
        print_json(listed)
    elif listed:
        print_table([_head(key) for key in _SHOWN], [[fields[key] for key in _SHOWN] for fields in listed])
    else:
        say("there are no such tasks")
    if unable:
        say(f"{incapable(unable, 'listing')}: theirs are not listed")
    return DONE


def show_task(application: Application, arguments: Namespace) -> int:
    """Show one task."""

    def question(engines: Mapping[str, Engine]) -> dict[str, Any] | None:
        for name, engine in engines.items():
            entry = engine.show(arguments.task_id)
            if entry is not None:
                return as_fields(name, entry)
        return None

    names, unable = some_able(application, arguments.backend, "listing")
    found = ask(application, names, question)
    if found is None:
        elsewhere = f"; {incapable(unable, 'listing')}" if unable else ""
        raise CommandFailed(f"there is no task {arguments.task_id!r}, or it has been pruned{elsewhere}")
    if found["task_id"] != arguments.task_id:
        say(f"{arguments.task_id!r} was not accepted as a task of its own: by its unique key, this one stands for it")
    if arguments.json:
        print_json(found)
    else:
        print_fields({_head(key).lower(): value for key, value in found.items()})
    return DONE


def _head(key: str) -> str:
    return key.upper().replace("_", " ")
