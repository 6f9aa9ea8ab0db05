"""The check of the limits on speed can fail; what durable tasks cost, and how the source is built, can be measured."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.__main__ import failed
from benchmarks.durable import report as durable
from benchmarks.engines.limits import judged as judged_durable
from benchmarks.limits import INSTRUCTIONS, judged
from benchmarks.rabbitmq import report as rabbitmq
from benchmarks.structure import described
from benchmarks.subjects import Subject

# What Ellar and Starlette take, and what bg_di takes if it uses each limit to the full.
THERE = {("ellar", 0): 1000.0, ("ellar", 1): 1100.0, ("ellar", 10): 1200.0, ("starlette", 100): 2000.0}
FULL = {("bg_di", 0): 1020.0, ("bg_di", 1): 1060.0, ("bg_di", 10): 1110.0, ("bg_di", 100): 2120.0}
DECLARED = {("declared", 0): 1020.0, ("declared", 100): 2230.0, ("timed", 0): 1020.0, ("timed", 100): 3020.0}
SERVICE = {("resolving", 1): 1200.0, ("service", 0): 1020.0, ("service", 1): 1280.0}
OBSERVED = {("idle", 0): 1020.0, ("idle", 100): 2175.0}
ENGINED = {("engined", 0): 1030.2, ("engined", 1): 1070.6}


def measured(**changed: float) -> Mapping[Subject, float]:
    """Counts by subject, some of them changed: ``bg_di_100=…``."""
    counts = {
        Subject(stack, tasks): count
        for (stack, tasks), count in {**THERE, **FULL, **DECLARED, **SERVICE, **OBSERVED, **ENGINED}.items()
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
            {"engined_0": 1030.4},
            "a route without tasks, beside an engine, against without engines: 1.0102, at most 1.01",
        ),
        (
            {"engined_1": 1071.0},
            "one with an in-process task, beside an engine, against without: 1.0104, at most 1.01",
        ),
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


# Of a round: seconds until a task was accepted, most of them and the slowest.
BARE = [*[1.0] * 98, 2.0, 2.0]


def test_enqueuing_at_its_limit_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """A limit is the largest value that is allowed."""
    assert not failed(judged_durable([[1.15 * seconds for seconds in BARE]], [BARE], "the bare one"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("ours", "named"),
    [
        (
            [*[1.2] * 98, 2.0, 2.0],
            "p50 of enqueuing a task, idle, against the bare one: 1.2000",
        ),
        (
            [*[1.0] * 98, 4.0, 4.0],
            "p99 of enqueuing a task, idle, against the bare one: 2.0000",
        ),
    ],
)
def test_slow_enqueuing_fails_and_is_named(ours: list[float], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Most of it, or the slowest."""
    assert failed(judged_durable([ours], [BARE], "the bare one"))
    assert capsys.readouterr().err.startswith(f"over the limit: {named}")


@pytest.mark.parametrize(
    ("module", "results", "title"),
    [
        ("benchmarks.durable", durable.RESULTS, "# What durable tasks cost\n"),
        ("benchmarks.rabbitmq", rabbitmq.RESULTS, "# What durable tasks cost on RabbitMQ\n"),
    ],
)
def test_everything_about_durable_tasks_can_be_measured(module: str, results: Path, title: str) -> None:
    """Also where no other engine is installed. How long anything takes is not looked at, and nothing is written."""
    before = results.read_bytes() if results.exists() else None
    run = subprocess.run(
        [sys.executable, "-m", module, "--quick"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(title)
    assert "| bg_di | 10 of 10 | 6 of 6 |" in run.stdout
    assert before == (results.read_bytes() if results.exists() else None)


ABOVE = """
from shop.below import names

__all__ = ["sold"]


def sold() -> list[str]:
    \"\"\"Not counted.\"\"\"
    # Nor is this.
    found = [
        *names(),
    ]

    return found
"""
BELOW = """
def names() -> list[str]:
    import shop.beside

    return [shop.beside.NAME]
"""


def test_the_structure_of_a_package_is_told(tmp_path: Path) -> None:
    """Its files and their functions, and what is imported against the layers."""
    shop = tmp_path / "shop"
    for name, source in {"__init__": ABOVE, "below": BELOW, "beside": 'NAME = "shop"\n', "long": "1\n" * 201}.items():
        (shop / f"{name}.py").parent.mkdir(exist_ok=True)
        (shop / f"{name}.py").write_text(source)
    (tmp_path / "pyproject.toml").write_text(
        """
        [[tool.importlinter.contracts]]
        type = "layers"
        containers = ["shop"]
        layers = ["long", "beside", "below"]
        [[tool.importlinter.contracts]]
        type = "layers"
        layers = ["shop.below | shop.beside"]
        [[tool.importlinter.contracts]]
        type = "layers"
        layers = ["shop.beside : shop.below"]
        """
    )
    told = described(shop)
    for row in (
        "| Files | 4 |",
        "| Files of more than 200 lines | `shop/long.py` 201 |",
        "| Functions | 2 |",
        "| Length of a function, median | 3 |",
        "| Imports upwards | 2 |",
        "| Imports of its own inside functions | 1 |",
        "| Public names | 1 |",
    ):
        assert row in told


def test_nothing_of_ours_is_imported_against_the_layers() -> None:
    """Nor where a function would hide it."""
    told = described(Path(__file__).parents[1] / "bg_di")
    assert "| Imports upwards | 0 |" in told
    assert "| Imports of its own inside functions | 0 |" in told
