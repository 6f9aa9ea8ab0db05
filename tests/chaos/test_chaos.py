"""Nothing that was accepted is lost, whatever is killed and wherever. ``make chaos`` is the same, and longer."""

import asyncio
import random
from pathlib import Path

from tests.chaos.driver import Chaos, Plan
from tests.chaos.verdict import judge


def test_nothing_that_was_accepted_is_lost_whatever_is_killed(tmp_path: Path) -> None:
    """A failing run shows its seed, and what was counted."""
    plan = Plan(tasks=1000, deaths=4, stops=1, seed=random.randrange(2**32))
    print(plan)
    chaos = Chaos(tmp_path, plan)
    asyncio.run(chaos.run())
    verdict = judge(tmp_path, plan, chaos.answers)
    print(verdict.told)
    assert verdict.wrong == []
