"""The backend that a page writes keeps what its flags announce, and what the page says of it."""

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bg_di.errors import BackendUnavailable, OutcomeUnknown
from bg_di.testing.contract.handles import NAME, accepted, message, opened, received, working
from tests.pages import DOCS, ROOT, module

PAGE = DOCS / "how-to/writing-a-backend.md"
page: Any = module(PAGE, until="BackendContract")
# Its tests are collected here, as they are in the module of whoever follows the page.
TestFolderBackend = page.TestFolderBackend

_TAKES_AND_HANGS = f"""
import asyncio
from pathlib import Path
from bg_di.testing.contract.handles import message, opened, received, working
from tests.pages import module

async def main(path: str) -> None:
    async with opened(module(Path({str(PAGE)!r}), until="BackendContract").FolderBackend(path=Path(path))) as engine:
        await engine.accept([message()])
        async with working(engine) as consumer:
            await received(consumer)
            print("taken", flush=True)
            await asyncio.Event().wait()
"""


def test_what_a_killed_worker_had_is_delivered_again(tmp_path: Path) -> None:
    """Counted, in the next one."""
    code = f"{_TAKES_AND_HANGS}\nasyncio.run(main({str(tmp_path)!r}))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        try:
            assert killed.stdout is not None
            assert killed.stdout.readline() == "taken\n"
        finally:
            killed.kill()

    async def go_on() -> None:
        async with opened(page.FolderBackend(path=tmp_path)) as engine, working(engine) as consumer:
            (delivery,) = await received(consumer)
            assert (delivery.attempt, delivery.delivery) == (0, 2)
            assert await consumer.acknowledge(delivery)
            assert engine.counts().waiting == engine.counts().running == 0

    asyncio.run(asyncio.wait_for(go_on(), 30))


@pytest.mark.parametrize(
    ("options", "given", "reason"),
    [
        ({"max_deliveries": 1}, {}, "it was delivered 1 times"),
        ({"unknown_after": 5.0}, {"name": "contract:unknown"}, "no worker knew it"),
        ({"unknown_after": 5.0}, {"version": 2}, "no worker knew it"),
    ],
)
def test_nothing_is_tried_for_ever(tmp_path: Path, options: dict[str, Any], given: dict[str, Any], reason: str) -> None:
    """What kills its workers, and what nobody knows, is dead, and the application hears of it."""
    backend = page.FolderBackend(path=tmp_path, **options)
    task = message(due_at=time.time() - 6, **given)
    lost: list[tuple[str, ...]] = []

    async def work() -> None:
        async with opened(backend) as engine:
            accepted(await engine.accept([task]))
            for works in (_dies, _works):
                await works(await engine.consume([NAME], lost=lambda *told: lost.append(told)))
            assert engine.counts().dead == 1

    asyncio.run(asyncio.wait_for(work(), 30))
    assert lost == [(task.task_id, task.name, reason)]
    assert (tmp_path / "shop" / "reasons" / task.task_id).read_text() == reason


async def _works(consumer: Any) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(consumer.receive(1), 0.3)


async def _dies(consumer: Any) -> None:
    await _works(consumer)
    consumer.abandon()


def test_a_folder_that_cannot_be_used_refuses(tmp_path: Path) -> None:
    """Where a task may have been seen by a worker, nobody knows."""
    path = tmp_path / "file"
    path.write_text("")

    async def refused() -> None:
        async with opened(page.FolderBackend(path=path)) as engine:
            (outcome,) = await engine.accept([message()])
            assert isinstance(outcome, BackendUnavailable)
            assert not isinstance(outcome, OutcomeUnknown)
            with pytest.raises(BackendUnavailable, match="cannot be used"):
                await engine.consume([NAME], lost=lambda *_: None)

    asyncio.run(refused())
