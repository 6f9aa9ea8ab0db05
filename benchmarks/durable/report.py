"""What was measured of durable tasks, in tables."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.durable.enqueuing import Enqueuing
from benchmarks.durable.looping import TICK, Gaps
from benchmarks.durable.peers import PEERS
from benchmarks.durable.rates import Rates
from benchmarks.durable.scale import Scale
from benchmarks.engines.beside import Beside
from benchmarks.engines.kills import Survival
from benchmarks.engines.limits import AT_MOST
from benchmarks.engines.rates import PROCESSES
from benchmarks.engines.report import (
    about,
    absent,
    assembled,
    beside_cells,
    kills,
    latency_cells,
    machine,
    rates_cells,
    shown,
)
from benchmarks.engines.samples import Spread, p50, p99, spread
from benchmarks.engines.turns import COROUTINES
from benchmarks.report import table

RESULTS = Path(__file__).parents[1] / "DURABLE.md"

_WRITTEN = """\
Written by `make bench-durable` (`python -m benchmarks.durable`). Files are on the disk that this folder is on; commits
are synced."""
_ABOUT_ENQUEUING = f"""\
Microseconds until `Engine.accept([message])` has returned, one call after another, in turn with the others after each
single call ({{accepted:,}} in a round). "Bare thread": the same statement and commit, on a file of the same schema
(WAL, synchronous FULL), awaited through a thread that has a queue, a future and `call_soon_threadsafe`, and nothing
else. "Bare commit": the same called in the event loop's own thread, which blocks it. "Draining": a worker in the same
event loop runs tasks all the while, {{backlog:,}} of which wait at the beginning; only bg_di's commits wait for those
of the worker, the others have files of their own. Limit: p50 and p99 idle at most {AT_MOST} of the bare thread's."""
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
    packages = ["ellar", "pydantic", "bg_di", "huey", "dbos"]
    introduction = [about(_WRITTEN, scale), machine(["SQLite", sqlite3.sqlite_version], packages)]
    sections = {
        "Until a task is accepted": [
            _enqueuing_table(results.enqueuing),
            _ABOUT_ENQUEUING.format(accepted=scale.accepted, backlog=scale.backlog),
        ],
        "Many at once": [_grouped_table(results.enqueuing), _ABOUT_GROUPED],
        "The event loop": [_gaps_table(results.gaps), _ABOUT_GAPS.format(seconds=scale.seconds)],
        "Tasks a second": [_rates_table(results.rates), _ABOUT_RATES.format(counted=scale.counted)],
        "Beside other engines on SQLite": [
            _beside_table(results.beside),
            _ABOUT_BESIDE.format(absent=absent(PEERS, results.beside)).strip(),
        ],
        "Killed with tasks in hand": kills(results.survivals, scale),
    }
    return assembled("What durable tasks cost", introduction, sections)


def _enqueuing_table(enqueuing: Enqueuing) -> str:
    rows = [
        [name, when, *latency_cells(latencies.ours, (latencies.thread, latencies.commit), summary)]
        for when, latencies in (("idle", enqueuing.idle), ("draining", enqueuing.draining))
        for name, summary in (("p50", p50), ("p99", p99))
    ]
    return table(["", "When", "bg_di", "Bare thread", "Bare commit", "Ratio to the bare thread", "To the commit"], rows)


def _grouped_table(enqueuing: Enqueuing) -> str:
    return table(["bg_di", "Bare thread", "Ratio"], [list(rates_cells(enqueuing.grouped, enqueuing.alone))])


def _gaps_table(gaps: Gaps) -> str:
    rows = [
        [name, *(shown(spread(rounds, summary), 1e3, digits=2) for summary in (p50, p99, max))]
        for name, rounds in (("idle", gaps.idle), ("enqueues and works", gaps.busy))
    ]
    return table(["Event loop", "p50", "p99", "Longest"], rows)


def _rates_table(rates: Rates) -> str:
    rows = [
        [f"{waiting:,}", *(shown(Spread.of(rates[waiting, processes])) for processes in PROCESSES)]
        for waiting in dict.fromkeys(waiting for waiting, _ in rates)
    ]
    return table(["Waiting", *(f"{processes} process{'es' * (processes > 1)}" for processes in PROCESSES)], rows)


def _beside_table(beside: Mapping[str, Beside]) -> str:
    rows = [
        [name, *beside_cells(peer, beside["bg_di"]), shown(Spread.of(peer.rates[None, 1]))]
        for name, peer in beside.items()
    ]
    head = ["Engine", "Enqueue p50, ms", "Enqueue p99, ms", "p50, of bg_di's", "Tasks a second, one worker"]
    return table(head, rows)
