"""Reads back the tables of the reports that the benchmarks write, so that a page shows the very numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.durable import report as durable
from benchmarks.rabbitmq import report as rabbitmq

Row = Mapping[str, str]

INSTRUCTIONS = "Instructions of one request"
LATENCIES = "Sync handlers beside slow sync tasks"
GROWTH = "Growth in a request: what each of its tasks adds"
ENDURANCE = "Growth over 100,000 requests, one task each"
ACCEPTED = "Until a task is accepted"
BESIDE_ON_SQLITE = "Beside other engines on SQLite"
BESIDE_ON_RABBITMQ = "Enqueuing beside other engines"
RATES = "Tasks a second"
KILLED = "Killed with tasks in hand"
FATES = "Failed, unknown, unroutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report.

    Attributes:
        command: which writes it.
        where: day, machine and versions. A report of before they were noted has no day.
        tables: by the headings that they are under.
    """

    command: str
    where: Mapping[str, str]
    tables: Mapping[str, Sequence[Row]]


def read(path: Path, command: str) -> Report:
    """Read the tables of a report, of which the first says where it was measured."""
    tables: dict[str, list[Row]] = {}
    heading, head = "", list[str]()
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            heading, head = line.lstrip("# "), []
        elif line.startswith("| ---"):
            continue
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line[1:-1].split("|")]
            if head:
                tables.setdefault(heading, []).append(dict(zip(head, cells, strict=True)))
            else:
                head = cells
    [(title, about), *_] = tables.items()
    where = {row["What"]: row["Which"] for row in about}
    return Report(command=command, where=where, tables={name: rows for name, rows in tables.items() if name != title})


def number(cell: str) -> float:
    """The first number of a cell, which may be followed by what it was between."""
    return float(cell.split()[0].replace(",", ""))


def all_reports() -> tuple[Report, Report, Report]:
    """Of what runs in the process, on SQLite and on RabbitMQ."""
    return (
        read(report.RESULTS, "make bench"),
        read(durable.RESULTS, "make bench-durable"),
        read(rabbitmq.RESULTS, "make bench-rabbitmq"),
    )
