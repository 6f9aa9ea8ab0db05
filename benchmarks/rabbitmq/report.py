"""What was measured of durable tasks on RabbitMQ, in tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from benchmarks.rabbitmq.enqueuing import Enqueuing
from benchmarks.rabbitmq.fates import Fates
from benchmarks.rabbitmq.peers import PEERS
from benchmarks.rabbitmq.requests import CONNECTIONS, ROUTES, Requests
from benchmarks.rabbitmq.scale import Scale
from benchmarks.report import table

RESULTS = Path(__file__).parents[1] / "RABBITMQ.md"

_WRITTEN = """\
Written by `make bench-rabbitmq` (`python -m benchmarks.rabbitmq`). The broker is one node on this machine, which shares
its cores with all that is measured; its data is on the disk that this folder is on."""
_ABOUT_ENQUEUING = f"""\
Microseconds until `Engine.accept([message])` has returned, one call after another, in turn with the other after each
single call ({{accepted:,}} in a round). "Bare publish": the same body by aio-pika, persistent and mandatory, on a
connection and a channel of its own with publisher confirms and `on_return_raises`, into a quorum queue of the same
arguments, awaited until it is confirmed; without the headers and the timeout of bg_di. "Draining": a worker in the same
event loop runs tasks all the while, {{backlog:,}} of which wait at the beginning; the bare publishes go into a queue
that nobody empties. Limit: p50 and p99 idle at most {AT_MOST} of the bare publish's."""
_ABOUT_GROUPED = f"""\
Tasks a second that {COROUTINES} coroutines hand over, each one after another, on one channel each way."""
_ABOUT_REQUESTS = f"""\
Answers a second of uvicorn (one process, uvloop, httptools, no access log) to {CONNECTIONS} connections that are kept
alive, on each of which one request follows another, {{requests:,}} in a round; milliseconds from a request to its
answer. "none" adds no task, "in-process" one that runs after the response, "durable" one that the broker has confirmed
before the response starts, and that nobody runs meanwhile. The client, the server and the broker share the cores."""
_ABOUT_BESIDE = """\
One after another, as an async handler would: bg_di by `collect_background_tasks` and `add_task`, the arguments'
encoding included; taskiq by `kiq`; Celery by `delay`, which blocks the event loop meanwhile. In each round an engine
enqueues what it runs for each number of the next table:
{tasks}. All publish persistent messages into quorum queues with a
delivery limit, a dead-letter queue fed at least once and `reject-publish`, and await the broker's confirmation.
{absent}"""
_ABOUT_RATES = """\
Tasks a second that do nothing, from the first to the last one, in so many worker processes. bg_di: one channel with a
prefetch of its slots. taskiq: its `Receiver` with `WHEN_EXECUTED`, `max_async_tasks` and prefetch of as many slots,
`max_prefetch=0`. Celery: its prefork pool, with as many processes as there are cores in each worker, its gossip and
mingle as they come, `task_acks_late`, `task_reject_on_worker_lost`, `worker_prefetch_multiplier=1`,
`task_acks_on_failure_or_timeout=False`, `confirm_publish`, no results; it is given half as many tasks."""
_ABOUT_FATES = """\
What becomes of a task that has raised an error and is not to be tried again; of one under a name that the worker does
not know; and of one whose queue was deleted after the one before it, while the same process goes on enqueuing. Kept: it
is in one of the engine's queues after a worker has seen it, has run the task behind it and has stopped. Refused:
whoever has enqueued it got an error. Lost: neither. Settings as above; each is run once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that one run measured, on a broker of a version."""

    scale: Scale
    broker: str
    enqueuing: Enqueuing
    requests: Mapping[str, Requests]
    beside: Mapping[str, Beside]
    survivals: Sequence[Survival]
    fates: Sequence[Fates]


def document(results: Results) -> str:
    """The whole of RABBITMQ.md."""
    scale = results.scale
    packages = ["aio-pika", "ellar", "uvicorn", "bg_di", "taskiq", "taskiq-aio-pika", "celery", "kombu"]
    tasks = ", ".join(f"{peer.pace * scale.peers:,} for {peer.name}" for peer in PEERS)
    sections = {
        "Until a task is accepted": [
            _enqueuing_table(results.enqueuing),
            _ABOUT_ENQUEUING.format(accepted=scale.accepted, backlog=scale.backlog),
        ],
        "Many at once": [_grouped_table(results.enqueuing), _ABOUT_GROUPED],
        "Requests a second": [_requests_table(results.requests), _ABOUT_REQUESTS.format(requests=scale.requests)],
        "Enqueuing beside other engines": [
            _beside_table(results.beside),
            _ABOUT_BESIDE.format(tasks=tasks, absent=absent(PEERS, results.beside)).strip(),
        ],
        "Tasks a second": [_rates_table(results.beside), _ABOUT_RATES],
        "Killed with tasks in hand": kills(results.survivals, scale),
        "Failed, unknown, unroutable": [_fates_table(results.fates), _ABOUT_FATES],
    }
    introduction = [about(_WRITTEN, scale), machine(["RabbitMQ", results.broker], packages)]
    return assembled("What durable tasks cost on RabbitMQ", introduction, sections)


def _enqueuing_table(enqueuing: Enqueuing) -> str:
    rows = [
        [name, when, *latency_cells(latencies.ours, (latencies.bare,), summary)]
        for when, latencies in (("idle", enqueuing.idle), ("draining", enqueuing.draining))
        for name, summary in (("p50", p50), ("p99", p99))
    ]
    return table(["", "When", "bg_di", "Bare publish", "Ratio"], rows)


def _grouped_table(enqueuing: Enqueuing) -> str:
    return table(["bg_di", "Bare publish", "Ratio"], [list(rates_cells(enqueuing.grouped, enqueuing.bare_grouped))])


def _requests_table(requests: Mapping[str, Requests]) -> str:
    rows = [
        [
            route,
            shown(Spread.of(requests[route].rates)),
            *(shown(spread(requests[route].latencies, summary), 1e3, digits=2) for summary in (p50, p99)),
        ]
        for route in ROUTES
    ]
    return table(["Task of a request", "Requests a second", "p50, ms", "p99, ms"], rows)


def _beside_table(beside: Mapping[str, Beside]) -> str:
    rows = [[name, *beside_cells(peer, beside["bg_di"])] for name, peer in beside.items()]
    return table(["Engine", "Enqueue p50, ms", "Enqueue p99, ms", "p50, of bg_di's"], rows)


def _rates_table(beside: Mapping[str, Beside]) -> str:
    rows = [
        [
            name,
            "as it comes" if slots is None else str(slots),
            *(shown(Spread.of(peer.rates[slots, n])) for n in PROCESSES),
        ]
        for name, peer in beside.items()
        for slots in dict.fromkeys(slots for slots, _ in peer.rates)
    ]
    return table(["Engine", "Slots of each", *(f"{n} worker{'s' * (n > 1)}" for n in PROCESSES)], rows)


def _fates_table(fates: Sequence[Fates]) -> str:
    rows = [[each.peer, each.failing, each.stranger, each.unroutable] for each in fates]
    return table(["Engine", "Has failed", "Nobody knows it", "Its queue is gone"], rows)
