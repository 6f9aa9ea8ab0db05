"""How many tasks a second are run by one process and by several, with more or less waiting."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.durable.application import application, close, engine_of, fill
from benchmarks.durable.engines import BG_DI, Peer
from benchmarks.durable.process import Process
from benchmarks.durable.scale import Scale

PROCESSES = (1, 4)

# Tasks a second, by rounds, for so many that wait and so many processes.
Rates = Mapping[tuple[int, int], list[float]]


def rates(folder: Path, scale: Scale) -> Rates:
    """Measure each in turn, on copies of the same file."""
    filled = {waiting: _filled(folder / f"waiting-{waiting}", waiting) for waiting in scale.waiting}
    found: dict[tuple[int, int], list[float]] = {(waiting, n): [] for waiting in filled for n in PROCESSES}
    for number in range(scale.rounds):
        for (waiting, processes), measured in found.items():
            copy = Path(shutil.copytree(filled[waiting], folder / f"{waiting}-{processes}-{number}"))
            measured.append(worked(BG_DI, copy, processes=processes, tasks=min(waiting, scale.counted)))
            shutil.rmtree(copy)
    return found


def worked(peer: Peer, folder: Path, *, processes: int, tasks: int) -> float:
    """So many tasks a second, from the first one to the last one of `tasks`, whichever process ran them."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Process(peer, folder, "work", enough=tasks)) for _ in range(processes)]
        for worker in workers:
            worker.tell(0)
        return _rate([time for worker in workers for time in worker.answer()], tasks)


def _rate(times: Sequence[float], tasks: int) -> float:
    assert len(times) >= tasks, f"{len(times)} of {tasks} tasks were run"
    first, *_, last = sorted(times)[:tasks]
    return (tasks - 1) / (last - first)


def _filled(folder: Path, tasks: int) -> Path:
    folder.mkdir()

    async def write() -> None:
        app = application(folder / "tasks.db")
        await fill(engine_of(app), tasks)
        await close(app)

    asyncio.run(write())
    return folder
