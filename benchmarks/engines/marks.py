"""What a task leaves behind, whichever engine runs it: nothing but the time, or a line that outlives its process."""

import asyncio
import os
import struct
import time
from contextlib import suppress
from pathlib import Path

_LONG = 3600.0
_TIME = struct.Struct("d")


class Failed(Exception):
    """A task that was to fail has failed."""


class Marks:
    """Of the tasks that run in this process. One with a negative number fails."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._record: int | None = None
        self._pipe: tuple[int, int] | None = None
        self._holds = False

    @property
    def times(self) -> list[float]:
        """When tasks ran."""
        if self._pipe is not None:
            with suppress(BlockingIOError):
                while read := os.read(self._pipe[0], 1024 * _TIME.size):
                    self._times += (time for (time,) in _TIME.iter_unpack(read))
        return self._times

    def fork(self) -> None:
        """Hear from now on also of tasks in processes that are forked off this one."""
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[0], False)

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
        if number < 0:
            raise Failed
        self._write("started", number)
        return self._holds

    def _ends(self, number: int) -> None:
        if self._pipe is not None:
            os.write(self._pipe[1], _TIME.pack(time.perf_counter()))
        else:
            self._times.append(time.perf_counter())
        self._write("ended", number)

    def _write(self, what: str, number: int) -> None:
        if self._record is not None:
            os.write(self._record, f"{what} {number}\n".encode())


def read(record: Path, what: str) -> list[int]:
    """The numbers of the tasks that have started, or ended."""
    lines = record.read_text().splitlines() if record.exists() else []
    return [int(number) for word, number in map(str.split, lines) if word == what]


MARKS = Marks()
