"""Count instructions by callgrind: exact where a clock is not, on a busy machine too."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import mean

from benchmarks.subjects import Subject

_FEW, _MANY = 50, 250


@dataclass(frozen=True, slots=True)
class Count:
    """The instructions of one repetition, counted so many times."""

    subject: Subject
    runs: tuple[float, ...]

    @property
    def instructions(self) -> float:
        return mean(self.runs)

    @property
    def spread(self) -> float:
        """How far the runs are apart, as a part of the whole."""
        return (max(self.runs) - min(self.runs)) / self.instructions


def counted(subjects: Iterable[Subject], *, runs: int = 1) -> dict[Subject, Count]:
    """Count what one repetition of each subject costs: what many take more than a few, start-up left out."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is needed to count instructions: run `make valgrind`")
    wanted = list(subjects)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # First without the counter: it compiles what is imported, and a mistake shows at once.
        list(pool.map(_ran, wanted))
        counts = [[pool.submit(_of_one_repetition, subject) for _ in range(runs)] for subject in wanted]
        return {
            subject: Count(subject, tuple(future.result() for future in futures))
            for subject, futures in zip(wanted, counts, strict=True)
        }


def valgrind_version() -> str:
    return subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _ran(subject: Subject) -> None:
    subprocess.run(_command(subject, 1), check=True)


def _of_one_repetition(subject: Subject) -> float:
    return (_instructions(subject, _MANY) - _instructions(subject, _FEW)) / (_MANY - _FEW)


def _instructions(subject: Subject, times: int) -> int:
    counter = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    run = subprocess.run(
        [*counter, *_command(subject, times)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    collected = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or collected is None:
        raise SystemExit(f"counting {subject} failed:\n{run.stderr}")
    return int(collected[1])


def _command(subject: Subject, times: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.repeat", str(subject), str(times)]
