"""The limits on what it takes until a task is accepted."""

from collections.abc import Sequence
from typing import Final

from benchmarks.engines.samples import Rounds, p50, p99, ratio
from benchmarks.limits import Ratio

AT_MOST: Final = 1.15


def judged(ours: Rounds, theirs: Rounds, against: str) -> Sequence[Ratio]:
    """The median over the rounds of each ratio, beside what it may be."""
    return [
        Ratio(
            work=f"{name} of enqueuing a task, idle",
            against=against,
            measured=ratio(ours, theirs, summary).median,
            at_most=AT_MOST,
        )
        for name, summary in (("p50", p50), ("p99", p99))
    ]
