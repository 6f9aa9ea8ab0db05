"""How many tasks a second are run by one process and by several, with more or less waiting."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.durable.application import application
from benchmarks.durable.peers import BG_DI
from benchmarks.durable.scale import Scale
from benchmarks.engines.application import close, engine_of, fill
from benchmarks.engines.rates import PROCESSES, worked

# Tasks a second, by rounds, for so many that wait and so many processes.
Rates = Mapping[tuple[int, int], list[float]]


def rates(folder: Path, scale: Scale) -> Rates:
    """Measure each in turn, on copies of the same file."""
    filled = {waiting: _filled(folder / f"waiting-{waiting}", waiting) for waiting in scale.waiting}
    found: dict[tuple[int, int], list[float]] = {(waiting, n): [] for waiting in filled for n in PROCESSES}
    for number in range(scale.rounds):
        for (waiting, processes), measured in found.items():
            copy = Path(shutil.copytree(filled[waiting], folder / f"{waiting}-{processes}-{number}"))
            measured.append(worked(BG_DI, str(copy), processes=processes, tasks=min(waiting, scale.counted)))
            shutil.rmtree(copy)
    return found


def _filled(folder: Path, tasks: int) -> Path:
    folder.mkdir()

    async def write() -> None:
        app = application(folder / "tasks.db")
        await fill(engine_of(app), tasks)
        await close(app)

    asyncio.run(write())
    return folder
