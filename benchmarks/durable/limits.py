"""The limits on what it takes until a task is accepted."""

from collections.abc import Sequence
from typing import Final

from benchmarks.durable.enqueuing import Latencies
from benchmarks.durable.samples import p50, p99, ratio
from benchmarks.limits import Ratio

AT_MOST: Final = 1.15


def judged(idle: Latencies) -> Sequence[Ratio]:
    """The median over the rounds of each ratio, beside what it may be."""
    return [
        Ratio(
            work=f"{name} of enqueuing a task, idle",
            against="the same commit through a bare thread",
            measured=ratio(idle.ours, idle.thread, summary).median,
            at_most=AT_MOST,
        )
        for name, summary in (("p50", p50), ("p99", p99))
    ]
