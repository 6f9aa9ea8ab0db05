"""What was measured of durable tasks, in tables."""

import os
import platform
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.durable.beside import Beside
from benchmarks.durable.engines import PEERS
from benchmarks.durable.enqueuing import COROUTINES, Enqueuing, Latencies
from benchmarks.durable.kills import Survival
from benchmarks.durable.limits import AT_MOST
from benchmarks.durable.looping import TICK, Gaps
from benchmarks.durable.rates import PROCESSES, Rates
from benchmarks.durable.samples import Spread, Summary, p50, p99, ratio, spread
from benchmarks.durable.scale import Scale
from benchmarks.report import cpu_model, installed_version, table

RESULTS = Path(__file__).parents[1] / "DURABLE.md"

_ABOUT = """\
Written by `make bench-durable` (`python -m benchmarks.durable`). Everything is measured in {rounds} rounds, in which
what is compared takes turns; a number is the median of the rounds, with the least and the most of them behind it. A
ratio is the median of the rounds' own ratios. Files are on the disk that this folder is on; commits are synced."""
_ABOUT_ENQUEUING = f"""\
Microseconds until `Engine.accept([message])` has returned, one call after another, in turn with the others after each
single call ({{commits:,}} in a round). "Bare thread": the same statement and commit, on a file of the same schema (WAL,
synchronous FULL), awaited through a thread that has a queue, a future and `call_soon_threadsafe`, and nothing else.
"Bare commit": the same called in the event loop's own thread, which blocks it. "Draining": a worker in the same event
loop runs tasks all the while, {{backlog:,}} of which wait at the beginning; only bg_di's commits wait for those of the
worker, the others have files of their own. Limit: p50 and p99 idle at most {AT_MOST} of the bare thread's."""
_ABOUT_GROUPED = f"""\
Tasks a second that {COROUTINES} coroutines enqueue, each one after another: what comes while a commit is written goes
into the next one. The bare thread commits each by itself."""
_ABOUT_GAPS = f"""\
Milliseconds by which a tick of {TICK * 1e3:.0f} ms comes late, for {{seconds:g}} s in a round: in an idle event loop,
and in one that enqueues one task after another without a pause while a worker in it runs them."""
_ABOUT_RATES = """\
Tasks a second that do nothing, in workers of 10 slots, from the first to the last one; where more than {counted:,}
wait, the first {counted:,} are timed. Each process has the whole application; they write to one file, one at a time."""
_ABOUT_BESIDE = """\
Each engine enqueues as an async handler would: bg_di by `collect_background_tasks` and `add_task`, the arguments'
encoding included; huey by calling the task, which blocks the event loop meanwhile; DBOS by `enqueue_workflow_async`.
Then one process of each works as it comes: bg_di with 10 slots, huey with one thread, DBOS with a queue without limits.
Its rate is that of the tasks' ends; DBOS, which starts what waits all at once, may note these later, which is not seen
here. What they promise differs: huey takes a task off the file before it runs it, and loses it with its process; DBOS
also keeps the result and each step, in SQLite's rollback journal instead of WAL. {absent}"""
_ABOUT_KILLS = """\
Of each engine a worker has {held} tasks in hand and {queued} waiting when it is killed by SIGKILL; then another one is
started, and given up after {patience:g} s without progress. Once, not in rounds. Seconds: from the kill to the end of
the last task that had been in hand, the start of the other worker's process included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that one run measured."""

    scale: Scale
    enqueuing: Enqueuing
    gaps: Gaps
    rates: Rates
    beside: Mapping[str, Beside]
    survivals: Sequence[Survival]


def document(results: Results) -> str:
    """The whole of DURABLE.md."""
    scale = results.scale
    sections = {
        "What durable tasks cost": [_ABOUT.format(rounds=scale.rounds), _machine()],
        "Until a task is accepted": [
            _enqueuing_table(results.enqueuing),
            _ABOUT_ENQUEUING.format(commits=scale.commits, backlog=scale.backlog),
        ],
        "Many at once": [_grouped_table(results.enqueuing), _ABOUT_GROUPED],
        "The event loop": [_gaps_table(results.gaps), _ABOUT_GAPS.format(seconds=scale.seconds)],
        "Tasks a second": [_rates_table(results.rates), _ABOUT_RATES.format(counted=scale.counted)],
        "Beside other engines on SQLite": [_beside_table(results.beside), _about_beside(results.beside)],
        "Killed with tasks in hand": [
            _kills_table(results.survivals),
            _ABOUT_KILLS.format(held=scale.held, queued=scale.queued, patience=scale.patience),
        ],
    }
    [(title, introduction), *rest] = sections.items()
    parts = [f"# {title}", *introduction]
    for heading, content in rest:
        parts += [f"## {heading}", *content]
    return "\n\n".join(parts)


def _machine() -> str:
    packages = ["ellar", "pydantic", "bg_di", "huey", "dbos"]
    rows = [
        ["CPU", f"{cpu_model()}, {os.cpu_count()} cores"],
        ["System", f"{platform.system()} {platform.machine()}"],
        ["Python", f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}"],
        ["SQLite", sqlite3.sqlite_version],
        *([package, installed_version(package)] for package in packages),
    ]
    return table(["What", "Which"], rows)


def _enqueuing_table(enqueuing: Enqueuing) -> str:
    rows = [
        [name, when, *_latency_cells(latencies, summary)]
        for when, latencies in (("idle", enqueuing.idle), ("draining", enqueuing.draining))
        for name, summary in (("p50", p50), ("p99", p99))
    ]
    return table(["", "When", "bg_di", "Bare thread", "Bare commit", "Ratio to the bare thread", "To the commit"], rows)


def _latency_cells(latencies: Latencies, summary: Summary) -> Iterable[str]:
    for rounds in (latencies.ours, latencies.thread, latencies.commit):
        yield _shown(spread(rounds, summary), 1e6)
    for theirs in (latencies.thread, latencies.commit):
        yield _shown(ratio(latencies.ours, theirs, summary), digits=3)


def _grouped_table(enqueuing: Enqueuing) -> str:
    grouped, alone = Spread.of(enqueuing.grouped), Spread.of(enqueuing.alone)
    times = Spread.of([ours / theirs for ours, theirs in zip(enqueuing.grouped, enqueuing.alone, strict=True)])
    return table(["bg_di", "Bare thread", "Ratio"], [[_shown(grouped), _shown(alone), _shown(times, digits=1)]])


def _gaps_table(gaps: Gaps) -> str:
    rows = [
        [name, *(_shown(spread(rounds, summary), 1e3, digits=2) for summary in (p50, p99, max))]
        for name, rounds in (("idle", gaps.idle), ("enqueues and works", gaps.busy))
    ]
    return table(["Event loop", "p50", "p99", "Longest"], rows)


def _rates_table(rates: Rates) -> str:
    rows = [
        [f"{waiting:,}", *(_shown(Spread.of(rates[waiting, processes])) for processes in PROCESSES)]
        for waiting in dict.fromkeys(waiting for waiting, _ in rates)
    ]
    return table(["Waiting", *(f"{processes} process{'es' * (processes > 1)}" for processes in PROCESSES)], rows)


def _beside_table(beside: Mapping[str, Beside]) -> str:
    ours = beside["bg_di"]
    rows = []
    for name, peer in beside.items():
        rows.append(
            [
                name,
                *(_shown(spread(peer.latencies, summary), 1e3, digits=2) for summary in (p50, p99)),
                _shown(ratio(peer.latencies, ours.latencies, p50), digits=2),
                _shown(Spread.of(peer.rates)),
            ]
        )
    head = ["Engine", "Enqueue p50, ms", "Enqueue p99, ms", "p50, of bg_di's", "Tasks a second, one worker"]
    return table(head, rows)


def _about_beside(beside: Mapping[str, Beside]) -> str:
    absent = [peer.name for peer in PEERS if peer.name not in beside]
    said = f"Not installed in this environment, and left out: {', '.join(absent)}." if absent else ""
    return _ABOUT_BESIDE.format(absent=said).strip()


def _kills_table(survivals: Iterable[Survival]) -> str:
    rows = [
        [
            each.peer,
            f"{each.ended} of {each.tasks}",
            f"{each.again} of {each.in_hand}",
            "never" if each.seconds is None else f"{each.seconds:.1f}",
        ]
        for each in survivals
    ]
    return table(["Engine", "Ended", "Of those in hand", "Seconds"], rows)


def _shown(found: Spread, unit: float = 1.0, *, digits: int = 0) -> str:
    median, least, most = (f"{value * unit:,.{digits}f}" for value in (found.median, found.least, found.most))
    return f"{median} ({least} to {most})"
