"""What was measured, in tables."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.counting import Counts, averaged, valgrind_version
from benchmarks.growth import STEP, TASKS_A_REQUEST, Endurance
from benchmarks.limits import SHOWN, SLOWER_BESIDE_SLOW_TASKS, Limit, Ratio, cost_in, judged
from benchmarks.machine import measured_on
from benchmarks.subjects import Subject, added, alone
from benchmarks.threads import SLOW_TASKS, STARVED, THREADS, Latency, p99
from benchmarks.timing import Times, ratio, seconds

RESULTS = Path(__file__).with_name("RESULTS.md")

_ABOUT = """\
Written by `make bench` (`python -m benchmarks`). The route is the sign-up of Ellar's documentation (a `ModuleRouter`,
POST, three query parameters, an async handler, a dict), alone in its application; a task is an async function that does
nothing, with a positional and a keyword argument. "Added" is what a request costs more than one to the bare route of
the same application."""
_ABOUT_LATENCY = f"""\
Milliseconds from request to answer, idle and under load in turn. The {SLOW_TASKS} slow tasks hold {THREADS} threads; in
plain Ellar these are the threads of the handlers, too, and a request is given up after {STARVED:.0f} s."""
_ABOUT_TIME = """\
Microseconds, medians over the rounds, and the median of the ratios of each round; no limit. Every application has a
process of its own; they run in turn, a block of requests each, and are launched anew several times. What one task adds
is a small difference of large numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that one run of the benchmarks measured; instructions in several layouts of memory."""

    counts: Sequence[Counts]
    latencies: Sequence[Latency]
    times: Times
    endurance: Sequence[Endurance]


def beside_slow_tasks(latency: Latency) -> Ratio:
    return Ratio(
        work=f"p99 of a sync handler while {SLOW_TASKS} slow sync tasks run",
        against="the same when idle",
        measured=latency.ratio,
        at_most=SLOWER_BESIDE_SLOW_TASKS,
    )


def limits_table(limits: Sequence[Limit], counts: Sequence[Counts]) -> str:
    """The limits on instructions, and what was counted: on average, and the ratio in each layout."""
    measured = averaged(counts)
    in_layouts = zip(*(judged(limits, layout) for layout in counts), strict=True)
    rows = [
        [
            verdict.work,
            verdict.against,
            f"{cost_in(measured, limit.ours):,.0f}",
            f"{cost_in(measured, limit.theirs):,.0f}",
            f"{min(each.measured for each in ratios):.3f} to {max(each.measured for each in ratios):.3f}",
            *_judgement(verdict),
        ]
        for limit, verdict, ratios in zip(limits, judged(limits, measured), in_layouts, strict=True)
    ]
    return table(["Work", "Against", "bg_di", "There", "By layout", "Ratio", "Limit", "Holds"], rows)


def document(results: Results) -> str:
    """The whole of RESULTS.md."""
    sections = {
        "What bg_di costs": [_ABOUT, _machine()],
        "Instructions of one request": [limits_table(SHOWN, results.counts), _about_counting(results.counts)],
        "Sync handlers beside slow sync tasks": [_latency_table(results.latencies), _ABOUT_LATENCY],
        "CPU time of one request": [_time_table(results.times), _ABOUT_TIME],
        "Growth in a request: what each of its tasks adds": [_growth_table(results)],
        "Growth over 100,000 requests, one task each": [_endurance_table(results.endurance)],
    }
    [(title, introduction), *rest] = sections.items()
    parts = [f"# {title}", *introduction]
    for heading, content in rest:
        parts += [f"## {heading}", *content]
    return "\n\n".join(parts)


def _machine() -> str:
    packages = ["ellar", "starlette", "injector", "anyio", "fastapi", "bg_di"]
    where = measured_on(packages=packages) | {"Counter": valgrind_version()}
    return table(["What", "Which"], map(list, where.items()))


def _about_counting(counts: Sequence[Counts]) -> str:
    said = (
        f"Averages of {len(counts)} layouts of memory, each with another hash seed and another cache of attributes: "
        "what happens to collide there makes the same work a few in a thousand dearer or cheaper."
    )
    measured = averaged(counts)
    if Subject("fastapi", 100) not in measured:
        return f"{said} FastAPI is not installed in this environment, and left out."
    there = cost_in(measured, added("fastapi", 100))
    return (
        f"{said} 100 tasks add {there:,.0f} instructions in FastAPI, "
        f"{there / cost_in(measured, alone(100)):.2f} of Starlette's collection alone (no limit)."
    )


def _latency_table(latencies: Iterable[Latency]) -> str:
    rows = []
    for latency in latencies:
        loaded = f"{p99(latency.loaded) * 1e3:.2f}" if latency.loaded else "no answer"
        verdict = beside_slow_tasks(latency)
        if latency.stack == "bg_di":
            judgement = _judgement(verdict, digits=2)
        else:
            judgement = [f"{verdict.measured:.2f}" if latency.loaded else f"over {verdict.measured:.0f}", "", ""]
        rows.append([latency.stack, f"{p99(latency.idle) * 1e3:.2f}", loaded, *judgement])
    return table(["Application", "p99 idle", "p99 beside slow tasks", "Ratio", "Limit", "Holds"], rows)


def _time_table(times: Times) -> str:
    rows = [
        [
            limit.work,
            limit.against,
            f"{seconds(times, limit.ours) * 1e6:,.1f}",
            f"{seconds(times, limit.theirs) * 1e6:,.1f}",
            f"{ratio(times, limit.ours, limit.theirs):.3f}",
        ]
        for limit in SHOWN
    ]
    return table(["Work", "Against", "bg_di", "There", "Ratio"], rows)


def _growth_table(results: Results) -> str:
    measured = averaged(results.counts)
    rows = []
    for tasks in TASKS_A_REQUEST:
        costs = [added(stack, tasks) for stack in ("bg_di", "ellar")]
        counts = [f"{cost_in(measured, cost) / tasks:,.0f}" for cost in costs]
        times = [f"{seconds(results.times, cost) / tasks * 1e6:,.2f}" for cost in costs]
        rows.append([f"{tasks:,}", *counts, *times])
    head = ["Tasks", "bg_di, instructions", "Ellar, instructions", "bg_di, CPU µs", "Ellar, CPU µs"]
    return table(head, rows)


def _endurance_table(endurance: Sequence[Endurance]) -> str:
    head = ["Requests"]
    for one in endurance:
        head += [f"{one.subject.stack}, CPU µs each", f"{one.subject.stack}, memory in MiB"]
    rows = [
        [
            f"{(index + 1) * STEP:,}",
            *(text for block in blocks for text in (f"{block.seconds * 1e6:,.1f}", f"{block.resident / 2**20:,.2f}")),
        ]
        for index, blocks in enumerate(zip(*(one.steps for one in endurance), strict=True))
    ]
    grown = [text for one in endurance for text in ("", f"{one.grown / 1024:+,.0f} KiB")]
    return table(head, [*rows, ["grown since the first step", *grown]])


def _judgement(verdict: Ratio, digits: int = 3) -> list[str]:
    measured = f"{verdict.measured:.{digits}f}"
    if verdict.at_most == math.inf:
        return [measured, "none", ""]
    return [measured, f"{verdict.at_most:.2f}", "yes" if verdict.holds else "**no**"]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
