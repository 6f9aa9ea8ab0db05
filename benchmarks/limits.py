"""The limits that bg_di keeps, as ratios of two costs measured in one run."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.subjects import Cost, Subject, added, alone, request, resolved, route


@dataclass(frozen=True, slots=True)
class Limit:
    """`ours` may be at most so many times `theirs`; by default as often as it takes, which is shown.

    Attributes:
        work: what both do.
        against: what `theirs` is, in words.
    """

    work: str
    against: str
    ours: Cost
    theirs: Cost
    at_most: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio that was measured, beside what it may be."""

    work: str
    against: str
    measured: float
    at_most: float

    @property
    def holds(self) -> bool:
        return self.measured <= self.at_most


INSTRUCTIONS = (
    Limit("a route that uses no tasks", "the same in plain Ellar", route("bg_di"), route("ellar"), 1.02),
    Limit("added by 1 task", "Ellar's built-in feature", added("bg_di", 1), added("ellar", 1), 0.40),
    Limit("added by 10 tasks", "Ellar's built-in feature", added("bg_di", 10), added("ellar", 10), 0.45),
    Limit("added by 100 tasks", "Starlette's collection alone", added("bg_di", 100), alone(100), 0.55),
    Limit("added by 100 declared tasks", "the same undeclared", added("declared", 100), added("bg_di", 100), 1.10),
    Limit("added by 100 tasks with a timeout", "Starlette's without one", added("timed", 100), alone(100), 1.00),
    Limit("added by 1 task of a service", "a handler in Ellar asking for it", added("service", 1), resolved(), 1.30),
    Limit("added by 100 tasks and an idle observer", "without it", added("idle", 100), added("bg_di", 100), 1.05),
    Limit("a route without tasks, beside an engine", "without engines", route("engined"), route("bg_di"), 1.01),
    Limit("one with an in-process task, beside an engine", "without", request("engined", 1), request("bg_di", 1), 1.01),
)
# What is not limited, but should be known.
SHOWN = (
    *INSTRUCTIONS,
    Limit("added by 10 tasks and an observer of everything", "without it", added("listening", 10), added("bg_di", 10)),
)
SLOWER_BESIDE_SLOW_TASKS = 2.0


def subjects_of(limits: Iterable[Limit]) -> list[Subject]:
    """All that must be measured to judge `limits`."""
    subjects = {subject for limit in limits for cost in (limit.ours, limit.theirs) for subject in cost.subjects()}
    return sorted(subjects, key=lambda subject: (subject.stack, subject.tasks))


def cost_in(measured: Mapping[Subject, float], cost: Cost) -> float:
    return measured[cost.subject] - (measured[cost.over] if cost.over else 0)


def judged(limits: Iterable[Limit], measured: Mapping[Subject, float]) -> list[Ratio]:
    """Put each limit's ratio beside the limit."""
    return [
        Ratio(
            work=limit.work,
            against=limit.against,
            measured=cost_in(measured, limit.ours) / cost_in(measured, limit.theirs),
            at_most=limit.at_most,
        )
        for limit in limits
    ]


def complaints(ratios: Iterable[Ratio]) -> list[str]:
    """One line for each ratio over its limit, naming it; none if all hold."""
    return [
        f"over the limit: {ratio.work}, against {ratio.against}: {ratio.measured:.4f}, at most {ratio.at_most:.2f}"
        for ratio in ratios
        if not ratio.holds
    ]
