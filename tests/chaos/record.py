"""What happened, in order: lines that are on the disk before what they tell of goes on."""

import json
import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Record:
    """Written by all processes at once; each line is one write."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, what: str, **details: Any) -> None:
        # One clock for all processes.
        line = {"what": what, "pid": os.getpid(), "time": time.monotonic(), **details}
        os.write(self._descriptor, json.dumps(line).encode() + b"\n")
        os.fsync(self._descriptor)


@dataclass(frozen=True)
class Run:
    """One start of a task."""

    pid: int
    attempt: int
    delivery: int
    time: float = field(compare=False)


@dataclass
class History:
    """What a record tells.

    Attributes:
        lines: all of it, by what happened.
        roles: the names of what processes are for, by process id.
        windows: how often a process died in each window.
        ends: how processes came to an end or were stopped, by process id.
        delivered: when each task came to which process, where that is written down.
        started, ended: the runs of each task, in order.
    """

    lines: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    roles: dict[int, str] = field(default_factory=dict)
    windows: Counter[str] = field(default_factory=Counter)
    ends: dict[int, list[Line]] = field(default_factory=lambda: defaultdict(list))
    delivered: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    started: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))

    def add(self, line: Line) -> None:
        self.lines[line["what"]].append(line)
        match line["what"]:
            case "born":
                self.roles[line["pid"]] = line["role"]
            case "window":
                self.windows[line["window"]] += 1
                self.ends[line["pid"]].append({**line, "what": f"died: {line['window']}"})
            case "poison" | "killed" | "stopped":
                self.ends[line["victim"] if "victim" in line else line["pid"]].append(line)
            case "delivered":
                self.delivered[line["task_id"]].append(line)
            case "started" | "ended":
                run = Run(line["pid"], line["attempt"], line["delivery"], line["time"])
                getattr(self, line["what"])[line["task_id"]].append(run)

    def tasks(self, what: str) -> set[str]:
        """The ids of the tasks that it happened to."""
        return {line["task_id"] for line in self.lines[what]}


class Reader:
    """Reads a record while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._history = History()

    def history(self) -> History:
        """All that is there by now."""
        if self._path.exists():
            with self._path.open("rb") as record:
                record.seek(self._offset)
                # What others are writing may be the beginning of a line that is not complete yet.
                complete, newline, _ = record.read().rpartition(b"\n")
            self._offset += len(complete + newline)
            for line in complete.splitlines():
                self._history.add(json.loads(line))
        return self._history
