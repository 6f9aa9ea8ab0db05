"""CPU time of the same things. A clock is noisy where a counter is not: it is shown, and limits nothing."""

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Self

from benchmarks.subjects import Cost, Subject

_LAUNCHES, _ROUNDS, _BLOCK = 6, 40, 100

Times = Mapping[Subject, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Block:
    """So many repetitions in a row.

    Attributes:
        seconds: CPU time of one repetition.
        resident: bytes of memory that the process held at the end.
    """

    seconds: float
    resident: int


class Process:
    """A subject in a process of its own, which does its work as often as it is told to."""

    def __init__(self, subject: Subject) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.repeat", str(subject)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, times: int) -> Block:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()
        nanoseconds, resident = self._process.stdout.readline().split()
        return Block(int(nanoseconds) / times / 1e9, int(resident))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._process:
            self._process.kill()


def timed(subjects: Iterable[Subject]) -> Times:
    """Time all subjects in turn, A B C A B C, so that what disturbs the machine disturbs them alike.

    They are launched several times, as where things lie in memory makes a process faster or slower for its life.
    """
    wanted = list(subjects)
    times: dict[Subject, list[float]] = {subject: [] for subject in wanted}
    for _ in range(_LAUNCHES):
        with ExitStack() as stack:
            processes = {subject: stack.enter_context(Process(subject)) for subject in wanted}
            for _ in range(_ROUNDS):
                for subject, process in processes.items():
                    times[subject].append(process.run(_BLOCK).seconds)
    return times


def seconds(times: Times, cost: Cost) -> float:
    """The median over the rounds."""
    return median(_by_round(times, cost))


def ratio(times: Times, ours: Cost, theirs: Cost) -> float:
    """The median of what the rounds say, each of which compares what was measured side by side."""
    return median(our / their for our, their in zip(_by_round(times, ours), _by_round(times, theirs), strict=True))


def _by_round(times: Times, cost: Cost) -> list[float]:
    if cost.over is None:
        return list(times[cost.subject])
    return [whole - bare for whole, bare in zip(times[cost.subject], times[cost.over], strict=True)]
