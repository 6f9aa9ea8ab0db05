"""What chaos has counted."""

from collections.abc import Mapping
from typing import Any

from benchmarks.records import RunRecord
from benchmarks.report import table

ENGINES = {"chaos-sqlite": "SQLite", "chaos-rabbitmq": "RabbitMQ"}


def counts_table(runs: Mapping[str, RunRecord]) -> str:
    """One column for each engine."""
    columns = {ENGINES[name]: _counted(run.found) for name, run in runs.items()}
    whats = dict.fromkeys(what for column in columns.values() for what in column)
    rows = [[what, *(column.get(what, "—") for column in columns.values())] for what in whats]
    return table(["", *columns], rows)


def _counted(found: Mapping[str, Any]) -> dict[str, str]:
    told = found["told"]
    broken = {cause: count for cause, count in told["run twice, by cause"].items() if cause.startswith("without")}
    return {
        "tasks that clients were told are accepted": _number(told["accepted"]),
        "**of these lost**": f"**{sum('is lost' in wrong or 'is not there' in wrong for wrong in found['wrong'])}**",
        "**any promise seen broken**": f"**{len(found['wrong'])}**",
        **{f"tasks {how} in the end": _number(count) for how, count in _ends(told).items()},
        "processes that died in a narrow window": _number(sum(told["deaths"].values())),
        **{f"· {window}": _number(count) for window, count in told["deaths"].items()},
        "processes killed, stopped or poisoned besides": _number(sum(told["killed, stopped or poisoned"].values())),
        **{f"· {how}": _number(count) for how, count in told.get("disturbed", {}).items()},
        "tasks started again after a death or a cut, each with its cause": _number(
            sum(told["run twice, by cause"].values()) - sum(broken.values())
        ),
        "**tasks started again without a cause**": f"**{sum(broken.values())}**",
        "tasks that ended twice": _number(told["completed twice"]),
        "tasks refused, and the client told so": _number(told["refused"]),
        "seed": f"{found['plan']['seed']}",
    }


def _ends(told: Mapping[str, Any]) -> dict[str, int]:
    """What the engine's own account is, or what tasks wrote down where it keeps none of those that have run."""
    if "on the file" in told:
        return {"run to their end": told["on the file"]["succeeded"], "kept as dead": told["on the file"]["dead"]}
    return {"run to their end": told["ran to the end"], "kept as dead": told["dead"]["all"]}


def _number(value: int) -> str:
    return f"{value:,}"
