"""What has come of it all: whether each accepted task has been run, and why any was run twice."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bg_di.backend import Entry
from bg_di.backends.sqlite import SqliteBackend
from tests.chaos.application import MAX_DELIVERIES
from tests.chaos.driver import Answers, Plan
from tests.chaos.record import History, Run, read
from tests.chaos.windows import WINDOWS

_LOST_DELIVERY = re.compile(r"delivery \d+ was lost: its owner (\w+) (died|let its lease expire)")


@dataclass(frozen=True)
class Verdict:
    """What is wrong, and what was counted.

    Attributes:
        wrong: each broken promise, in words; empty if all were kept.
        told: the counts.
    """

    wrong: list[str]
    told: dict[str, object]


def judge(folder: Path, plan: Plan, answers: Answers) -> Verdict:
    """Compare what clients were told, what tasks wrote down and what is on the file."""
    history, entries = read(folder / "record"), _entries(folder)
    doubles = Counter(_doubles(history))
    states = Counter(entry.state for entry in entries.values())
    wrong = [
        *(f"nobody died {window}" for window in WINDOWS if history.windows[window] < plan.deaths),
        *(f"{task_id} was answered with success and is not there" for task_id in answers.accepted - entries.keys()),
        *(each for entry in entries.values() for each in _wrong_end(entry, history)),
        *(cause for cause in doubles if cause.startswith("without")),
    ]
    told = {
        "accepted": len(answers.accepted),
        "on the file": dict(states),
        "other answers": dict(answers.others),
        "deaths": dict(history.windows),
        "killed, stopped or poisoned": Counter(end for ends in history.ends.values() for end in ends if ":" not in end),
        "run twice, by cause": dict(doubles),
        "completed twice": sum(len(runs) > 1 for runs in history.ended.values()),
    }
    return Verdict(wrong, told)


def _entries(folder: Path) -> dict[str, Entry]:
    engine = SqliteBackend(folder / "tasks.db").open("chaos")
    try:
        return {entry.task_id: entry for entry in engine.entries(limit=10**9)}
    finally:
        engine.abandon()


def _wrong_end(entry: Entry, history: History) -> Iterator[str]:
    if entry.state == "succeeded":
        if not history.ended[entry.task_id]:
            yield f"{entry.task_id} has succeeded, and has not run to its end"
    elif entry.state == "dead":
        owners = [owner for owner, _ in _LOST_DELIVERY.findall(entry.reason or "")]
        if len(owners) != MAX_DELIVERIES:
            yield f"{entry.task_id} is dead, and not by the limit of deliveries: {entry.reason}"
        for owner in owners:
            if not history.ends[history.owners[owner]]:
                yield f"{entry.task_id} is dead, and {owner} was neither killed nor stopped"
    else:
        yield f"{entry.task_id} is {entry.state} in the end"


def _doubles(history: History) -> Iterator[str]:
    """Why each attempt that was started again had to be."""
    for task_id, runs in history.started.items():
        for run in _repeated(runs):
            ends = history.ends[run.pid]
            had_ended = "ended" if run in history.ended[task_id] else "not ended"
            yield f"{had_ended}, process {ends[0]}" if ends else f"without any cause: {task_id}, {run}"


def _repeated(runs: list[Run]) -> Iterator[Run]:
    """Each but the last of every attempt."""
    last = {run.attempt: run for run in runs}
    yield from (run for run in runs if run is not last[run.attempt])
