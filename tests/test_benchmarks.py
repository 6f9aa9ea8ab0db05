"""The check of the limits on speed can fail."""

from collections.abc import Mapping

import pytest

from benchmarks.__main__ import failed
from benchmarks.limits import INSTRUCTIONS, judged
from benchmarks.subjects import Subject

# What Ellar and Starlette take, and what bg_di takes if it uses each limit to the full.
THERE = {("ellar", 0): 1000.0, ("ellar", 1): 1100.0, ("ellar", 10): 1200.0, ("starlette", 100): 2000.0}
FULL = {("bg_di", 0): 1020.0, ("bg_di", 1): 1060.0, ("bg_di", 10): 1110.0, ("bg_di", 100): 2120.0}
DECLARED = {("declared", 0): 1020.0, ("declared", 100): 2230.0, ("timed", 0): 1020.0, ("timed", 100): 3020.0}
SERVICE = {("resolving", 1): 1200.0, ("service", 0): 1020.0, ("service", 1): 1280.0}
OBSERVED = {("idle", 0): 1020.0, ("idle", 100): 2175.0}


def measured(**changed: float) -> Mapping[Subject, float]:
    """Counts by subject, some of them changed: ``bg_di_100=…``."""
    counts = {
        Subject(stack, tasks): count
        for (stack, tasks), count in {**THERE, **FULL, **DECLARED, **SERVICE, **OBSERVED}.items()
    }
    return {**counts, **{Subject.of(":".join(key.rsplit("_", 1))): count for key, count in changed.items()}}


def test_measurements_at_their_limits_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """A limit is the largest value that is allowed."""
    assert not failed(judged(INSTRUCTIONS, measured()))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("over", "named"),
    [
        ({"bg_di_1": 1061.0}, "added by 1 task, against Ellar's built-in feature: 0.4100, at most 0.40"),
        ({"bg_di_10": 1111.0}, "added by 10 tasks, against Ellar's built-in feature: 0.4550, at most 0.45"),
        ({"bg_di_100": 2140.0}, "added by 100 tasks, against Starlette's collection alone: 0.5600, at most 0.55"),
        ({"declared_100": 2241.0}, "added by 100 declared tasks, against the same undeclared: 1.1100, at most 1.10"),
        (
            {"service_1": 1282.0},
            "added by 1 task of a service, against a handler in Ellar asking for it: 1.3100, at most 1.30",
        ),
        ({"idle_100": 2186.0}, "added by 100 tasks and an idle observer, against without it: 1.0600, at most 1.05"),
        (
            {"timed_100": 3040.0},
            "added by 100 tasks with a timeout, against Starlette's without one: 1.0100, at most 1.00",
        ),
    ],
)
def test_a_measurement_over_its_limit_fails_and_is_named(
    over: dict[str, float], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for each, with what was measured and what is allowed."""
    assert failed(judged(INSTRUCTIONS, measured(**over)))
    assert capsys.readouterr().err == f"over the limit: {named}\n"


def test_a_slow_route_fails_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Also if everything that tasks add is within its limit."""
    slower = {f"bg_di_{tasks}": FULL["bg_di", tasks] + 10 for tasks in (0, 1, 10, 100)}
    assert failed(judged(INSTRUCTIONS, measured(**slower)))
    assert capsys.readouterr().err == (
        "over the limit: a route that uses no tasks, against the same in plain Ellar: 1.0300, at most 1.02\n"
    )
