"""What happened, in order: lines that are on the disk before what they tell of goes on."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Record:
    """Written by all processes at once; each line is one write."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, what: str, **details: Any) -> None:
        os.write(self._descriptor, json.dumps({"what": what, "pid": os.getpid(), **details}).encode() + b"\n")
        os.fsync(self._descriptor)


@dataclass(frozen=True)
class Run:
    """One start of a task."""

    pid: int
    attempt: int
    delivery: int


@dataclass
class History:
    """What a record tells.

    Attributes:
        windows: how often a process died in each window.
        ends: how processes came to an end or were stopped, by process id.
        owners: the process of each owner of deliveries.
        started, ended: the runs of each task, in order.
    """

    windows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    ends: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    owners: dict[str, int] = field(default_factory=dict)
    started: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))


def read(path: Path) -> History:
    history = History()
    for line in _lines(path):
        match line["what"]:
            case "window":
                history.windows[line["window"]] += 1
                history.ends[line["pid"]].append(f"died: {line['window']}")
            case "poison" | "killed" | "stopped":
                history.ends[line.get("victim", line["pid"])].append(line["what"])
            case "owner":
                history.owners[line["owner"]] = line["pid"]
            case "started" | "ended":
                run = Run(line["pid"], line["attempt"], line["delivery"])
                getattr(history, line["what"])[line["task_id"]].append(run)
    return history


def _lines(path: Path) -> Iterator[Any]:
    if path.exists():
        # Whoever reads while others write may see the beginning of a line that is not complete yet.
        *complete, _ = path.read_text().split("\n")
        yield from map(json.loads, complete)
