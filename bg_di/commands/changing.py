"""``retry`` and ``prune``: what becomes of tasks that have ended."""

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence

from bg_di.backends import Engine
from bg_di.backends.capabilities import incapable
from bg_di.commands.application import Application
from bg_di.commands.asking import able, ask, some_able
from bg_di.commands.outcome import DONE, NOT_DONE, WrongUsage
from bg_di.commands.output import say


def retry_tasks(application: Application, arguments: Namespace) -> int:
    """Put dead tasks back, as if they had just been accepted."""
    if bool(arguments.task_ids) is arguments.all_dead:
        raise WrongUsage("give the ids of dead tasks, or --all-dead")

    names, unable = some_able(application, arguments.backend, "dead")
    telling, _ = able(application, names, "listing")

    def question(engines: Mapping[str, Engine]) -> dict[str, str | None]:
        back = [task_id for engine in engines.values() for task_id in engine.retry(arguments.task_ids or None)]
        tellers = [engines[name] for name in telling]
        wanted = arguments.task_ids or [*back, *_dead(tellers)]
        return {task_id: None if task_id in back else _why_not(tellers, task_id) for task_id in wanted}

    asked = ask(application, names, question)
    for task_id, why_not in asked.items():
        if why_not is None:
            print(f"{task_id} is put back")
        else:
            say(f"{task_id} is not put back: {why_not}")
    if unable:
        say(f"{incapable(unable, 'dead')}: none of its tasks is put back")
    if not asked:
        say("there are no dead tasks")
    return DONE if not any(asked.values()) else NOT_DONE


def _dead(tellers: Sequence[Engine]) -> list[str]:
    return [entry.task_id for engine in tellers for entry in engine.entries("dead", limit=engine.counts().dead)]


def _why_not(tellers: Sequence[Engine], task_id: str) -> str:
    """Why a task is not put back, as far as there are engines that can tell."""
    entry = next(filter(None, (engine.show(task_id) for engine in tellers)), None)
    if entry is None:
        return "there is no such task, or it has been pruned"
    if entry.state == "dead":
        return "another task has been accepted for its unique key"
    return f"it is {entry.state}, not dead"


def prune_tasks(application: Application, arguments: Namespace) -> int:
    """Forget tasks that ended so long ago."""
    names, unable = some_able(application, arguments.backend, "dead")
    before = time.time() - arguments.before
    pruned = ask(
        application,
        names,
        lambda engines: {name: engine.prune(before=before, dead=arguments.dead) for name, engine in engines.items()},
    )
    for name, count in pruned.items():
        print(f"{count} pruned on {name!r}")
    if unable:
        say(f"{incapable(unable, 'dead')}: nothing is pruned there")
    return DONE
