"""What is drawn."""

from collections.abc import Iterable, Mapping

from benchmarks.evidence.chart import Bar, Chart
from benchmarks.evidence.reports import (
    ACCEPTED,
    BESIDE_ON_RABBITMQ,
    BESIDE_ON_SQLITE,
    GROWTH,
    INSTRUCTIONS,
    RATES,
    Report,
    Row,
    number,
)

_NO_LIMIT = "none"


def figures(bench: Report, durable: Report, rabbitmq: Report) -> Mapping[str, Chart]:
    """All charts, by the names of their files."""
    return {
        "instructions": _instructions(bench.tables[INSTRUCTIONS]),
        "growth": _growth(bench.tables[GROWTH]),
        "accepted": _accepted(durable.tables[ACCEPTED], rabbitmq.tables[ACCEPTED]),
        "enqueued": _enqueued(durable.tables[BESIDE_ON_SQLITE], rabbitmq.tables[BESIDE_ON_RABBITMQ]),
        "rates": _rates(durable.tables[BESIDE_ON_SQLITE], rabbitmq.tables[RATES]),
    }


def _instructions(rows: Iterable[Row]) -> Chart:
    bars = [
        Bar(label=row["Work"], value=number(row["Ratio"]), shown=row["Ratio"], limit=number(row["Limit"]))
        for row in rows
        if row["Limit"] != _NO_LIMIT
    ]
    return Chart(
        title="Instructions, as a ratio",
        groups=[[bar] for bar in bars],
        mark=(1.0, "1.0: the same"),
    )


def _growth(rows: Iterable[Row]) -> Chart:
    return Chart(
        title="Instructions that each task of a request adds",
        groups=[
            [_cell(row, "bg_di, instructions", f"{_tasks(row)}, bg_di"), _cell(row, "Ellar, instructions", "Ellar")]
            for row in rows
        ],
    )


def _tasks(row: Row) -> str:
    return "1 task" if row["Tasks"] == "1" else f"{row['Tasks']} tasks"


def _accepted(durable: Iterable[Row], rabbitmq: Iterable[Row]) -> Chart:
    [on_file] = [row for row in durable if (row[""], row["When"]) == ("p50", "idle")]
    [on_broker] = [row for row in rabbitmq if (row[""], row["When"]) == ("p50", "idle")]
    return Chart(
        title="Microseconds until a task is safe, p50, idle",
        groups=[
            [_cell(on_file, "bg_di", "SQLite: bg_di"), *(_cell(on_file, f"Bare {w}", f"bare {w}") for w in _BARE)],
            [_cell(on_broker, "bg_di", "RabbitMQ: bg_di"), _cell(on_broker, "Bare publish", "bare confirmed publish")],
        ],
    )


_BARE = ("thread", "commit")


def _enqueued(durable: Iterable[Row], rabbitmq: Iterable[Row]) -> Chart:
    column = "Enqueue p50, ms"
    return Chart(
        title="Milliseconds that a handler waits to enqueue a task, p50",
        groups=[
            [_cell(row, column, f"{where}: {row['Engine']}") for row in rows]
            for where, rows in (("SQLite", durable), ("RabbitMQ", rabbitmq))
        ],
    )


def _rates(durable: Iterable[Row], rabbitmq: Iterable[Row]) -> Chart:
    return Chart(
        title="Tasks a second that one worker runs",
        groups=[
            [_cell(row, "Tasks a second, one worker", f"SQLite: {row['Engine']}") for row in durable],
            [_cell(row, "1 worker", f"RabbitMQ: {row['Engine']}, {_slots(row)}") for row in rabbitmq],
        ],
    )


def _slots(row: Row) -> str:
    slots = row["Slots of each"]
    return f"{slots} slots" if slots.isdigit() else slots


def _cell(row: Row, column: str, label: str) -> Bar:
    shown = row[column].split()[0]
    return Bar(label=label, value=number(shown), shown=shown, ours="bg_di" in label)
