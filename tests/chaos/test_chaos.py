"""Nothing that was accepted is lost, whatever goes wrong and wherever. ``make chaos`` is the same, and longer."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(["sqlite", "--tasks=1000", "--deaths=4", "--times=1"], id="sqlite"),
        pytest.param(["rabbitmq", "--tasks=600", "--deaths=2", "--times=1"], id="rabbitmq"),
    ],
)
def test_nothing_that_was_accepted_is_lost_whatever_goes_wrong(plan: list[str]) -> None:
    """A failing run shows its seed, and what was counted."""
    assert subprocess.run([sys.executable, "-m", "tests.chaos", *plan], timeout=900).returncode == 0
