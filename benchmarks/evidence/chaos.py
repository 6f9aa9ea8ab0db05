"""What chaos has counted."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.records import RunRecord
from benchmarks.report import table

ENGINES = {"chaos-sqlite": "SQLite", "chaos-rabbitmq": "RabbitMQ"}

_HOW = {"killed": "killed at any time", "stopped": "stopped until taken for dead", "poison": "poisoned by a task"}
_OF_THE_BROKER = ("broker", "memory", "queue", "dead-letter")

Runs = Mapping[str, RunRecord]


def outcome_table(runs: Runs) -> str:
    """What has become of the tasks, one column for each engine."""
    return _beside(runs, _outcome)


def trouble_table(runs: Runs) -> str:
    """What went wrong meanwhile, and how often."""
    return _beside(runs, _trouble)


def _beside(runs: Runs, counted: Callable[[Any], Mapping[str, str]]) -> str:
    columns = {ENGINES[name]: counted(run.found) for name, run in runs.items()}
    whats = dict.fromkeys(what for column in columns.values() for what in column)
    return table(["", *columns], [[what, *(column.get(what, "—") for column in columns.values())] for what in whats])


def _outcome(found: Mapping[str, Any]) -> dict[str, str]:
    told, wrong = found["told"], found["wrong"]
    without_cause = sum(count for cause, count in _repeated(told) if cause.startswith("without"))
    return {
        "tasks that clients were told are accepted": _number(told["accepted"]),
        "**of these lost**": f"**{sum('is lost' in each or 'is not there' in each for each in wrong)}**",
        "**promises seen broken, of any kind**": f"**{len(wrong)}**",
        **{what: _number(count) for what, count in _ends(told).items()},
        "attempts that were started again, for a cause": _number(
            sum(count for _, count in _repeated(told)) - without_cause
        ),
        "**attempts that were started again, for none**": f"**{without_cause}**",
        "tasks that came to their end twice": _number(told["completed twice"]),
        "tasks refused, of which the client was told so": _number(told["refused"]),
        "· that ran all the same": _number(sum("was refused and ran" in each for each in wrong)),
        "tasks of which the client was told that they may run, and that ran": _number(told["unknown"]["ran"]),
        "· that did not": _number(told["unknown"]["did not"]),
    }


def _trouble(found: Mapping[str, Any]) -> dict[str, str]:
    told = found["told"]
    died = {f"process died: {window}": count for window, count in sorted(told["deaths"].items())}
    besides = {f"process {_HOW[how]}": count for how, count in sorted(told["killed, stopped or poisoned"].items())}
    disturbed = {_whose(how): count for how, count in sorted(told.get("disturbed", {}).items())}
    return {what: _number(count) for what, count in (died | besides | disturbed).items()}


def _whose(how: str) -> str:
    """What is not said to be the broker's was done to the connection of a process."""
    return how if how.startswith(_OF_THE_BROKER) else f"connection {how}"


def _repeated(told: Mapping[str, Any]) -> list[tuple[str, int]]:
    return list(told["run twice, by cause"].items())


def _ends(told: Mapping[str, Any]) -> dict[str, int]:
    """By the file's own account, or by the tasks' where a broker keeps nothing of those that have run."""
    if "on the file" in told:
        ended, dead = told["on the file"]["succeeded"], told["on the file"]["dead"]
    else:
        ended, dead = told["ran to the end"], told["dead"]["all"]
    return {"tasks that have run to their end": ended, "tasks kept as dead, with the reason": dead}


def _number(value: int) -> str:
    return f"{value:,}"
