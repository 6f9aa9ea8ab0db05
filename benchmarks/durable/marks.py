"""What a task leaves behind, whichever engine runs it: nothing but the time, or a line that outlives its process."""

import asyncio
import os
import time
from pathlib import Path

_LONG = 3600.0


class Marks:
    """Of the tasks that run in this process.

    Attributes:
        times: when tasks ran.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self._record: int | None = None
        self._holds = False

    def keep(self, record: Path, *, holds: bool) -> None:
        """Write down from now on what starts and ends.

        Args:
            record: the file.
            holds: whether a task that starts stays in hand for good.
        """
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._holds = holds

    async def task(self, number: int) -> None:
        """What a task does."""
        if self._starts(number):
            await asyncio.sleep(_LONG)
        self._ends(number)

    def task_in_thread(self, number: int) -> None:
        """The same, for an engine whose tasks are not asynchronous."""
        if self._starts(number):
            time.sleep(_LONG)
        self._ends(number)

    def _starts(self, number: int) -> bool:
        self._write("started", number)
        return self._holds

    def _ends(self, number: int) -> None:
        self.times.append(time.perf_counter())
        self._write("ended", number)

    def _write(self, what: str, number: int) -> None:
        if self._record is not None:
            os.write(self._record, f"{what} {number}\n".encode())


def read(record: Path, what: str) -> list[int]:
    """The numbers of the tasks that have started, or ended."""
    lines = record.read_text().splitlines() if record.exists() else []
    return [int(number) for word, number in map(str.split, lines) if word == what]


MARKS = Marks()
