"""One subject in a process of its own: ``python -m benchmarks.repeat SUBJECT [TIMES]``.

With TIMES it does its work so often and ends; an instruction counter watches from outside. Without, it reads how
often from each line of its input, and answers with the CPU time that took and the memory that it holds then.
"""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

from benchmarks.applications import Once, checked, prepared
from benchmarks.subjects import Subject

# The interpreter specialises code that has run a few times.
WARM_UP = 50


async def counted(once: Once, times: int) -> None:
    # One collection of what start-up made costs more than a request.
    gc.disable()
    for _ in range(times):
        await once()


async def timed(once: Once) -> None:
    for line in sys.stdin:
        started = time.process_time_ns()
        for _ in range(int(line)):
            await once()
        print(time.process_time_ns() - started, _resident_bytes(), flush=True)


async def main(subject: Subject, times: int | None) -> None:
    once = prepared(subject)
    await checked(subject, once)
    for _ in range(WARM_UP):
        await once()
    gc.collect()
    gc.freeze()
    await (timed(once) if times is None else counted(once, times))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    asyncio.run(main(Subject.of(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
