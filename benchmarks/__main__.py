"""``python -m benchmarks``: measure, write RESULTS.md, and fail over a limit. ``--count-only``: instructions only."""

import argparse
import sys
from collections.abc import Iterable

from benchmarks import report
from benchmarks.applications import has_fastapi
from benchmarks.counting import averaged, counted
from benchmarks.growth import TASKS_A_REQUEST, endured
from benchmarks.limits import INSTRUCTIONS, SHOWN, Ratio, complaints, judged, subjects_of
from benchmarks.subjects import Subject
from benchmarks.threads import latencies
from benchmarks.timing import timed


def count() -> list[Ratio]:
    """Check the limits on instructions, as fast as that goes."""
    counts = counted(subjects_of(INSTRUCTIONS), layouts=4)
    print(report.limits_table(INSTRUCTIONS, counts))
    return judged(INSTRUCTIONS, averaged(counts))


def measure() -> list[Ratio]:
    """Measure everything and write it down."""
    growing = [Subject(stack, tasks) for stack in ("bg_di", "ellar") for tasks in (0, *TASKS_A_REQUEST)]
    shown = list(dict.fromkeys([*growing, *subjects_of(SHOWN)]))
    beside = [Subject("fastapi", 0), Subject("fastapi", 100)] if has_fastapi() else []
    results = report.Results(
        counts=counted([*shown, *beside], layouts=8),
        latencies=latencies(),
        times=timed(shown),
        endurance=[endured(Subject(stack, 1)) for stack in ("bg_di", "ellar")],
    )
    document = report.document(results)
    report.RESULTS.write_text(document + "\n")
    print(document)
    beside_slow_tasks = [report.beside_slow_tasks(one) for one in results.latencies if one.stack == "bg_di"]
    return [*judged(INSTRUCTIONS, averaged(results.counts)), *beside_slow_tasks]


def failed(ratios: Iterable[Ratio]) -> bool:
    """Name each ratio over its limit."""
    lines = complaints(ratios)
    for line in lines:
        print(line, file=sys.stderr)
    return bool(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--count-only", action="store_true", help="check the limits on instructions, write nothing")
    sys.exit(failed(count() if parser.parse_args().count_only else measure()))
