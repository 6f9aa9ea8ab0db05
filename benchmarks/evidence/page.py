"""The page: what was found, each with the command that finds it again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import records
from benchmarks.behaviour.peers import PEERS
from benchmarks.evidence import behaviour, chaos
from benchmarks.evidence.chart import Chart, drawn, told
from benchmarks.evidence.figures import figures
from benchmarks.evidence.reports import (
    ENDURANCE,
    FATES,
    INSTRUCTIONS,
    KILLED,
    LATENCIES,
    Report,
    Row,
    all_reports,
)
from benchmarks.records import RunRecord
from benchmarks.report import table

ASSETS = "assets/evidence"

# Tables need the room.
_WIDE = """\
---
hide:
  - toc
---"""
_ABOUT = """\
What is said of bg_di elsewhere is shown here: [how it behaves](#how-it-behaves) beside other frameworks,
[what it costs](#what-it-costs), also [on an engine](#what-durable-tasks-cost), and
[what is left of it](#what-chaos-leaves) when everything under it is killed. `make evidence` writes this page from what
the runs have written down, and nothing on it is typed in. Each figure and each table has one command that runs it
again; [where and when](#where-and-when) each was run is told, too."""
_ABOUT_BEHAVIOUR = """\
The same questions to each framework: a small application, as the framework's own documentation has it, on a real
uvicorn, in an environment of its own, asked from outside over HTTP and WebSockets. Each question leads to what was
seen. ✓ is what somebody would wish who adds a task, ○ is in between, ✗ is not, and — is not offered.

The questions are ours, about what bg_di promises: that it keeps that is no wonder, and what the others do is what can
be learnt here. "Ellar" is its built-in feature; bg_di is the very same application with the module declared. BlackSheep
has no feature of its own: its documentation shows `asyncio.create_task`, which asks no response and waits for none."""
_ABOUT_INSTRUCTIONS = """\
Instructions of one request, counted by callgrind, which come out the same on a busy machine: what bg_di takes of what
stands beside it in the table. The thick line is the limit over which CI fails."""
_ABOUT_THREADS = """\
A sync handler while 45 slow sync tasks hold their threads, in milliseconds."""
_ABOUT_DURABLE = """\
A durable task is safe before the response leaves: on a file it takes the time of a commit that is synced to the disk,
on RabbitMQ that of a publish that the broker has confirmed. The bare ones do just that, and nothing else."""
_ABOUT_OTHERS = """\
Beside other engines, each as it comes. They do not promise the same: huey takes a task off its file before it runs
it, as the next table shows."""
_ABOUT_KILLED = "A worker is killed by SIGKILL with 6 tasks in hand and 100 waiting, and another one is started:"
_ABOUT_FATES = """\
What becomes, on RabbitMQ, of a task that has failed for good, of one under a name that no worker knows, and of one
whose queue is gone:"""
_ABOUT_CHAOS = """\
An application of four processes takes tasks over HTTP, while its processes are killed, in every narrow window and at
any time, stopped until they are taken for dead, and poisoned by tasks. On RabbitMQ the broker is killed, too, queues
are deleted, and the network is cut, stalled and torn. Then it is left to finish, and each task that a client was told
is accepted must have run to its end, or be kept as dead with a true reason; whatever was started again must have a
cause."""
_ABOUT_AGAIN = """\
`make evidence` asks the questions about behaviour again and writes this page; what is measured and what is chaos takes
longer, and has the commands of its own that the table names. What they write is in `benchmarks/`: `RESULTS.md`,
`DURABLE.md`, `RABBITMQ.md` with all numbers and how each was measured, and `records/`. `python` is that of `.venv`,
which any of the `make` commands makes."""
_NEXT = """\
* [What is promised](reference/promises.md), each promise with the test that shows it.
* [Durable tasks](how-to/durable.md), and [why on these engines](explanation/engines.md)."""
_NOT_NOTED = "not noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that there is."""

    bench: Report
    durable: Report
    rabbitmq: Report
    behaviour: RunRecord
    chaos: Mapping[str, RunRecord]


def gathered() -> Evidence:
    """Read everything that was written down."""
    bench, durable, rabbitmq = all_reports()
    return Evidence(
        bench=bench,
        durable=durable,
        rabbitmq=rabbitmq,
        behaviour=records.read("behaviour"),
        chaos={name: records.read(name) for name in chaos.ENGINES},
    )


def page(evidence: Evidence) -> str:
    """The whole of it."""
    return "\n\n".join(part.strip() for part in _parts(evidence)) + "\n"


def pictures(evidence: Evidence) -> dict[str, str]:
    """The charts, by the names of their files."""
    charts = figures(evidence.bench, evidence.durable, evidence.rabbitmq)
    return {f"{name}.svg": drawn(chart) for name, chart in charts.items()}


def _parts(evidence: Evidence) -> Iterable[str]:
    bench, durable, rabbitmq = evidence.bench, evidence.durable, evidence.rabbitmq
    charts = figures(bench, durable, rabbitmq)
    yield _WIDE
    yield "# Evidence"
    yield _ABOUT
    yield _in_short(evidence)
    yield "## How it behaves"
    yield _ABOUT_BEHAVIOUR
    yield behaviour.answers_table(evidence.behaviour)
    yield _again(evidence.behaviour.command)
    yield behaviour.ways_table(evidence.behaviour)
    yield "## What it costs"
    yield _ABOUT_INSTRUCTIONS
    yield _picture("instructions", charts)
    yield _chosen(bench.tables[INSTRUCTIONS], ["Work", "Against", "Ratio", "Limit", "Holds"])
    yield _picture("growth", charts)
    yield _ABOUT_THREADS
    yield _chosen(bench.tables[LATENCIES], ["Application", "p99 idle", "p99 beside slow tasks", "Ratio", "Limit"])
    yield _again(bench.command)
    yield "## What durable tasks cost"
    yield _ABOUT_DURABLE
    yield _picture("accepted", charts)
    yield _ABOUT_OTHERS
    yield _picture("enqueued", charts)
    yield _picture("rates", charts)
    yield _ABOUT_KILLED
    yield _killed(durable, rabbitmq)
    yield _ABOUT_FATES
    yield _chosen(rabbitmq.tables[FATES], list(rabbitmq.tables[FATES][0]))
    yield _again(f"{durable.command}`, `{rabbitmq.command}")
    yield "## What chaos leaves"
    yield _ABOUT_CHAOS
    yield chaos.outcome_table(evidence.chaos)
    yield "What went wrong meanwhile, and how often:"
    yield chaos.trouble_table(evidence.chaos)
    yield (
        _again("make chaos") + ", or on one engine: " + ", ".join(f"`{run.command}`" for run in evidence.chaos.values())
    )
    yield "## Where and when"
    yield _ABOUT_AGAIN
    yield _runs(evidence)
    yield "## What was seen"
    yield "For each question about behaviour: how it is asked, and what each framework did."
    yield from behaviour.observations(evidence.behaviour)
    yield "## Next"
    yield _NEXT


def _in_short(evidence: Evidence) -> str:
    ratios = {row["Work"]: row["Ratio"] for row in evidence.bench.tables[INSTRUCTIONS]}
    beside = {row["Application"]: row for row in evidence.bench.tables[LATENCIES]}
    grown = evidence.bench.tables[ENDURANCE][-1]
    counted = behaviour.counts(evidence.behaviour)
    good = {peer.title: counted[peer.name]["good"] for peer in PEERS}
    asked = len(evidence.behaviour.found)
    runs = evidence.chaos.values()
    accepted = sum(run.found["told"]["accepted"] for run in runs)
    deaths = sum(sum(run.found["told"]["deaths"].values()) for run in runs)
    broken = sum(len(run.found["wrong"]) for run in runs)
    return f"""\
* Of {asked} questions about what tasks do, the answer is what one would wish {good["bg_di"]} times with bg_di; with
  others: {_listed(good)}.
* A route without tasks takes {ratios["a route that uses no tasks"]} times the instructions that it takes in plain
  Ellar; the first task of a request takes {ratios["added by 1 task"]} times what it takes with Ellar's built-in
  feature.
* Beside slow sync tasks, the slowest 1 % of a sync handler's answers take {beside["bg_di"]["Ratio"]} times what they
  take beside none; in plain Ellar there is {beside["ellar"]["p99 beside slow tasks"]}.
* Over 100,000 requests the process grows by {_grown(grown, "bg_di")}, that of plain Ellar by {_grown(grown, "ellar")}.
* {accepted:,} durable tasks were accepted while processes died {deaths:,} times in narrow windows and were killed
  besides: promises seen broken: {broken}."""


def _grown(row: Row, stack: str) -> str:
    return row[f"{stack}, memory in MiB"].lstrip("+")


def _listed(good: Mapping[str, int]) -> str:
    return ", ".join(f"{title} {count}" for title, count in good.items() if title != "bg_di")


def _chosen(rows: Sequence[Row], columns: Sequence[str]) -> str:
    return table(list(columns), [[row[column] for column in columns] for row in rows])


def _killed(durable: Report, rabbitmq: Report) -> str:
    head = ["", "Engine", "Ended", "Of those in hand", "Seconds"]
    rows = [
        [where, *(row[column] for column in head[1:])]
        for where, report in (("SQLite", durable), ("RabbitMQ", rabbitmq))
        for row in report.tables[KILLED]
    ]
    return table(head, rows)


def _runs(evidence: Evidence) -> str:
    charts = {
        evidence.bench.command: ("What it costs", evidence.bench.where),
        evidence.durable.command: ("What durable tasks cost, on SQLite", evidence.durable.where),
        evidence.rabbitmq.command: ("What durable tasks cost, on RabbitMQ", evidence.rabbitmq.where),
        evidence.behaviour.command: ("How it behaves", evidence.behaviour.where),
    }
    for name, run in evidence.chaos.items():
        charts[run.command] = (f"What chaos leaves, on {chaos.ENGINES[name]}", run.where)
    rows = [
        [what, f"`{command}`", where.get("Measured", _NOT_NOTED), _rest(where)]
        for command, (what, where) in charts.items()
    ]
    return table(["Section", "Command", "Run on", "Machine and versions"], rows)


def _rest(where: Mapping[str, str]) -> str:
    first = {"Measured", "CPU", "System", "Python"}
    versions = [f"{what} {which}" for what, which in where.items() if what not in first and which != "not installed"]
    return "; ".join([*(where[what] for what in ("CPU", "System", "Python")), ", ".join(versions)])


def _picture(name: str, charts: Mapping[str, Chart]) -> str:
    return f"![{told(charts[name])}]({ASSETS}/{name}.svg)"


def _again(command: str) -> str:
    return f"Again: `{command}`"
