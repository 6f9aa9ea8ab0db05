"""One subject, over and over, in a process of its own.

``python -m benchmarks.repeat SUBJECT`` reads how often from each line of its input, and answers with the CPU time
that took and the memory that it holds then.

``python -m benchmarks.repeat FEW MANY SUBJECT...`` is for a counter of instructions that watches from outside. Each
subject is built and warmed up in a fork of its own, which forks twice again: to repeat it a few times, and many
times. What these two differ by is repetitions and nothing else, and imports are paid for once.
"""

import asyncio
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.applications import Once, checked, prepared
from benchmarks.subjects import Subject

# The interpreter specialises code that has run a few times.
_WARM_UP = 50


async def _repeated(once: Once, times: int) -> None:
    for _ in range(times):
        await once()


async def _warmed_up(subject: Subject) -> Once:
    once = prepared(subject)
    await checked(subject, once)
    await _repeated(once, _WARM_UP)
    # One collection of what start-up made costs more than a request.
    gc.collect()
    gc.freeze()
    return once


async def _timed(subject: Subject) -> None:
    once = await _warmed_up(subject)
    for line in sys.stdin:
        started = time.process_time_ns()
        await _repeated(once, int(line))
        print(time.process_time_ns() - started, _resident_bytes(), flush=True)


def _counted(subject: Subject, repetitions: list[int]) -> None:
    once = asyncio.run(_warmed_up(subject))
    gc.disable()
    for times in repetitions:
        _forked(partial(_repeat_and_tell, once, subject, times))


def _repeat_and_tell(once: Once, subject: Subject, times: int) -> None:
    print(os.getpid(), subject, times, flush=True)
    asyncio.run(_repeated(once, times))
    # The cycles that a request leaves behind cost something, too. What start-up made is frozen, and not looked at.
    gc.collect()


def _forked(work: Callable[[], None]) -> None:
    """Do it in a copy of this process, and wait until that has ended."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit("a fork failed")
        return
    try:
        work()
    except BaseException:  # noqa: BLE001  # the process ends here, and must not go on where it was forked
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [name]:
            asyncio.run(_timed(Subject.of(name)))
        case [few, many, *names]:
            for name in names:
                _forked(partial(_counted, Subject.of(name), [int(few), int(many)]))
