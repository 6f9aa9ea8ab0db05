"""Count instructions by callgrind: exact where a clock is not, on a busy machine too.

The same work takes a few in a thousand more or less instructions, by how hash tables and the interpreter's cache of
attributes happen to be laid out; in a route that is a tenth of what bg_di may cost. So it is counted in several
layouts, each with a hash seed and a shift of that cache, and within a layout everything in the same one.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

from benchmarks.subjects import Subject

_FEW, _MANY = 20, 120
# Types that are made before all others, in each layout so many more.
_SHIFT = 101

# The instructions of one repetition of each subject.
Counts = Mapping[Subject, float]


def counted(subjects: Sequence[Subject], *, layouts: int) -> list[Counts]:
    """Count, in each of so many layouts, what one repetition of each subject costs."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is needed to count instructions: run `make valgrind`")
    # First without the counter: it compiles what is imported, and a mistake shows at once.
    subprocess.run(_command(subjects, 0), check=True, stdout=subprocess.DEVNULL)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda layout: _counted_in_layout(subjects, layout), range(layouts)))


def averaged(layouts: Sequence[Counts]) -> Counts:
    return {subject: mean(counts[subject] for counts in layouts) for subject in layouts[0]}


def valgrind_version() -> str:
    return subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _counted_in_layout(subjects: Sequence[Subject], layout: int) -> Counts:
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *_command(subjects, layout)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": str(layout)},
    )
    if run.returncode:
        raise SystemExit(f"counting instructions failed:\n{run.stderr}")
    collected = dict(re.findall(r"^==(\d+)== Collected : (\d+)", run.stderr, re.MULTILINE))
    counts = {
        (Subject.of(name), int(times)): int(collected[process])
        for process, name, times in map(str.split, run.stdout.splitlines())
    }
    return {subject: (counts[subject, _MANY] - counts[subject, _FEW]) / (_MANY - _FEW) for subject in subjects}


def _command(subjects: Sequence[Subject], layout: int) -> list[str]:
    shift = str(_SHIFT * layout)
    return [sys.executable, "-m", "benchmarks.shifted", shift, str(_FEW), str(_MANY), *map(str, subjects)]
