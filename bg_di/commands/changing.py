"""``retry`` and ``prune``: what becomes of tasks that have ended."""

import time
from argparse import Namespace
from collections.abc import Mapping

from bg_di.backend import Engine
from bg_di.commands.application import Application
from bg_di.commands.asking import ask, in_words, telling
from bg_di.commands.outcome import DONE, NOT_DONE, WrongUsage
from bg_di.commands.output import say


def retry_tasks(application: Application, arguments: Namespace) -> int:
    """Put dead tasks back, as if they had just been accepted."""
    if bool(arguments.task_ids) is arguments.all_dead:
        raise WrongUsage("give the ids of dead tasks, or --all-dead")

    def question(engines: Mapping[str, Engine]) -> dict[str, str | None]:
        return {task_id: _retry(engines, task_id) for task_id in arguments.task_ids or _dead(engines)}

    names, unable = telling(application, arguments.backend)
    asked = ask(application, names, question)
    for task_id, why_not in asked.items():
        if why_not is None:
            print(f"{task_id} is put back")
        else:
            say(f"{task_id} is not put back: {why_not}")
    if unable:
        say(f"{in_words(unable)}: none of its tasks is put back")
    if not asked:
        say("there are no dead tasks")
    return DONE if not any(asked.values()) else NOT_DONE


def _dead(engines: Mapping[str, Engine]) -> list[str]:
    return [
        entry.task_id for engine in engines.values() for entry in engine.entries("dead", limit=engine.counts().dead)
    ]


def _retry(engines: Mapping[str, Engine], task_id: str) -> str | None:
    """Put a task back; return why not, if it cannot be."""
    if any(engine.retry(task_id) for engine in engines.values()):
        return None
    entry = next(filter(None, (engine.show(task_id) for engine in engines.values())), None)
    if entry is None:
        return "there is no such task, or it has been pruned"
    if entry.state == "dead":
        return "another task has been accepted for its unique key"
    return f"it is {entry.state}, not dead"


def prune_tasks(application: Application, arguments: Namespace) -> int:
    """Forget tasks that ended so long ago."""
    names, unable = telling(application, arguments.backend)
    before = time.time() - arguments.before
    pruned = ask(
        application,
        names,
        lambda engines: {name: engine.prune(before=before, dead=arguments.dead) for name, engine in engines.items()},
    )
    for name, count in pruned.items():
        print(f"{count} pruned on {name!r}")
    if unable:
        say(f"{in_words(unable)}: nothing is pruned there")
    return DONE
