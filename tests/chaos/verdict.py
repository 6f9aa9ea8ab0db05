"""What has come of it all: whether each accepted task has been run, and why any was run twice."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.ground import Ground
from tests.chaos.record import History, Run
from tests.chaos.scene import Scene


@dataclass(frozen=True)
class Verdict:
    """What is wrong, and what was counted.

    Attributes:
        wrong: each broken promise, in words; empty if all were kept.
        told: the counts.
    """

    wrong: list[str]
    told: dict[str, object]


def judge(scene: Scene, ground: Ground) -> Verdict:
    """Compare what clients were told, what tasks wrote down and what is left on the engine."""
    history, answers = scene.reader.history(), scene.answers
    started, refused, unknown = set(history.started), history.tasks("refused"), history.tasks("unknown")
    doubles = Counter(_doubles(history, ground))
    wrong = [
        *(f"nobody died: {each.name}" for each in ground.windows if history.windows[each.name] < scene.plan.deaths),
        *(f"{task_id} was refused and ran" for task_id in refused & started),
        *ground.wrong(history),
        *(cause for cause in doubles if cause.startswith("without")),
    ]
    told = {
        "accepted": len(answers.accepted),
        **ground.told(history),
        "other answers": dict(answers.others),
        "refused": len(refused),
        "unknown": {"ran": len(unknown & started), "did not": len(unknown - started)},
        "ran without any answer": len(started - answers.accepted - unknown - refused),
        "deaths": dict(history.windows),
        "killed, stopped or poisoned": dict(
            Counter(end["what"] for ends in history.ends.values() for end in ends if ":" not in end["what"])
        ),
        "run twice, by cause": dict(doubles),
        "completed twice": sum(len(runs) > 1 for runs in history.ended.values()),
    }
    return Verdict(wrong, told)


def _doubles(history: History, ground: Ground) -> Iterator[str]:
    """Why each attempt that was started again had to be."""
    for task_id, runs in history.started.items():
        for run, after in _repeated(runs):
            cause = ground.cause(history, task_id, run, after)
            had_ended = "ended" if run in history.ended[task_id] else "not ended"
            yield f"{had_ended}, {cause}" if cause else f"without any cause: {task_id}, {run}"


def _repeated(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Each start of an attempt that was not the last one of it, and the next one."""
    by_attempt: dict[int, list[Run]] = {}
    for run in runs:
        by_attempt.setdefault(run.attempt, []).append(run)
    for same in by_attempt.values():
        yield from pairwise(same)
